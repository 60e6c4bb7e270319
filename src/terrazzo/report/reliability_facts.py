"""What reliability.json says, in fixed types: whatever has another shape counts as not there and stops no page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terrazzo.report.facts import GREY, number
from terrazzo.report.loose import mapping_of, mappings_of, sequence_of

__all__ = [
    "BinFacts",
    "EstimateFacts",
    "GroupFacts",
    "MeasuredFacts",
    "ReliabilityFacts",
    "reliability_facts",
]

_FIGURES = ("ece", "classwise_ece", "ace", "classwise_ace", "brier", "nll", "accuracy", "confidence", "pixels")


@dataclass(frozen=True)
class BinFacts:
    """A bin of probabilities.

    Attributes:
        pixels: Counted pixels.
        stated: Mean of the stated probabilities, 0..1.
        found: Share of these pixels where it came true, 0..1.
    """

    pixels: float | int
    stated: float
    found: float


@dataclass(frozen=True)
class EstimateFacts:
    """A figure and its interval; None for what does not exist.

    Attributes:
        value: The figure.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class GroupFacts:
    """A class or a region.

    Attributes:
        pixels: Labelled pixels.
        images: Images of a region; None for a class.
        ece: Calibration error of the class shown there.
        probability_ece: Calibration error of a class's own probability over all pixels; None for a region.
        bins: A class's own probability over all pixels, empty bins left out.
    """

    pixels: float | None
    images: float | None
    ece: EstimateFacts
    probability_ece: float | None = None
    bins: tuple[BinFacts, ...] = ()


@dataclass(frozen=True)
class MeasuredFacts:
    """What was measured of one way to answer.

    Attributes:
        figures: Figures by name, with intervals where there are any.
        boundary: Figures of the pixels near a border between classes.
        bins: The class shown, from the least confident bin up, empty bins left out.
        classes: One a class, in order.
        regions: By name.
    """

    figures: Mapping[str, EstimateFacts]
    boundary: Mapping[str, float | None]
    bins: tuple[BinFacts, ...]
    classes: tuple[GroupFacts, ...]
    regions: Mapping[str, GroupFacts]


@dataclass(frozen=True)
class ReliabilityFacts:
    """Reliability of an evaluated split.

    Attributes:
        classes: Name and colour of each class.
        images: Images with labelled pixels.
        boundary_width: Pixels on each side of a border that are near it.
        fitted_on_these: Whether calibration was fitted on these very images.
        before: As the network answers; the only one where nothing was calibrated.
        after: Calibrated.
        difference: What figures changed by.
    """

    classes: tuple[tuple[str, tuple[int, int, int]], ...]
    images: float | None
    boundary_width: float | None
    fitted_on_these: bool
    before: MeasuredFacts | None
    after: MeasuredFacts | None
    difference: Mapping[str, EstimateFacts]


def reliability_facts(content: Mapping[str, Any]) -> ReliabilityFacts:
    """Return what `evaluate/<name>/reliability.json` says; its shape stands in `terrazzo.report.reliability`."""
    difference = mapping_of(content.get("difference"))
    return ReliabilityFacts(
        classes=tuple(
            (str(entry.get("name") or "unnamed"), _colour(entry.get("colour")))
            for entry in mappings_of(content.get("classes"))
        ),
        images=number(content.get("images")),
        boundary_width=number(content.get("boundary_width")),
        fitted_on_these=content.get("fitted_on_these") is True,
        before=_measured(content.get("before")),
        after=_measured(content.get("after")),
        difference={name: _estimate(None, difference.get(name)) for name in _FIGURES},
    )


def _measured(content: object) -> MeasuredFacts | None:
    found = mapping_of(content)
    scores, intervals = mapping_of(found.get("scores")), mapping_of(found.get("intervals"))
    if not scores:
        return None
    boundary = mapping_of(found.get("boundary"))
    by_class = sequence_of(intervals.get("classes"))
    return MeasuredFacts(
        figures={name: _estimate(scores.get(name), intervals.get(name)) for name in _FIGURES},
        boundary={name: number(boundary.get(name)) for name in _FIGURES},
        bins=_bins(scores.get("bins")),
        classes=tuple(
            GroupFacts(
                pixels=number(entry.get("pixels")),
                images=None,
                ece=_estimate(entry.get("ece"), by_class[place] if place < len(by_class) else None),
                probability_ece=number(entry.get("probability_ece")),
                bins=_bins(entry.get("bins")),
            )
            for place, entry in enumerate(mappings_of(scores.get("classes")))
        ),
        regions={str(entry.get("name") or "unnamed"): _region(entry) for entry in mappings_of(found.get("regions"))},
    )


def _region(entry: Mapping[str, Any]) -> GroupFacts:
    scores, intervals = mapping_of(entry.get("scores")), mapping_of(entry.get("intervals"))
    return GroupFacts(
        pixels=number(scores.get("pixels")),
        images=number(entry.get("images")),
        ece=_estimate(scores.get("ece"), intervals.get("ece")),
    )


def _estimate(value: object, content: object) -> EstimateFacts:
    """Return a figure with its interval; ends that are the wrong way round are none."""
    found = mapping_of(content)
    low, high = number(found.get("low")), number(found.get("high"))
    if low is None or high is None or low > high:
        low, high = None, None
    return EstimateFacts(number(found.get("value")) if value is None else number(value), low, high)


def _bins(content: object) -> tuple[BinFacts, ...]:
    found = []
    for entry in mappings_of(content):
        pixels, stated, share = (number(entry.get(key)) for key in ("pixels", "stated", "found"))
        if pixels and pixels > 0 and stated is not None and share is not None and 0 <= share <= 1:
            found.append(BinFacts(pixels, min(max(stated, 0.0), 1.0), share))
    return tuple(found)


def _colour(value: object) -> tuple[int, int, int]:
    channels = [one for one in sequence_of(value) if isinstance(one, int) and 0 <= one <= 255]
    return (channels[0], channels[1], channels[2]) if len(channels) == 3 else GREY
