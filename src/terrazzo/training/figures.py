"""The names of validation figures: columns of log.csv, curves of TensorBoard, and what a run can be steered by."""

from collections.abc import Sequence

from terrazzo.metrics import Scores

__all__ = ["MEAN_FIGURE", "split_figures", "split_values", "steps_figure"]

MEAN_FIGURE = "val_mean_miou"
"""The mean over all sets that are validated on; exists in epochs in which all are measured."""


def split_figures(split: str, classes: Sequence[str]) -> list[str]:
    """Return the names of the figures of a validation split.

    >>> split_figures("val_city", ["wood", "roof"])[:3]
    ['val_city_loss', 'val_city_miou', 'val_city_accuracy']
    """
    kinds = ["loss", "miou", "accuracy", "mean_accuracy", "frequency_weighted_iou"]
    kinds += ["foreground_iou"] if len(classes) == 2 else []
    return [f"{split}_{kind}" for kind in (*kinds, *(f"iou_{name}" for name in classes))]


def split_values(split: str, scores: Scores, loss: float | None) -> dict[str, float | None]:
    """Return the figures of a validation split, by the names that `split_figures` gives."""
    values = {"loss": loss, "miou": scores.miou, "accuracy": scores.accuracy, "mean_accuracy": scores.mean_accuracy}
    values["frequency_weighted_iou"] = scores.frequency_weighted_iou
    values |= {"foreground_iou": scores.foreground_iou} if len(scores.classes) == 2 else {}
    values |= {f"iou_{one.name}": one.iou for one in scores.classes}
    return {f"{split}_{name}": value for name, value in values.items()}


def steps_figure(split: str) -> str:
    """Return the name of the mean number of steps that a network which answers in steps needs on a split.

    >>> steps_figure("val")
    'val_avg_steps'
    """
    return f"{split}_avg_steps"
