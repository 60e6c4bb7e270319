"""How good a segmentation is: pixels, boundaries, and how sure that is.

`confusion` counts pixels, `boundary` counts boundary pixels within tolerances and bands along boundaries, `intervals`
says how far figures would move with other images, and whether two systems differ.
"""

from terrazzo.metrics.boundary import BoundaryClassScores, BoundaryCounts, BoundaryScores
from terrazzo.metrics.confusion import ClassScores, Confusion, Scores
from terrazzo.metrics.intervals import (
    ClassDifference,
    ClassIntervals,
    ConfusionIntervals,
    Difference,
    Interval,
    PairedComparison,
    confusion_intervals,
    paired_comparison,
)

__all__ = [
    "BoundaryClassScores",
    "BoundaryCounts",
    "BoundaryScores",
    "ClassDifference",
    "ClassIntervals",
    "ClassScores",
    "Confusion",
    "ConfusionIntervals",
    "Difference",
    "Interval",
    "PairedComparison",
    "Scores",
    "confusion_intervals",
    "paired_comparison",
]
