"""Images of a catalog, ready to pass whole through the scene engine."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.reading import read_image, read_target
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.image_pass import PassImage
from terrazzo.scene.reader import Unreadable

__all__ = ["EntryRows", "pass_image", "target_rows"]

_ROWS_AT_ONCE = 128


class EntryRows:
    """Rows of a catalog's image, read as training reads its patches: extra bands, resampling, masks and all.

    Args:
        entry: The image.
        bands: Bands in the network's order.
    """

    def __init__(self, entry: ImageEntry, bands: Bands) -> None:
        self._entry = entry
        self._bands = bands

    def rows(self, top: int, bottom: int) -> Iterator[Raster]:
        """Yield rows from top to bottom.

        Raises:
            DataError: The image cannot be read.
        """
        for first in range(top, bottom, _ROWS_AT_ONCE):
            height = min(_ROWS_AT_ONCE, bottom - first)
            yield read_image(self._entry, Window(first, 0, height, self._entry.width), self._bands)

    def take_unreadable(self) -> tuple[Unreadable, ...]:
        """Return nothing: what cannot be read is an error here."""
        return ()


def pass_image(entry: ImageEntry, bands: Bands, classes: Classes) -> PassImage:
    """Return an image that is to pass; of a divided one only the windows that meet its part are computed.

    Args:
        entry: The image.
        bands: Bands in the network's order.
        classes: How labels name classes.
    """

    def labelled(rows: slice, columns: slice) -> bool:
        window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        return bool((read_target(entry, window, classes) != classes.ignore).any())

    return PassImage(
        name=str(entry.image),
        grid=entry.grid,
        bands=bands,
        source=EntryRows(entry, bands),
        wanted=None if entry.area is None or entry.label is None else labelled,
    )


def target_rows(
    entry: ImageEntry, classes: Classes, y: int, valid: Bool[np.ndarray, "y x"]
) -> tuple[Shaped[np.ndarray, "y x"], Bool[np.ndarray, "y x"]]:
    """Return the classes of rows over an image's whole width, and where nothing counts.

    Args:
        entry: The image.
        classes: How labels name classes.
        y: First row.
        valid: Where every band was measured.

    Returns:
        0..K-1 or the ignore value; true where the label is ignored or a band was not measured.
    """
    target = read_target(entry, Window(y, 0, valid.shape[0], entry.width), classes)
    return target, (target == classes.ignore) | ~valid
