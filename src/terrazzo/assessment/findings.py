"""What judged images come to: a row for each image and each region, and how far confidence can be believed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.judged_split import JudgedSplit
from terrazzo.assessment.judging import ImageRecord, Trust
from terrazzo.calibration.boundary_band import BOUNDARY_WIDTH
from terrazzo.calibration.image_reliability import (
    ImageReliability,
    reliability_differences,
    reliability_intervals,
)
from terrazzo.data.classes import Classes
from terrazzo.metrics import Confusion, Scores
from terrazzo.metrics.boundary import BoundaryCounts

__all__ = [
    "confusions",
    "image_rows",
    "joined_boundary",
    "mean_confidence",
    "mean_steps",
    "region_rows",
    "trust_report",
]

Row = dict[str, Any]


def confusions(records: Sequence[ImageRecord]) -> Int64[np.ndarray, "image class class"]:
    """Return the counts of each image."""
    return torch.stack([record.confusion for record in records]).numpy()


def mean_confidence(records: Sequence[ImageRecord]) -> float | None:
    """Return the mean over labelled pixels of the probability of what was answered; None without such a pixel."""
    return _mean(sum(record.confidence for record in records), sum(record.pixels for record in records))


def mean_steps(records: Sequence[ImageRecord]) -> float | None:
    """Return the mean over labelled pixels of the steps that were taken; None without such a pixel."""
    return _mean(sum(record.steps for record in records), sum(record.pixels for record in records))


def joined_boundary(records: Sequence[ImageRecord]) -> BoundaryCounts | None:
    """Return the boundaries of all images together; None where they were not measured."""
    found = [record.boundary for record in records if record.boundary is not None]
    if not found:
        return None
    return sum(found[1:], start=found[0])


def image_rows(judged: JudgedSplit, names: Sequence[str], *, in_steps: bool) -> list[Row]:
    """Return a row of figures for each image; None where one does not exist.

    Args:
        judged: What was found.
        names: Of the classes.
        in_steps: Whether the network answers in steps.
    """
    rows = []
    for entry, record in zip(judged.entries, judged.records, strict=True):
        row: Row = {"image": entry.image_id, "region": entry.region, "pixels": record.pixels}
        row |= _figures([record], names, in_steps=in_steps)
        rows.append(row)
    return rows


def region_rows(judged: JudgedSplit, names: Sequence[str], *, in_steps: bool) -> list[Row]:
    """Return a row of figures for each region, by name; nothing where no image has one.

    Args:
        judged: What was found.
        names: Of the classes.
        in_steps: Whether the network answers in steps.
    """
    regions: dict[str, list[ImageRecord]] = {}
    for entry, record in zip(judged.entries, judged.records, strict=True):
        if entry.region is not None:
            regions.setdefault(entry.region, []).append(record)
    rows = []
    for name, records in sorted(regions.items()):
        row: Row = {"region": name, "images": len(records), "pixels": sum(record.pixels for record in records)}
        row |= _figures(records, names, in_steps=in_steps)
        if name in judged.regions:
            row["ece"] = _known(judged.regions[name].everywhere.scores().ece)
        rows.append(row)
    return rows


def trust_report(judged: JudgedSplit, classes: Classes, *, fitted_on_these: bool) -> Row:
    """Return how far confidence can be believed: everywhere, near borders, by class and region, before and after.

    Args:
        judged: What was found, reliability among it.
        classes: Their names and colours.
        fitted_on_these: Whether the bundle's calibration was fitted on these images.

    Returns:
        Plain data ready for JSON, as `terrazzo.report.reliability` reads it: `before` as the network answers, `after`
        and `difference` (after less before) None without a calibration.
    """
    given = [record.trust for record in judged.records if record.trust is not None]
    earlier = [record.trust_before for record in judged.records if record.trust_before is not None]
    compared = bool(judged.before) and len(earlier) == len(given)
    answered = _trusted(judged, judged.regions, given)
    return {
        "images": sum(trust.everywhere.pixels > 0 for trust in given),
        "boundary_width": BOUNDARY_WIDTH,
        "fitted_on_these": fitted_on_these,
        "classes": [{"name": item.name, "colour": list(item.colour)} for item in classes.items],
        "before": _trusted(judged, judged.before, earlier) if compared else answered,
        "after": answered if compared else None,
        "difference": reliability_differences(_light(earlier), _light(given)).as_dict() if compared else None,
    }


def _trusted(judged: JudgedSplit, sums: Mapping[str, Trust], records: Sequence[Trust]) -> Row:
    regions = []
    for name, trust in sums.items():
        own = [one for entry, one in zip(judged.entries, records, strict=True) if name and entry.region == name]
        if own:
            scores, intervals = trust.everywhere.as_dict(), reliability_intervals(_light(own)).as_dict()
            regions.append({"name": name, "images": len(own), "scores": scores, "intervals": intervals})
    return {
        "scores": sums[""].everywhere.as_dict(),
        "boundary": sums[""].band.as_dict(),
        "intervals": reliability_intervals(_light(records)).as_dict(),
        "regions": regions,
    }


def _light(records: Sequence[Trust]) -> list[ImageReliability]:
    return [ImageReliability.of(one.everywhere) for one in records]


def _figures(records: Sequence[ImageRecord], names: Sequence[str], *, in_steps: bool) -> Row:
    scores = _scores(records, names)
    row: Row = {"miou": _known(scores.miou), "accuracy": _known(scores.accuracy)}
    row["confidence"] = mean_confidence(records)
    if in_steps:
        row["steps"] = mean_steps(records)
    boundary = joined_boundary(records)
    if boundary is not None:
        found = boundary.scores(names)
        row |= {f"boundary_f1_{name}": _known(value) for name, value in zip(found.tolerances, found.f1, strict=True)}
        row["boundary_iou"] = _known(found.boundary_iou)
    return row | {f"iou {one.name}": _known(one.iou) for one in scores.classes}


def _scores(records: Sequence[ImageRecord], names: Sequence[str]) -> Scores:
    return Confusion(torch.stack([record.confusion for record in records]).sum(0)).scores(names)


def _mean(total: float, pixels: int) -> float | None:
    return total / pixels if pixels else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
