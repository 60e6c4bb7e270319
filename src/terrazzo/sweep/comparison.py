"""Whether settings differ: each two over the seeds and folds that both ran, on the same images, never unpaired."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, load_confusions
from terrazzo.errors import ContractError
from terrazzo.metrics import PairedComparison, paired_comparison
from terrazzo.sweep.groups import TRAINING, Repeat, Setting, overlap_of, repeat_of, units_of
from terrazzo.sweep.results import FIGURES, TrialResult
from terrazzo.sweep.statistics import PairedDifference, holm, paired_difference

__all__ = ["MOST_PAIRS", "Comparison", "compare", "compare_all"]

MOST_PAIRS = 45
"""Of more settings than ten, each is compared with the best alone."""


@dataclass(frozen=True)
class Comparison:
    """Two settings on one split.

    Attributes:
        first: Label of the first.
        second: Label of the second.
        split: Role of the images.
        figure: What is compared.
        difference: First less second over seeds and folds; None where it is refused.
        refused: Why the two cannot be compared; empty where they can.
        left_out: Runs of one that have no partner in the other.
        p_holm: The p-value once all comparisons of this split are taken together; NaN where there is none.
        by_images: The same with images as what is drawn, the counts of all shared runs added: whether other images
            would say the same. None where patches were judged, or another figure than mIoU is compared.
    """

    first: str
    second: str
    split: str
    figure: str
    difference: PairedDifference | None
    refused: str = ""
    left_out: tuple[str, ...] = ()
    p_holm: float = float("nan")
    by_images: PairedComparison | None = None


def compare_all(
    settings: Sequence[Setting], split: str, figure: str, *, best: Setting | None = None
) -> tuple[Comparison, ...]:
    """Compare each two settings; of many settings, each with the best.

    Args:
        settings: Two or more; fewer give no comparison.
        split: Role of the images, or `TRAINING`.
        figure: Such as miou.
        best: The one that others are compared with where there are many.

    Returns:
        Those with a run of this figure, p-values corrected for their number.
    """
    present = [one for one in settings if one.values(split, figure)]
    pairs = list(itertools.combinations(present, 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [(best, other) for other in present if best is not None and other is not best]
    found = [compare(first, second, split, figure) for first, second in pairs]
    adjusted = holm([np.nan if one.difference is None else one.difference.p_value for one in found])
    return tuple(Comparison(**{**vars(one), "p_holm": value}) for one, value in zip(found, adjusted, strict=True))


def compare(first: Setting, second: Setting, split: str, figure: str) -> Comparison:
    """Compare two settings over the runs that both have; what cannot be paired is refused with the reason.

    Args:
        first: One setting.
        second: The other.
        split: Role of the images, or `TRAINING`.
        figure: Such as miou.
    """
    one, other = first.values(split, figure), second.values(split, figure)
    shared = sorted(set(one) & set(other))
    labels = (first.label, second.label, split, figure)
    if not shared:
        reason = f"they share no run: {_told(one)} on one side, {_told(other)} on the other"
        return Comparison(*labels, difference=None, refused=reason)
    pairs = [(_run(first, repeat), _run(second, repeat)) for repeat in shared]
    if reason := next((reason for pair in pairs if (reason := _unlike(*pair, split))), ""):
        return Comparison(*labels, difference=None, refused=reason)
    groups = units_of(one, shared), units_of(other, shared)
    runs = [run for pair in pairs for run in pair]
    difference = paired_difference(
        *groups,
        overlap=overlap_of(runs, len(groups[0])),
        more_is_better=pairs[0][0].more_is_better if split == TRAINING else FIGURES.get(figure, True),
    )
    left_out = sorted(
        {*(f"{first.label}: {_told([lost])}" for lost in set(one) - set(other))}
        | {f"{second.label}: {_told([lost])}" for lost in set(other) - set(one)}
    )
    by_images = _by_images(pairs, split) if figure == "miou" and split != TRAINING else None
    return Comparison(*labels, difference=difference, left_out=tuple(left_out), by_images=by_images)


def _run(setting: Setting, repeat: Repeat) -> TrialResult:
    return next(run for run in setting.finished if repeat_of(run) == repeat)


def _told(repeats: Sequence[Repeat] | dict[Repeat, float]) -> str:
    """Return runs in words."""
    return "; ".join(" ".join(f"{key}={value}" for key, value in repeat) or "one run" for repeat in sorted(repeats))


def _unlike(one: TrialResult, other: TrialResult, split: str) -> str:
    """Return why two runs were not judged alike; empty where they were."""
    if split == TRAINING:
        if one.monitor != other.monitor:
            return f"training watched {one.monitor} in {one.trial.name}, but {other.monitor} in {other.trial.name}"
        same = one.data == other.data
    else:
        same = one.splits[split].judged == other.splits[split].judged
    if same:
        return ""
    return f"{one.trial.name} and {other.trial.name} were judged on other images, other labels or other classes"


def _by_images(pairs: Sequence[tuple[TrialResult, TrialResult]], split: str) -> PairedComparison | None:
    """Compare the added counts of both sides image by image."""
    if not all(run.splits[split].whole for pair in pairs for run in pair):
        return None
    sides = [_image_counts([pair[side] for pair in pairs], split) for side in (0, 1)]
    images = sorted(sides[0])
    names = tuple(pairs[0][0].splits[split].classes)
    first, second = (np.stack([side[image] for image in images]) for side in sides)
    return paired_comparison(first, second, names)


def _image_counts(runs: Sequence[TrialResult], split: str) -> dict[str, Int64[np.ndarray, "class class"]]:
    """Return the counts of each image, those of all runs that judged it added."""
    found: dict[str, Int64[np.ndarray, "class class"]] = {}
    for run in runs:
        counted = load_confusions(run.splits[split].folder / CONFUSIONS_FILE)
        for image, counts in zip(counted.images, counted.counts, strict=True):
            found[image] = found[image] + counts if image in found else counts
    if not found:
        raise ContractError(f"the split {split} of {runs[0].trial.folder} holds no image; judge it again.")
    return found
