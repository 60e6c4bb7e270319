"""Of two classes, from which probability on the second is chosen: where its F1 or IoU over all pixels is largest.

The probability is found to a 65,536th, exactly: pixels are counted by level, whatever pieces they come in.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from terrazzo.calibration.levels import LEVELS, level_counts, levels
from terrazzo.calibration.record import DecisionThreshold, Origin
from terrazzo.errors import LabelError

__all__ = ["DecisionPixels", "Figure"]

Figure = Literal["f1", "iou"]


@dataclass(frozen=True, eq=False)
class DecisionPixels:
    """Pixels of all images by the probability of the second class.

    Attributes:
        counts: Pixels labelled the first class, and the second, at each level of the probability.
    """

    counts: Int64[torch.Tensor, "2 level"]

    @classmethod
    def zero(cls) -> "DecisionPixels":
        """Return counts of nothing."""
        return cls(torch.zeros((2, LEVELS + 1), dtype=torch.int64))

    @classmethod
    def of(
        cls,
        probabilities: Float32[torch.Tensor, "2 y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
    ) -> "DecisionPixels":
        """Count pixels.

        Args:
            probabilities: Of both classes, as the map has them.
            target: Class of the label, 0 or 1; anything where ignored.
            ignored: Pixels that do not count.
        """
        counted = ~ignored
        found, second = levels(probabilities[1][counted]), target[counted] == 1
        return cls(torch.stack([level_counts(found[~second]), level_counts(found[second])]))

    def __add__(self, other: "DecisionPixels") -> "DecisionPixels":
        """Return the counts of both."""
        return DecisionPixels(self.counts + other.counts)

    def figures(self, figure: Figure) -> Float64[np.ndarray, " level"]:
        """Return the figure of the second class at each threshold, a level's lower edge.

        Args:
            figure: `f1`, 2 TP / (2 TP + FP + FN), or `iou`, TP / (TP + FP + FN).

        Raises:
            LabelError: No pixel is of the second class.
        """
        wrong, right = self.counts.flip(1).cumsum(1).flip(1).numpy()
        labelled = int(right[0])
        if not labelled:
            raise LabelError(
                "No pixel of these images is labelled the second class, so that no threshold is better than another; "
                "calibrate on images that show it."
            )
        union = labelled + wrong
        return np.asarray(2 * right / (union + right) if figure == "f1" else right / union)

    def best(self, figure: Figure, origin: Origin) -> DecisionThreshold:
        """Return the threshold where the figure is largest; of several the one nearest to one half.

        Args:
            figure: What is maximised. F1 and IoU of one class are largest at the same threshold.
            origin: What the images are.

        Raises:
            LabelError: No pixel is of the second class.
        """
        figures = self.figures(figure)
        equal = np.flatnonzero(figures == figures.max())
        level = int(equal[np.abs(equal - LEVELS // 2).argmin()])
        return DecisionThreshold(threshold=level / LEVELS, figure=figure, value=float(figures[level]), origin=origin)
