"""How good a segmentation is: pixels and boundaries."""

from terrazzo.metrics.boundary import BoundaryClassScores, BoundaryCounts, BoundaryScores
from terrazzo.metrics.confusion import ClassScores, Confusion, Scores

__all__ = ["BoundaryClassScores", "BoundaryCounts", "BoundaryScores", "ClassScores", "Confusion", "Scores"]
