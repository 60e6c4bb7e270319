"""What every kind of label answers: the classes in a window of its image, whatever the label is made of."""

from abc import abstractmethod
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import Bool

from terrazzo.data.classes import Classes, Decoded
from terrazzo.geo.grid import Grid, Window
from terrazzo.record import Component, Table

__all__ = ["LABELS", "Label", "LabelReader"]

LABELS = Table(
    "labels",
    {
        "cityscapes": "terrazzo.data.labels.cityscapes:CityscapesLabel",
        "cvat": "terrazzo.data.labels.cvat:CvatLabel",
        "raster": "terrazzo.data.labels.raster:RasterLabel",
        "vector": "terrazzo.data.labels.vector:VectorLabel",
    },
)
"""Kinds of labels by name; the catalog names them, so that reading a patch needs no source."""


class LabelReader:
    """An opened label on the grid of its image. Use as a context manager or call `close`.

    Attributes:
        block_shape: Rows and columns that are decoded together; a label as wide as its image is best kept whole.
    """

    block_shape: tuple[int, int]

    def decode(self, window: Window, classes: Classes, inside: Bool[np.ndarray, "y x"] | None = None) -> Decoded:
        """Return class numbers of a window; where nothing is labelled, `classes.ignore`.

        Args:
            window: Pixels, inside the grid.
            classes: How labels name classes.
            inside: Pixels that count; others may be anything and are never unlisted. All count if None.

        Raises:
            DataError: A file is damaged.
            LabelError: It holds what no class lists, under `unlisted: error`.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Free files."""

    def __enter__(self) -> "LabelReader":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


class Label(Component):
    """Settings of one image's label, complete: with the image's grid they are all that reading needs."""

    @property
    @abstractmethod
    def files(self) -> tuple[Path, ...]:
        """Files that it is read from, the one that names it first; a change of one is a change of the label."""

    @property
    def file(self) -> Path:
        """The file that messages name."""
        return self.files[0]

    @abstractmethod
    def open(self, grid: Grid) -> LabelReader:
        """Open it for an image's grid.

        Raises:
            DataError: A file is missing, damaged, or cannot lie on that grid.
        """
