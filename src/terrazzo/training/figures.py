"""The names of validation figures: columns of log.csv, curves of TensorBoard, and what a run can be steered by."""

from collections.abc import Sequence

from terrazzo.metrics import BoundaryScores, Scores

__all__ = ["MEAN_FIGURE", "split_figures", "split_values", "steps_figure"]

MEAN_FIGURE = "val_mean_miou"
"""The mean over all sets that are validated on; exists in epochs in which all are measured."""


def split_figures(split: str, classes: Sequence[str], boundary_tolerances: Sequence[int] = ()) -> list[str]:
    """Return the names of the figures of a validation split.

    Args:
        split: `val`, or `val_<name>` of a named validation set.
        classes: Their names.
        boundary_tolerances: Pixels at which the boundary F1 is measured.

    >>> split_figures("val_city", ["wood", "roof"])[:3]
    ['val_city_loss', 'val_city_miou', 'val_city_accuracy']
    >>> split_figures("val", ["wood", "roof"], [1, 5])[-4:]
    ['val_bf1_1', 'val_bf1_5', 'val_iou_wood', 'val_iou_roof']
    """
    kinds = ["loss", "miou", "accuracy", "mean_accuracy", "frequency_weighted_iou"]
    kinds += ["foreground_iou"] if len(classes) == 2 else []
    kinds += [f"bf1_{tolerance}" for tolerance in boundary_tolerances]
    return [f"{split}_{kind}" for kind in (*kinds, *(f"iou_{name}" for name in classes))]


def split_values(
    split: str, scores: Scores, loss: float | None, boundaries: BoundaryScores | None = None
) -> dict[str, float | None]:
    """Return the figures of a validation split, by the names that `split_figures` gives.

    The boundary F1 is that of all patches' boundary pixels together, class by class, then the mean over classes: a
    patch is too small for a mean of its own.
    """
    values = {"loss": loss, "miou": scores.miou, "accuracy": scores.accuracy, "mean_accuracy": scores.mean_accuracy}
    values["frequency_weighted_iou"] = scores.frequency_weighted_iou
    values |= {"foreground_iou": scores.foreground_iou} if len(scores.classes) == 2 else {}
    if boundaries is not None:
        pairs = zip(boundaries.tolerances, boundaries.pooled_f1, strict=True)
        values |= {f"bf1_{tolerance}": value for tolerance, value in pairs}
    values |= {f"iou_{one.name}": one.iou for one in scores.classes}
    return {f"{split}_{name}": value for name, value in values.items()}


def steps_figure(split: str) -> str:
    """Return the name of the mean number of steps that a network which answers in steps needs on a split.

    >>> steps_figure("val")
    'val_avg_steps'
    """
    return f"{split}_avg_steps"
