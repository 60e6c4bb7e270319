"""What is learned of a map while its rows go out to the files: areas, confidence, steps, seams.

Classes are counted over every pixel. The rest is read off rows in even distance, one to two thousand of them, so that
it takes the same moment for a city and for a country. Memory is O(width), and some thirty bytes a row.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from terrazzo.scene.assemble import FinishedRows
from terrazzo.scene.coarse import CoarseMean
from terrazzo.scene.pixel_area import row_areas
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.seam_energy import SeamMeter

__all__ = ["QualityMeter"]

ROWS_LOOKED_AT = 1024
COARSE_SIDE = 512
"""Pixels of the longer side of the small pictures."""
MISSING = 255
"""Of confidence and steps."""
_PIXELS_AT_ONCE = 2**17
_SAME_AREA = 1e-7
_FEW_CLASSES = 20


class QualityMeter:
    """Takes the rows of a map from top to bottom.

    Args:
        plan: How the scene was cut.
        classes: Classes.
        ignore: Class value of pixels without one.

    Attributes:
        class_pixels: Pixels of each class.
        class_square_metres: Ground that each class covers; None where the scene's place on earth is unknown.
        seams: Neighbouring pixels where windows meet, and elsewhere.
        looked_at: Valid pixels of each class in the rows that were looked at.
        confidence_counts: Pixels of each stored confidence, 0..254, in these rows.
        confidence_sums: Sum of stored confidences of each class in these rows.
        steps_counts: Pixels of each stored number of steps, in tenths, in these rows.
        confidence: Means over squares of pixels; None until confidences came.
        steps: Means over squares of pixels; None until steps came.
    """

    def __init__(self, plan: ScenePlan, *, classes: int, ignore: int) -> None:
        height, width = plan.grid.height, plan.grid.width
        self._shape = height, width
        self._ignore = ignore
        self._step = max(1, height // ROWS_LOOKED_AT)
        self._factor = max(1, -(-max(height, width) // COARSE_SIDE))
        self._areas = row_areas(plan.grid)
        self.class_pixels: Int64[np.ndarray, " class"] = np.zeros(classes, dtype=np.int64)
        self.class_square_metres: Float64[np.ndarray, " class"] | None = (
            None if self._areas is None else np.zeros(classes)
        )
        self.looked_at: Int64[np.ndarray, " class"] = np.zeros(classes, dtype=np.int64)
        self.confidence_counts: Int64[np.ndarray, " value"] = np.zeros(MISSING, dtype=np.int64)
        self.confidence_sums: Float64[np.ndarray, " class"] = np.zeros(classes)
        self.steps_counts: Int64[np.ndarray, " value"] = np.zeros(MISSING, dtype=np.int64)
        self.seams = SeamMeter(plan.rows, plan.columns, missing=ignore, step=self._step)
        self.confidence: CoarseMean | None = None
        self.steps: CoarseMean | None = None

    def add(self, rows: FinishedRows) -> None:
        """Take the next rows."""
        target = rows.products["class"][0]
        confidence = rows.products["confidence"][0] if "confidence" in rows.products else None
        steps = rows.products["steps"][0] if "steps" in rows.products else None
        for y, part in self._parts(rows.y, target):
            counts = self._counts(part)
            self.class_pixels += counts
            if self.class_square_metres is not None and self._areas is not None:
                self.class_square_metres += counts * float(self._areas[y : y + len(part)].mean())
        self.seams.look_down(rows.y, target, confidence)
        for row in range(-rows.y % self._step, len(target), self._step):
            self.seams.look_across(target[row], None if confidence is None else confidence[row])
            self.looked_at += self._counts(target[row])
            if confidence is not None:
                self._take_confidence(rows.y + row, target[row], confidence[row])
            if steps is not None:
                self._take_steps(rows.y + row, steps[row])

    def _parts(self, top: int, target: Shaped[np.ndarray, "y x"]) -> Iterator[tuple[int, Shaped[np.ndarray, "part x"]]]:
        """Yield a few rows at a time whose pixels cover the same ground."""
        together = max(1, _PIXELS_AT_ONCE // self._shape[1])
        for first in range(0, len(target), together):
            last = min(first + together, len(target))
            if self._areas is not None:
                areas = self._areas[top + first : top + last]
                if np.ptp(areas) > _SAME_AREA * areas[0]:
                    yield from ((top + row, target[row : row + 1]) for row in range(first, last))
                    continue
            yield top + first, target[first:last]

    def _counts(self, target: Shaped[np.ndarray, "..."]) -> Int64[np.ndarray, " class"]:
        classes = len(self.class_pixels)
        if classes <= _FEW_CLASSES:
            # Several times faster than counting all values at once, which turns every pixel into eight bytes.
            return np.array([np.count_nonzero(target == number) for number in range(classes)], dtype=np.int64)
        counts: Int64[np.ndarray, " class"] = np.bincount(target.ravel(), minlength=self._ignore + 1)
        return counts[:classes]

    def _take_confidence(self, y: int, target: Shaped[np.ndarray, " x"], confidence: Shaped[np.ndarray, " x"]) -> None:
        if self.confidence is None:
            self.confidence = CoarseMean(*self._shape, factor=self._factor)
        self.confidence.add(y, confidence, MISSING)
        self.confidence_counts += np.bincount(confidence, minlength=256)[:MISSING]
        sums = np.bincount(target, weights=confidence, minlength=self._ignore + 1)
        self.confidence_sums += sums[: len(self.class_pixels)]

    def _take_steps(self, y: int, steps: Shaped[np.ndarray, " x"]) -> None:
        if self.steps is None:
            self.steps = CoarseMean(*self._shape, factor=self._factor)
        self.steps.add(y, steps, MISSING)
        self.steps_counts += np.bincount(steps, minlength=256)[:MISSING]
