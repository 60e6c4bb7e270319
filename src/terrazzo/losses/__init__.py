"""Losses: torch only, no geography, no data."""

from terrazzo.losses.bootstrapped import BootstrappedCrossEntropy
from terrazzo.losses.deep_supervision import DeeplySupervised
from terrazzo.losses.halting import Halting
from terrazzo.losses.loss import LOSSES, Labels, Loss
from terrazzo.losses.lovasz import Lovasz
from terrazzo.losses.mask_points import Sampling
from terrazzo.losses.mask_terms import MaskTerm
from terrazzo.losses.masks import MaskLoss
from terrazzo.losses.overlaps import Dice, Jaccard, Tversky
from terrazzo.losses.pixels import CrossEntropy, Focal
from terrazzo.losses.ponder import Ponder
from terrazzo.losses.steps import StepLoss
from terrazzo.losses.weighted_sum import CrossEntropyDice, Term, WeightedSum

__all__ = [
    "LOSSES",
    "BootstrappedCrossEntropy",
    "CrossEntropy",
    "CrossEntropyDice",
    "DeeplySupervised",
    "Dice",
    "Focal",
    "Halting",
    "Jaccard",
    "Labels",
    "Loss",
    "Lovasz",
    "MaskLoss",
    "MaskTerm",
    "Ponder",
    "Sampling",
    "StepLoss",
    "Term",
    "Tversky",
    "WeightedSum",
]
