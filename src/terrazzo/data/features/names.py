"""What a feature cache calls its views and types; settings need these names and no torch."""

from collections.abc import Iterable, Mapping
from typing import Literal

__all__ = ["VIEWS", "StoredType", "View", "ordered"]

StoredType = Literal["float16", "bfloat16"]

View = Literal["identity", "hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]

VIEWS: Mapping[View, int] = {
    "identity": 0,
    "hflip": 4,
    "vflip": 6,
    "rot90": 1,
    "rot180": 2,
    "rot270": 3,
    "transpose": 7,
    "transverse": 5,
}
"""Number of each view among the symmetries; turns are anticlockwise."""


def ordered(views: Iterable[View]) -> tuple[View, ...]:
    """Return views in the order of `VIEWS`, each once."""
    chosen = set(views)
    return tuple(view for view in VIEWS if view in chosen)
