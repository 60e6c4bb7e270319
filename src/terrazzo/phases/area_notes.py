"""What a reader of estimated areas must know beside the figures."""

import numpy as np

from terrazzo.assessment.area_references import References
from terrazzo.assessment.area_strata import Unit
from terrazzo.calibration.areas import AreaEstimates

__all__ = ["area_notes"]

_FEW, _MUCH = 5, 0.1
"""Fewer points than the first, making more of a class's area than the second, carry no interval."""


def area_notes(found: AreaEstimates, references: References, unit: Unit) -> list[str]:
    """Return what is missing, and what figures cannot say.

    Args:
        found: Estimates.
        references: What they are made from.
        unit: What areas count.
    """
    names, counts = references.names, references.counts
    notes: list[str] = []
    unfilled = int(references.unfilled.sum())
    if unfilled:
        parts = [f"{names[k]} {references.unfilled[k]}" for k in np.flatnonzero(references.unfilled)]
        notes.append(
            f"{unfilled} of {unfilled + int(counts.sum())} points have no reference class ({', '.join(parts)}); the "
            "estimates hold if these are like the other points of their class."
        )
    for k in found.unsampled:
        share = found.mapped[k] / found.mapped.sum()
        notes.append(
            f'"{names[k]}", {100 * share:.2g} % of the mapped area, has no labelled point: its ground is part of no '
            "estimate, and the total is smaller by it."
        )
    if found.single:
        told = ", ".join(names[k] for k in found.single)
        notes.append(
            f"Only one point mapped as {told} is labelled, from which no variance can be estimated: standard errors of "
            "areas and of overall and producer's accuracies are not defined. Label at least two points of each class."
        )
    sampled = counts.sum(axis=1) > 0
    notes += [
        f'"{names[k]}" is never mapped, but found at {int(counts[:, k].sum())} points: its area is estimated from '
        "these, and its user's accuracy does not exist."
        for k in np.flatnonzero((found.mapped <= 0) & (counts.sum(axis=0) > 0))
    ]
    notes += [
        f'"{names[k]}" is mapped, but no point was found to be it: its area is estimated as 0, which an interval '
        "without width does not make certain, and its producer's accuracy does not exist."
        for k in np.flatnonzero(sampled & (counts.sum(axis=0) == 0))
    ]
    exact = (found.areas.error == 0) & (counts.sum(axis=0) > 0)
    if exact.any() and not np.isnan(found.areas.error).any():
        told = ", ".join(names[k] for k in np.flatnonzero(exact))
        notes.append(f"No point shows an error that touches {told}: an interval without width is no certainty.")
    omitted = counts.sum(axis=0) - np.diagonal(counts)
    missed = found.shares.sum(axis=0) - np.diagonal(found.shares)
    scarce = (omitted > 0) & (omitted < _FEW) & (missed > _MUCH * found.shares.sum(axis=0))
    if references.images is None and scarce.any():
        told = ", ".join(f"{names[k]} ({omitted[k]})" for k in np.flatnonzero(scarce))
        notes.append(
            f"Much of the area of these classes rests on very few points that the map missed: {told}. Their intervals "
            "tend to be too narrow; more points in the large classes help."
        )
    if unit == "pixels":
        notes.append("The maps have no coordinate reference system: areas are counted in pixels.")
    return notes
