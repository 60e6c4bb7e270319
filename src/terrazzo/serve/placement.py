"""Where an image lies on the pixels of the map that was made of it."""

from dataclasses import dataclass

from terrazzo.geo.grid import LARGEST_SHIFT, Grid

__all__ = ["Placement", "place_image"]

_SKEW = 1e-3
"""Relative difference of directions and sizes of pixels below which they are taken for the same."""


@dataclass(frozen=True)
class Placement:
    """An image on a map's pixels.

    Attributes:
        x: Column of the map at which the image begins.
        y: Row likewise.
        scale: Pixels of the map along a side of the image's pixel.
    """

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


def place_image(image: Grid, mapped: Grid) -> Placement | None:
    """Return where an image lies; None where that is not known, or where it would have to be turned or distorted.

    A map is made on its scene's pixels, or on larger or smaller ones of the same direction.

    Args:
        image: The image's grid.
        mapped: The map's.
    """
    same_size = (image.height, image.width) == (mapped.height, mapped.width)
    placed = image.crs is not None and mapped.crs is not None and image.crs == mapped.crs
    if not placed:
        return Placement() if same_size else None
    between = ~mapped.transform @ image.transform
    turned = max(abs(between.b), abs(between.d), abs(between.a - between.e)) > _SKEW * abs(between.a)
    if turned or between.a <= 0:
        return None
    if same_size and max(abs(between.c), abs(between.f)) < LARGEST_SHIFT and abs(between.a - 1) < _SKEW:
        return Placement()
    return Placement(between.c, between.f, between.a)
