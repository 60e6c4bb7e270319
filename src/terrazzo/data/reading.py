"""Reading windows of images and labels, with files kept open a while and small ones kept decoded."""


import numpy as np
from jaxtyping import Shaped

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster

__all__ = ["read_image", "read_target"]


def read_image(entry: ImageEntry, window: Window, bands: Bands) -> Raster:
    """Read bands of a window.

    Returns:
        Raw values in the order of `bands`; valid where every one of them was measured.

    Raises:
        DataError: A file is missing or damaged.
        ContractError: The window leaves the image, or it has no such band.
    """
    raise NotImplementedError


def read_target(entry: ImageEntry, window: Window, classes: Classes) -> Shaped[np.ndarray, "y x"]:
    """Read the label of a window as class numbers.

    Returns:
        0..K-1 or `classes.ignore`, uint8 (uint16 above 254 classes); all ignored for an image without label.

    Raises:
        DataError: The file is missing or damaged.
        LabelError: It holds what no class lists, under `unlisted: error`.
    """
    raise NotImplementedError
