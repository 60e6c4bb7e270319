"""How good a segmentation is."""

from terrazzo.metrics.confusion import ClassScores, Confusion, Scores

__all__ = ["ClassScores", "Confusion", "Scores"]
