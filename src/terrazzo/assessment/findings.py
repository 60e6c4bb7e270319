"""What judged images come to: a row for each image and each region, and how far confidence can be believed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.judged_split import JudgedSplit
from terrazzo.assessment.judging import ImageRecord, Trust
from terrazzo.calibration.image_reliability import (
    ImageReliability,
    reliability_differences,
    reliability_intervals,
)
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


def trust_report(judged: JudgedSplit, names: Sequence[str]) -> Row:
    """Return how far confidence can be believed: everywhere, near borders and by region, before and after.

    Args:
        judged: What was found, reliability among it.
        names: Of the classes.

    Returns:
        Plain data ready for JSON; `before` and `difference` (after less before) are None without a calibration.
    """
    after = [record.trust for record in judged.records if record.trust is not None]
    before = [record.trust_before for record in judged.records if record.trust_before is not None]
    compared = bool(before) and bool(judged.before)
    report: Row = {"classes": list(names), **_trusted(judged.regions, after), "before": None, "difference": None}
    if compared:
        report["before"] = _trusted(judged.before, before)
        report["difference"] = reliability_differences(
            [ImageReliability.of(one.everywhere) for one in before],
            [ImageReliability.of(one.everywhere) for one in after],
        ).as_dict()
    return report


def _trusted(sums: Mapping[str, Trust], records: Sequence[Trust]) -> Row:
    whole = sums[""]
    return {
        "everywhere": whole.everywhere.as_dict(),
        "intervals": reliability_intervals([ImageReliability.of(one.everywhere) for one in records]).as_dict(),
        "near_borders": whole.band.as_dict(),
        "near_borders_intervals": reliability_intervals([ImageReliability.of(one.band) for one in records]).as_dict(),
        "regions": {name: trust.everywhere.as_dict() for name, trust in sums.items() if name},
    }


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
