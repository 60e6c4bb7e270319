"""What each image loses at each threshold: all that risk control is told."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64

from terrazzo.errors import ConfigError

__all__ = ["LossTable"]

_ORDER_SEED = 0
"""Part of what images are ordered by; a constant, so that nobody can try orders until one suits."""


@dataclass(frozen=True, eq=False)
class LossTable:
    """Losses of images at thresholds that were fixed before any loss was seen.

    Attributes:
        thresholds: From the most careful on, all rising or all falling.
        losses: Of each image at each threshold; of any size, finite.
        images: Name of each image, once; may be left out. Bounds that depend on the order of the images take it from
            these names, else from the losses themselves: never from the order of the rows.

    Raises:
        ConfigError: The parts do not fit each other, there is no image, or a loss is no finite number.
    """

    thresholds: tuple[float, ...]
    losses: Float64[np.ndarray, "image threshold"]
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a table from which nothing can be chosen."""
        rows, columns = self.losses.shape
        if columns != len(self.thresholds):
            raise ConfigError(f"{len(self.thresholds)} thresholds but losses at {columns}.")
        if not rows or not columns:
            raise ConfigError(f"Risk control needs an image and a threshold, not {rows} images and {columns}.")
        steps = np.diff(self.thresholds)
        if not np.isfinite(self.thresholds).all() or not ((steps > 0).all() or (steps < 0).all()):
            raise ConfigError(
                "Thresholds must all rise or all fall, the most careful first, "
                f"not {', '.join(f'{one:g}' for one in self.thresholds[:10])}."
            )
        if self.images and (len(self.images) != rows or len(set(self.images)) != rows):
            raise ConfigError(
                f"{len(self.images)} names, {len(set(self.images))} of them different, for {rows} images."
            )
        unknown = np.argwhere(~np.isfinite(self.losses))
        if len(unknown):
            image, threshold = unknown[0].tolist()
            name = self.images[image] if self.images else f"number {image}"
            raise ConfigError(
                f"The loss of image {name} at threshold {self.thresholds[threshold]:g} is "
                f"{self.losses[image, threshold]}; leave out images without a labelled pixel."
            )

    @cached_property
    def ordered(self) -> Float64[np.ndarray, "image threshold"]:
        """The rows in an order that looks drawn at random and does not depend on theirs.

        A bound that goes through the images in turn needs an order that says nothing about losses. A catalog's order
        may (names, places, days). By names: the order of their hashes. Without names: rows are sorted, then shuffled
        by a generator whose seed is the hash of them all; each set of losses has its own order, as if drawn.
        """
        if self.images:
            keys = [hashlib.sha256(f"{_ORDER_SEED}/{name}".encode()).digest() for name in self.images]
            return self.losses[sorted(range(len(keys)), key=keys.__getitem__)]
        # Adding 0 makes -0 to 0, which is equal but has other bytes.
        found = self.losses[np.lexsort(self.losses.T[::-1])] + 0.0
        digest = hashlib.sha256(f"{_ORDER_SEED}/{found.shape}".encode() + found.astype("<f8").tobytes()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
        return np.asarray(found[generator.permutation(len(found))])
