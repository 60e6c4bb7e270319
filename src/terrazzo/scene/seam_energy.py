"""Whether a map shows where its windows meet: how much neighbouring pixels differ there, against elsewhere."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Shaped

from terrazzo.record import Record
from terrazzo.scene.windows import Axis

__all__ = ["SeamEnergy", "SeamMeter", "SeamProfile"]

REACH = 48
"""Pixels to either side of a seam's middle over which its profile goes; less where windows are small."""


class SeamEnergy(Record):
    """How much neighbouring pixels differ where windows fade into each other, and elsewhere."""

    inside: float | None
    """Mean over pairs of neighbours of which one at least lies in a fade; None where there are none."""
    outside: float | None
    """Mean over the other pairs."""

    @property
    def ratio(self) -> float | None:
        """Inside against outside: 1 where seams cannot be seen; None where one is missing or nothing differs."""
        if self.inside is None or not self.outside:
            return None
        return self.inside / self.outside


class SeamProfile(Record):
    """The same by the distance from the middle of the nearest seam."""

    offsets: tuple[int, ...]
    """Distance in pixels; negative before the seam."""
    values: tuple[float | None, ...]
    """Mean over the pairs of neighbours at that distance; None where none was looked at."""


_WHAT = {"class": 1, "confidence": 2}
Pixels = Shaped[np.ndarray, " x"]


@dataclass(frozen=True)
class _Difference:
    """Pairs of neighbours: which of them count, and how far they are apart."""

    both: Bool[np.ndarray, " pair"]
    changed: Bool[np.ndarray, " pair"]
    shifted: Int32[np.ndarray, " pair"]

    @classmethod
    def of(
        cls, classes: tuple[Pixels, Pixels], confidences: tuple[Pixels, Pixels] | None, missing: int
    ) -> "_Difference":
        first, second = classes
        both = (first != missing) & (second != missing)
        shifted = np.zeros(len(both), dtype=np.int32)
        if confidences is not None:
            shifted = np.abs(confidences[0].astype(np.int32) - confidences[1].astype(np.int32)) * both
        return cls(both, both & (first != second), shifted)


class _Places:
    """Pairs of neighbours along one axis: how far each is from the nearest seam, and whether it lies in a fade."""

    def __init__(self, axis: Axis, reach: int) -> None:
        pairs = np.arange(max(axis.length - 1, 0))
        self.zone: Bool[np.ndarray, " pair"] = np.zeros(len(pairs), dtype=bool)
        self.start: Int64[np.ndarray, " pair"] = np.zeros(len(pairs), dtype=np.int64)
        for fade in axis.fades:
            # The pair that enters the fade and the one that leaves it; a hard cut has just one.
            self.zone[fade.start - 1 : fade.stop] = True
            self.start[fade.start - 1 : fade.stop] = fade.start - 1
        middles = np.array([(fade.start + fade.stop) // 2 - 1 for fade in axis.fades], dtype=np.int64)
        if not len(middles):
            self.offset = np.full(len(pairs), reach, dtype=np.int64)
            return
        after = np.searchsorted(middles, pairs).clip(0, len(middles) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(pairs - middles[before]) <= np.abs(middles[after] - pairs), before, after)
        self.offset = np.clip(pairs - middles[nearest], -reach, reach)


class SeamMeter:
    """Looks at pairs of neighbouring pixels in some rows of a map that comes from top to bottom.

    Args:
        rows: Windows along y.
        columns: Windows along x.
        missing: Class value of pixels that do not count.
        step: Every how many rows are looked at.
    """

    def __init__(self, rows: Axis, columns: Axis, *, missing: int, step: int) -> None:
        self._missing = missing
        self.reach = max(1, min(REACH, rows.stride // 2, columns.stride // 2))
        self._down, self._across = _Places(rows, self.reach), _Places(columns, self.reach)
        # Inside a fade counted from its beginning, so that a hard cut is looked at whatever the step.
        pairs = np.arange(len(self._down.zone))
        place = np.where(self._down.zone, pairs - self._down.start, pairs)
        self._looked = place % step == 0
        # Pairs that count, pairs of two classes, and summed differences of confidence.
        self._by_column: Int64[np.ndarray, "what pair"] = np.zeros((3, max(columns.length - 1, 0)), dtype=np.int64)
        self._by_offset: Int64[np.ndarray, "what zone offset"] = np.zeros((3, 2, 2 * self.reach + 1), dtype=np.int64)
        self._before: tuple[Pixels, Pixels | None] | None = None

    def look_across(self, target: Pixels, confidence: Pixels | None) -> None:
        """Look at the pairs of one row."""
        confidences = None if confidence is None else (confidence[:-1], confidence[1:])
        found = _Difference.of((target[:-1], target[1:]), confidences, self._missing)
        self._by_column[0] += found.both
        self._by_column[1] += found.changed
        self._by_column[2] += found.shifted

    def look_down(
        self, y: int, target: Shaped[np.ndarray, "y x"], confidence: Shaped[np.ndarray, "y x"] | None
    ) -> None:
        """Look at pairs of rows.

        Args:
            y: First row; follows the last one of the call before.
            target: Classes.
            confidence: Confidence in steps; None where it was not decided.
        """
        for pair in np.flatnonzero(self._looked[max(y - 1, 0) : y + len(target) - 1]) + max(y - 1, 0):
            row = int(pair) - y
            if row >= 0:
                upper, sure = target[row], None if confidence is None else confidence[row]
            elif self._before is not None:
                upper, sure = self._before
            else:
                continue
            confidences = None if confidence is None or sure is None else (sure, confidence[row + 1])
            found = _Difference.of((upper, target[row + 1]), confidences, self._missing)
            zone, offset = int(self._down.zone[pair]), int(self._down.offset[pair]) + self.reach
            self._by_offset[:, zone, offset] += (found.both.sum(), found.changed.sum(), found.shifted.sum())
        self._before = target[-1].copy(), None if confidence is None else confidence[-1].copy()

    def energy(self, what: str) -> SeamEnergy:
        """Return the means inside and outside of fades.

        Args:
            what: "class": the share of pairs of two classes; "confidence": the mean difference, in steps.
        """
        sums = self._sums().sum(axis=2)
        outside, inside = (
            float(total) / int(count) if count else None
            for total, count in zip(sums[_WHAT[what]], sums[0], strict=True)
        )
        return SeamEnergy(inside=inside, outside=outside)

    def profile(self, what: str) -> SeamProfile:
        """Return the means by distance from the middle of the nearest seam; the ends hold all that is further."""
        sums = self._sums().sum(axis=1)[:, 1:-1]
        means: Float64[np.ndarray, " offset"] = sums[_WHAT[what]] / np.maximum(sums[0], 1)
        return SeamProfile(
            offsets=tuple(range(1 - self.reach, self.reach)),
            values=tuple(float(mean) if count else None for mean, count in zip(means, sums[0], strict=True)),
        )

    def _sums(self) -> Int64[np.ndarray, "what zone offset"]:
        """Return what was counted along both axes."""
        where = self._across.zone * (2 * self.reach + 1) + self._across.offset + self.reach
        size = self._by_offset[0].size
        across = [np.bincount(where, weights=sums, minlength=size) for sums in self._by_column]
        return self._by_offset + np.stack(across).astype(np.int64).reshape(self._by_offset.shape)
