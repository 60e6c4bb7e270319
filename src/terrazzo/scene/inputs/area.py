"""A scene of which only the inside of polygons counts: elsewhere nothing is read, and no pixel is valid."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from terrazzo.data.areas.polygons import PolygonArea
from terrazzo.errors import ContractError, DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.inputs.opened import OpenScene

__all__ = ["SceneInArea"]

# Side of the parts that are searched for a first pixel inside: large enough for few, small enough to burn at once.
_SEARCHED = 4096


class SceneInArea:
    """A scene in an area.

    Args:
        scene: The whole scene; closed with this.
        file: Vector file of the area.

    Raises:
        DataError: The file is missing or damaged, or one of both has no coordinate reference system.
    """

    def __init__(self, scene: OpenScene, file: Path) -> None:
        self._scene = scene
        self._file = file
        try:
            self._area = PolygonArea(vectors=(file,)).open(scene.grid)
        except DataError as error:
            scene.close()
            raise DataError(f"{scene.path} in its area of interest: {error}") from error
        self.path = scene.path
        self.grid = scene.grid
        self.bands = scene.bands

    def __enter__(self) -> "SceneInArea":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def block_shape(self) -> tuple[int, int]:
        """Height and width that the scene decodes together."""
        return self._scene.block_shape

    @property
    def sequential(self) -> bool:
        """Whether the scene can only be decoded from its top."""
        return self._scene.sequential

    @property
    def tags(self) -> dict[str, str]:
        """Metadata tags of the scene."""
        return self._scene.tags

    def never_missing(self, bands: Bands) -> bool:
        """Return that pixels may be missing: those outside the area are."""
        return False

    def read(self, window: Window, bands: Bands) -> Raster:
        """Read a window; pixels outside the area are 0 and not valid.

        Raises:
            DataError: A file is missing or damaged.
            ContractError: The window leaves the scene, or a band's name is unknown.
        """
        if window.intersection(self.grid.whole) != window:
            raise ContractError(f"{self.path}: {window} leaves the scene of {self.grid.height} x {self.grid.width}.")
        dtype = np.result_type(*(band.dtype for band in bands))
        values = np.zeros((len(bands), window.height, window.width), dtype=dtype)
        valid = np.zeros((window.height, window.width), dtype=bool)
        inside = self._area.inside(window)
        part = _around(inside)
        if part is not None:
            needed = Window(window.y + part.y, window.x + part.x, part.height, part.width)
            found = self._scene.read(needed, bands)
            # Nothing stands outside, however much was read around the area: what strips hash must not depend on that.
            np.copyto(values[:, *part.slices], found.values, where=inside[part.slices])
            valid[part.slices] = found.valid & inside[part.slices]
        return Raster(values, valid, self.grid.window(window), bands)

    def require_pixels(self) -> None:
        """Refuse an area in which the scene has no pixel.

        Raises:
            ContractError: With where the scene lies.
        """
        if not any(self._area.touches(part) for part in self.grid.tiles(_SEARCHED)):
            raise ContractError(
                f"No pixel of {self.path} lies in the area {self._file}: the scene covers "
                f"{self.grid.describe_bounds()}, and no polygon of the area holds the centre of a pixel there. Check "
                "that predict.area is meant for this scene."
            )

    def close(self) -> None:
        """Free the scene's files."""
        self._scene.close()


def _around(inside: Bool[np.ndarray, "y x"]) -> Window | None:
    """Return the smallest window around what is inside; None where nothing is."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Window(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)
