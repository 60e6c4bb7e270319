"""Whether two files lie pixel for pixel upon each other."""

from terrazzo.errors import DataError
from terrazzo.geo.grid import LARGEST_SHIFT, Grid

__all__ = ["require_same_grid"]


def require_same_grid(here: Grid, there: Grid, *, second: str, first: str = "its image") -> None:
    """Refuse files that do not lie on one grid; coordinates are compared where both have a reference system.

    Args:
        here: Grid of the image.
        there: Grid of the other file.
        second: Path of the other file, for the message.
        first: Path of the image.

    Raises:
        DataError: Size, coordinate reference system or transform differ.
    """
    if (here.height, here.width) != (there.height, there.width):
        raise DataError(
            f"{second} has {there.height} x {there.width} pixels (rows x columns), but {first} has {here.height} x "
            f"{here.width}; they must be pixel for pixel."
        )
    if there.crs is None or here.crs is None:
        return
    if here.crs != there.crs:
        raise DataError(
            f"{second} is in {there.crs.to_string()}, but {first} in {here.crs.to_string()}; reproject the label onto "
            "the image's grid."
        )
    shift = here.shift(there)
    if shift > LARGEST_SHIFT:
        raise DataError(
            f"{second} lies {shift:.3g} pixels beside {first}: their transforms differ; resample the second."
        )
