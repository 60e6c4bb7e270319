"""Labels in raster files: on the image's own pixels, or anywhere and brought onto them window by window."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import Label, LabelReader
from terrazzo.data.same_grid import require_same_grid
from terrazzo.errors import LabelError
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile

__all__ = ["RasterLabel", "RasterLabelReader"]


class RasterLabel(Label):
    """A label image or a label raster."""

    name: Literal["raster"] = "raster"
    """Name of this kind."""
    rasters: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Files; where several hold a pixel, the first that says something there counts."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The rasters."""
        return self.rasters

    def open(self, grid: Grid) -> LabelReader:
        """Open the raster, which must lie on the image's pixels."""
        file = RasterFile(self.rasters[0])
        require_same_grid(grid, file.grid, second=file.path)
        return RasterLabelReader(file)


class RasterLabelReader(LabelReader):
    """An open label raster.

    Args:
        file: On the image's grid.
    """

    def __init__(self, file: RasterFile) -> None:
        self._file = file
        self.block_shape = file.block_shape

    def decode(self, window: Window, classes: Classes) -> Decoded:
        """Read a window and look its values or colours up."""
        raw = self._file.read(window)
        try:
            return classes.decode(raw.values, self._file.colormap, valid=raw.valid)
        except LabelError as error:
            raise LabelError(f"{self._file.path}: {error}") from error

    def close(self) -> None:
        """Free the file."""
        self._file.close()
