"""Patches of raw values on which an exported file is compared with its bundle."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Shaped

from terrazzo.bundle import Bundle

__all__ = ["Patch", "compared_sizes", "cropped_patches", "synthetic_patches"]

LARGEST_SIDE = 512
"""Pixels along a side that are compared at most."""
SMALLEST_SIDE = 33
SMALLEST = (24, 40)
"""Height and width of the smallest image that is compared."""


@dataclass(frozen=True)
class Patch:
    """Raw values of some imagery.

    Attributes:
        values: As the imagery holds them.
        valid: Where they were measured.
    """

    values: Shaped[np.ndarray, "band y x"]
    valid: Bool[np.ndarray, "y x"]

    def raw(self) -> Float32[np.ndarray, "band y x"]:
        """Return the values as a file takes them that normalises itself: NaN where nothing was measured."""
        return np.where(self.valid, self.values, np.nan).astype(np.float32)


def compared_sizes(bundle: Bundle) -> tuple[tuple[int, int], ...]:
    """Return four heights and widths: the training's, two that are no multiples of anything, and a small one.

    The small one is a single cell of many a network's coarsest map.
    """
    side = bundle.patch_size if bundle.resize is None else max(bundle.resize.height, bundle.resize.width)
    side = min(max(side, SMALLEST_SIDE), LARGEST_SIDE)
    odd = (side // 2 + 21, max(side - 13, SMALLEST_SIDE)), (max(side // 4, 24) + 1, side // 3 + 18)
    return (side, side), *odd, SMALLEST


def cropped_patches(images: list[Patch], height: int, width: int) -> list[Patch]:
    """Return a patch of a size from the middle of each image, which is mirrored where it is too small.

    Args:
        images: Any sizes.
        height: Rows.
        width: Columns.
    """
    found = []
    for image in images:
        rows, columns = (_places(length, size) for length, size in zip(image.valid.shape, (height, width), strict=True))
        found.append(Patch(image.values[:, rows][:, :, columns], image.valid[rows][:, columns]))
    return found


def _places(length: int, size: int) -> Shaped[np.ndarray, " size"]:
    places = np.arange(size) + (length - size) // 2
    period = max(2 * (length - 1), 1)
    places = np.abs(places) % period
    return np.minimum(places, period - places) if length > 1 else np.zeros(size, dtype=np.int64)


def synthetic_patches(bundle: Bundle, *, count: int, side: int) -> list[Patch]:
    """Return patches that have the training's mean and deviation in each band and a structure of several scales.

    Args:
        bundle: Bands and normalisation.
        count: Patches.
        side: Height and width.
    """
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        total = torch.zeros(len(bundle.bands), side, side)
        for cells in (4, 16, side):
            noise = torch.randn((1, len(bundle.bands), cells, cells), generator=generator)
            total += torch.nn.functional.interpolate(noise, size=(side, side), mode="bilinear")[0] / 3**0.5
        mean, std = (
            np.asarray(figures, dtype=np.float64)[:, None, None]
            for figures in (bundle.normalisation.mean, bundle.normalisation.std)
        )
        values = total.numpy() * std + mean
        planes = [_as_stored(plane, band.dtype) for plane, band in zip(values, bundle.bands, strict=True)]
        valid = np.ones((side, side), dtype=bool)
        valid[: side // 8, : side // 8] = False
        for plane, band in zip(planes, bundle.bands, strict=True):
            # What has this value is missing, wherever noise happens to put it.
            valid &= plane != band.nodata
        found.append(Patch(np.stack(planes), valid))
    return found


def _as_stored(plane: Shaped[np.ndarray, "y x"], dtype: str) -> Shaped[np.ndarray, "y x"]:
    """Return values as imagery of a type can hold them, in float64."""
    kind = np.dtype(dtype)
    if kind.kind not in "ui":
        return np.asarray(plane.astype(np.float32).astype(np.float64))
    limits = np.iinfo(kind)
    return np.asarray(np.clip(np.rint(plane), limits.min, limits.max).astype(np.float64))
