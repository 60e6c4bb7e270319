"""One image judged: its answer beside its label, row by row, every labelled pixel once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64, Integer

from terrazzo.assessment.judged_rows import Answer, Answering, JudgedRows
from terrazzo.calibration.boundary_band import BOUNDARY_WIDTH, boundary_band
from terrazzo.calibration.exact_sum import FRACTION_BITS, fixed_point
from terrazzo.calibration.reliability import Reliability, ReliabilityMeter
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.reading import read_target
from terrazzo.geo.grid import Window
from terrazzo.metrics import Confusion
from terrazzo.metrics.boundary import BoundaryCounts

__all__ = ["ImageRecord", "Measures", "Trust", "Watcher", "judge_image"]


_STEP_PARTS = 1024


@runtime_checkable
class Watcher(Protocol):
    """Whoever is shown the rows of an image as they come in."""

    def add(self, rows: JudgedRows) -> None:
        """Take rows."""


@dataclass(frozen=True)
class Measures:
    """What is measured beside the confusion matrix.

    Attributes:
        tolerances: Pixels up to which a boundary counts as found; None measures no boundaries. The classes of an image
            are kept for it, three bytes a pixel.
        reliability: Whether confidence is compared with what came true.
    """

    tolerances: tuple[float, ...] | None = None
    reliability: bool = False


@dataclass(frozen=True)
class Trust:
    """How far an answer's confidence can be believed.

    Attributes:
        everywhere: Counts over all labelled pixels.
        band: Counts over those within 5 pixels of a border between two classes.
    """

    everywhere: Reliability
    band: Reliability

    @classmethod
    def zero(cls, classes: int) -> "Trust":
        """Return counts of nothing."""
        return cls(Reliability.zero(classes), Reliability.zero(classes, detail="binned"))

    def __add__(self, other: "Trust") -> "Trust":
        """Return the counts of both."""
        return Trust(self.everywhere + other.everywhere, self.band + other.band)


@dataclass(frozen=True)
class ImageRecord:
    """What was found on an image.

    Attributes:
        confusion: Counts over its labelled pixels, rows label, columns prediction.
        confidence_units: Sum over these of the probability of what was answered, in multiples of 2^-32, so that no
            number of threads rounds it differently.
        step_units: Sum over these of the steps that were taken, likewise; 0 for a network that answers once.
        boundary: How well boundaries were found; None where that was not asked for.
        trust: How far confidence can be believed; None likewise.
        confusion_before: Counts without the bundle's calibration; None where there is none.
        step_units_before: Sum of the steps without it; 0 likewise.
        trust_before: How far confidence could be believed without it; None likewise.
    """

    confusion: Int64[torch.Tensor, "class class"]
    confidence_units: int
    step_units: int
    boundary: BoundaryCounts | None = None
    trust: Trust | None = None
    confusion_before: Int64[torch.Tensor, "class class"] | None = None
    step_units_before: int = 0
    trust_before: Trust | None = None

    @property
    def pixels(self) -> int:
        """Labelled pixels."""
        return int(self.confusion.sum())

    @property
    def reliability(self) -> Reliability | None:
        """How far confidence can be believed over all labelled pixels; None where that was not asked for."""
        return None if self.trust is None else self.trust.everywhere

    @property
    def confidence(self) -> float:
        """Sum over labelled pixels of the probability of what was answered."""
        return float(self.confidence_units / 2**FRACTION_BITS)

    @property
    def steps(self) -> float:
        """Sum over labelled pixels of the steps that were taken; 0 for a network that answers once."""
        return float(self.step_units / 2**FRACTION_BITS)

    @property
    def wrong(self) -> float:
        """Share of the labelled pixels that are wrong, 0..1; 0 without any."""
        pixels = self.pixels
        return 1 - int(self.confusion.diagonal().sum()) / pixels if pixels else 0.0


def judge_image(
    answering: Answering,
    entry: ImageEntry,
    measures: Measures,
    *,
    before: Answering | None = None,
    watchers: Sequence[Watcher] = (),
) -> ImageRecord:
    """Judge an image whole.

    Args:
        answering: What answers.
        entry: The image; of a divided one only its own part counts.
        measures: What is measured.
        before: The bundle without its calibration, where that takes a pass of its own.
        watchers: Are shown all rows.

    Raises:
        DataError: Image or label cannot be read.
        ModelError: The network answered wrong shapes, or what is no number.
        OutOfMemoryError: The device has too little memory.
    """
    tally = _Tally(entry, answering.classes, measures)
    earlier = _Tally(entry, answering.classes, Measures(reliability=measures.reliability))
    compared = before is not None
    for rows in answering.rows(entry):
        tally.add(rows, rows.answer)
        if rows.before is not None and before is None:
            earlier.add(rows, rows.before)
            compared = True
        for watcher in watchers:
            watcher.add(rows)
    if before is not None:
        for rows in before.rows(entry):
            earlier.add(rows, rows.answer)
    return ImageRecord(
        confusion=tally.confusion.counts,
        confidence_units=tally.confidence,
        step_units=tally.steps,
        boundary=tally.boundary(),
        trust=tally.trust(),
        confusion_before=earlier.confusion.counts if compared else None,
        step_units_before=earlier.steps if compared else 0,
        trust_before=earlier.trust() if compared else None,
    )


class _Tally:
    """What is summed while rows come in, and the classes that boundaries are found in."""

    def __init__(self, entry: ImageEntry, classes: Classes, measures: Measures) -> None:
        count = len(classes)
        self.confusion = Confusion.zero(count)
        self.confidence = 0
        self.steps = 0
        self._entry = entry
        self._classes = classes
        self._tolerances = measures.tolerances
        self._everywhere = ReliabilityMeter(count) if measures.reliability else None
        self._band = ReliabilityMeter(count, detail="binned")
        self._maps: list[tuple[Integer[np.ndarray, "y x"], Integer[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]] = []

    def add(self, rows: JudgedRows, answer: Answer) -> None:
        """Add rows as they were answered."""
        count, number, confidence = len(self._classes), answer.number, answer.confidence
        counts = Confusion.of(number[None], rows.target[None], rows.ignored[None], count)
        self.confusion = self.confusion + counts
        kept = ~rows.ignored
        self.confidence += int(fixed_point(confidence[kept]).sum())
        if rows.steps is not None:
            # The weights of blended windows add up to 1 but for rounding, which has no part in a number of steps.
            self.steps += int(fixed_point((rows.steps[kept] * _STEP_PARTS).round() / _STEP_PARTS).sum())
        if self._everywhere is not None:
            self._everywhere.add(answer.probabilities, rows.target, rows.ignored, (confidence, number))
            outside = ~self._near_border(rows) | rows.ignored
            self._band.add(answer.probabilities, rows.target, outside, (confidence, number))
        if self._tolerances is not None:
            small = np.uint8 if count <= 254 else np.uint16
            target = rows.target.masked_fill(rows.ignored, 0)
            self._maps.append((number.numpy().astype(small), target.numpy().astype(small), rows.ignored.numpy().copy()))

    def trust(self) -> Trust | None:
        """Return how far confidence can be believed."""
        return None if self._everywhere is None else Trust(self._everywhere.counted(), self._band.counted())

    def boundary(self) -> BoundaryCounts | None:
        """Return how well boundaries were found, in the whole image."""
        if self._tolerances is None:
            return None
        number, target, ignored = (np.concatenate(parts) for parts in zip(*self._maps, strict=True))
        self._maps.clear()
        return BoundaryCounts.of(number, target, ignored, len(self._classes), self._tolerances)

    def _near_border(self, rows: JudgedRows) -> Bool[torch.Tensor, "y x"]:
        """Return the pixels near a border of the label; it is read beyond the rows as far as that reaches."""
        height, width = rows.valid.shape
        top = max(rows.y - BOUNDARY_WIDTH, 0)
        bottom = min(rows.y + height + BOUNDARY_WIDTH, self._entry.height)
        label = read_target(self._entry, Window(top, 0, bottom - top, width), self._classes)
        unlabelled = torch.from_numpy(label == self._classes.ignore)
        band = boundary_band(torch.from_numpy(label.astype(np.int64)), unlabelled)
        return band[rows.y - top : rows.y - top + height]
