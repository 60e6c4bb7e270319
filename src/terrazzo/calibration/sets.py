"""Class sets: from which probability on a class belongs to a pixel's set, so that its own class is seldom missing.

An image's loss is the share of its labelled pixels whose class is missing in their set. It grows with the probability,
which is what conformal risk control asks for, and is 0 at probability 0, where every class belongs to every set.

Source: Angelopoulos et al., Conformal Risk Control, ICLR 2024, arXiv 2208.02814.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64

from terrazzo.calibration.levels import EDGES, LEVELS, level_counts, levels
from terrazzo.calibration.record import ConformalSets, Origin
from terrazzo.calibration.risk import Choice, LossTable, choose
from terrazzo.errors import ConfigError

__all__ = ["PROBABILITIES", "SetCounts", "SetLosses", "SetPixels"]

_MEMBER_FROM = (0, *EDGES)

PROBABILITIES = tuple(level / LEVELS for level in _MEMBER_FROM)
"""Probabilities that are tried, the most careful first: 0, every class, then up to 1, the most probable class alone."""


@dataclass(frozen=True, eq=False)
class SetCounts:
    """The class sets of one image at each of `PROBABILITIES`.

    Attributes:
        missing: Pixels whose class is missing in their set.
        members: Classes in all pixels' sets together.
        pixels: Counted pixels.
    """

    missing: Int64[np.ndarray, " threshold"]
    members: Int64[np.ndarray, " threshold"]
    pixels: int


class SetPixels:
    """Counts the pixels of one image by the probability of their class, and the members of their sets."""

    def __init__(self) -> None:
        self._pixels = 0
        self._other_label: Int64[torch.Tensor, " level"] = torch.zeros(LEVELS + 1, dtype=torch.int64)
        self._others: Int64[torch.Tensor, " level"] = torch.zeros(LEVELS + 1, dtype=torch.int64)

    def add(
        self,
        probabilities: Float32[torch.Tensor, "class y x"],
        number: Int64[torch.Tensor, "y x"],
        target: Int64[torch.Tensor, "y x"],
        ignored: Bool[torch.Tensor, "y x"],
    ) -> None:
        """Count some of the image's pixels.

        Args:
            probabilities: Of each class, as the map has them.
            number: Each pixel's class, which always belongs to its set.
            target: Class of the label; anything where ignored.
            ignored: Pixels that do not count.
        """
        counted = ~ignored
        found = levels(probabilities[:, counted])
        chosen, label = number[counted], target[counted]
        self._pixels += len(chosen)
        self._others += level_counts(found.flatten()) - level_counts(found.gather(0, chosen[None])[0])
        self._other_label += level_counts(found.gather(0, label[None])[0][label != chosen])

    def counts(self) -> SetCounts:
        """Return what the sets are at each probability."""
        places = list(_MEMBER_FROM)
        below = np.pad(self._other_label.cumsum(0).numpy(), (1, 0))
        from_level_on = self._others.flip(0).cumsum(0).flip(0).numpy()
        return SetCounts(below[places], from_level_on[places] + self._pixels, self._pixels)


@dataclass(frozen=True, eq=False)
class SetLosses:
    """What images lose at each probability, and how large the sets are.

    Attributes:
        table: Share of pixels whose class is missing, at each of `PROBABILITIES`.
        members: Classes in all sets of all images together there.
        pixels: Labelled pixels of all images.
    """

    table: LossTable
    members: Int64[np.ndarray, " threshold"]
    pixels: int

    @classmethod
    def of(cls, images: Mapping[str, SetCounts]) -> "SetLosses":
        """Return the losses of images.

        Args:
            images: Counts of each image, by its name; those of which no pixel was counted are left out.

        Raises:
            ConfigError: No pixel was counted.
        """
        counted = {name: counts for name, counts in images.items() if counts.pixels}
        if not counted:
            raise ConfigError("No image has a labelled pixel, so that nothing can be promised of class sets.")
        missing = np.stack([counts.missing for counts in counted.values()])
        pixels = np.array([counts.pixels for counts in counted.values()])
        members = np.stack([counts.members for counts in counted.values()]).sum(axis=0)
        return cls(LossTable(PROBABILITIES, missing / pixels[:, None], tuple(counted)), members, int(pixels.sum()))

    def choose(self, *, alpha: float) -> Choice:
        """Return the largest probability at which a pixel's class is missing in a share of alpha at most, on average.

        Args:
            alpha: That share, as a mean over images.

        Raises:
            ConfigError: Alpha is not inside 0..1.
        """
        return choose(self.table, method="crc", epsilon=alpha, bound=1.0)

    def sets(self, choice: Choice, origin: Origin) -> ConformalSets:
        """Return what a bundle keeps.

        Args:
            choice: What `choose` returned.
            origin: What the images are.
        """
        return ConformalSets(
            least_probability=choice.threshold,
            alpha=choice.epsilon,
            missing=choice.risk,
            mean_size=float(self.members[choice.position] / self.pixels),
            grid=PROBABILITIES,
            upper=choice.upper,
            origin=origin,
        )
