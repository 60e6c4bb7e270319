"""What a loader hands out: an image, its target and its validity, alone or as a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64

from terrazzo.geo.grid import Window

__all__ = ["Batch", "PatchKey", "Sample", "collate"]


@dataclass(frozen=True)
class PatchKey:
    """Which patch to read, and the seed of everything random that happens to it.

    Attributes:
        row: Row of the patch index.
        seed: Seed of the sample's own generator; a function of (run seed, epoch, position).
    """

    row: int
    seed: int


@dataclass(frozen=True)
class Sample:
    """One patch.

    Attributes:
        image: Normalised values; 0 where not valid (the training mean).
        target: Class of each pixel, 0..K-1, or the ignore value.
        valid: Where every band was measured.
        row: Row of the patch index that this came from.
        core: The part of the patch, in its own pixels, that evaluation counts; every labelled pixel of an image
            lies in the core of exactly one patch.
        features: Of a frozen backbone for exactly this image, as the cache holds them; none without a cache.
    """

    image: Float[torch.Tensor, "band y x"]
    target: Int64[torch.Tensor, "y x"]
    valid: Bool[torch.Tensor, "y x"]
    row: int
    core: Window
    features: tuple[Float[torch.Tensor, "_channel _y _x"], ...] = ()

    def with_pixels(
        self,
        image: Float[torch.Tensor, "band y x"],
        target: Int64[torch.Tensor, "y x"],
        valid: Bool[torch.Tensor, "y x"],
    ) -> "Sample":
        """Return the sample with other pixels; features of the old ones are none of theirs."""
        return replace(self, image=image, target=target, valid=valid, features=())


@dataclass(frozen=True)
class Batch:
    """Patches of one size.

    Attributes:
        image: Normalised values; 0 where not valid.
        target: Class of each pixel, or the ignore value.
        valid: Where every band was measured.
        rows: Row of the patch index of each sample.
        cores: The part of each patch that evaluation counts.
        features: Of a frozen backbone for exactly these images, as the cache holds them; none without a cache.
    """

    image: Float[torch.Tensor, "batch band y x"]
    target: Int64[torch.Tensor, "batch y x"]
    valid: Bool[torch.Tensor, "batch y x"]
    rows: tuple[int, ...]
    cores: tuple[Window, ...]
    features: tuple[Float[torch.Tensor, "batch _channel _y _x"], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def ignored(self, ignore: int) -> Bool[torch.Tensor, "batch y x"]:
        """Where loss and metrics look away: target is the ignore value, or the pixel is not valid."""
        return (self.target == ignore) | ~self.valid

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return self._with(*(part.to(device, non_blocking=True) for part in self._parts))

    def pin_memory(self) -> "Batch":
        """Return the batch in page-locked memory; the name is the one torch's loader looks for."""
        return self._with(*(part.pin_memory() for part in self._parts))

    @property
    def _parts(self) -> tuple[torch.Tensor, ...]:
        return (self.image, self.target, self.valid, *self.features)

    def _with(self, image: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, *features: torch.Tensor) -> "Batch":
        return replace(self, image=image, target=target, valid=valid, features=features)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples of one size into a batch."""
    return Batch(
        torch.stack([sample.image for sample in samples]),
        torch.stack([sample.target for sample in samples]),
        torch.stack([sample.valid for sample in samples]),
        tuple(sample.row for sample in samples),
        tuple(sample.core for sample in samples),
        tuple(torch.stack(maps) for maps in zip(*(sample.features for sample in samples), strict=True)),
    )
