"""Losses: torch only, no geography, no data."""

from terrazzo.losses.loss import LOSSES, Labels, Loss
from terrazzo.losses.overlaps import Dice, Jaccard
from terrazzo.losses.pixels import CrossEntropy, Focal
from terrazzo.losses.weighted_sum import Term, WeightedSum

__all__ = ["LOSSES", "CrossEntropy", "Dice", "Focal", "Jaccard", "Labels", "Loss", "Term", "WeightedSum"]
