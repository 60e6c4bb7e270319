"""What a model answered to an image, as files: a mask of its classes, and the probability of each class."""

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Shaped

from terrazzo.assessment.judged_rows import JudgedRows
from terrazzo.data.areas.area import AreaReader
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.pictures.mask_files import LARGEST_PNG_PIXELS
from terrazzo.geo.grid import Window
from terrazzo.scene.layer import NOWHERE, Georeference, Layer
from terrazzo.scene.layers import class_layer, product_layer
from terrazzo.scene.pam import write_side_file
from terrazzo.scene.products import CONFIDENCE_STEPS, Product
from terrazzo.scene.writer import RowWriter, open_writer
from terrazzo.storage import atomic_path

__all__ = ["MaskFile", "ProbabilityFile", "mask_path", "probability_path"]


def mask_path(folder: Path, name: str, entry: ImageEntry) -> Path:
    """Return where an image's mask is written: a GeoTIFF where it has coordinates or is large, else a PNG."""
    large = entry.height * entry.width > LARGEST_PNG_PIXELS
    return folder / f"{name}{'.tif' if _georeference(entry).present or large else '.png'}"


def probability_path(folder: Path, name: str) -> Path:
    """Return where an image's probabilities are written: a GeoTIFF, since no picture has a band each class."""
    return folder / f"{name}.tif"


class MaskFile:
    """The classes that were answered, with a palette; no class where nothing was measured or an image is not its own.

    Args:
        writer: Takes the rows.
        entry: The image.
        classes: How labels name classes.
    """

    def __init__(self, writer: RowWriter, entry: ImageEntry, classes: Classes) -> None:
        self._writer = writer
        self._ignore = classes.ignore
        self._own = _Own(entry)

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, entry: ImageEntry, classes: Classes) -> "Iterator[MaskFile]":
        """Open a file that appears whole or not at all."""
        layer = class_layer(classes, "index", {})
        with _opened(path, entry, layer) as writer:
            yield cls(writer, entry, classes)
        write_side_file(path, layer)

    def add(self, rows: JudgedRows) -> None:
        """Append rows."""
        number = rows.number.numpy().astype(np.uint8 if self._ignore == 255 else np.uint16)
        number[~self._own.inside(rows)] = self._ignore
        self._writer.write(number[None])


class ProbabilityFile:
    """The probability of each class, a band each, in steps of 1/254; 255 where there is none.

    Args:
        writer: Takes the rows.
        entry: The image.
    """

    def __init__(self, writer: RowWriter, entry: ImageEntry) -> None:
        self._writer = writer
        self._own = _Own(entry)

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, entry: ImageEntry, classes: Classes) -> "Iterator[ProbabilityFile]":
        """Open a file that appears whole or not at all."""
        product = Product("probabilities", np.dtype(np.uint8), len(classes), 255)
        with _opened(path, entry, product_layer(product, classes, {})) as writer:
            yield cls(writer, entry)

    def add(self, rows: JudgedRows) -> None:
        """Append rows."""
        steps = (rows.probabilities * CONFIDENCE_STEPS).round().clamp(0, CONFIDENCE_STEPS)
        values: Shaped[np.ndarray, "class y x"] = steps.to(torch.uint8).numpy()
        values[:, ~self._own.inside(rows)] = 255
        self._writer.write(values)


class _Own:
    """The pixels of which an answer is written: measured ones, of a divided image only its own part."""

    def __init__(self, entry: ImageEntry) -> None:
        self._area: AreaReader | None = None if entry.area is None else entry.area.open(entry.grid)

    def inside(self, rows: JudgedRows) -> Bool[np.ndarray, "y x"]:
        if self._area is None:
            return rows.valid
        height, width = rows.valid.shape
        return np.asarray(rows.valid & self._area.inside(Window(rows.y, 0, height, width)))


@contextlib.contextmanager
def _opened(path: Path, entry: ImageEntry, layer: Layer) -> Iterator[RowWriter]:
    georeference = _georeference(entry)
    with ExitStack() as opened:
        temporary = opened.enter_context(atomic_path(path))
        yield opened.enter_context(open_writer(temporary, layer, entry.grid, georeference, goal=path, overviews=False))


def _georeference(entry: ImageEntry) -> Georeference:
    placed = entry.grid.crs is not None or not entry.grid.transform.is_identity
    return Georeference((), None, None, present=True) if placed else NOWHERE
