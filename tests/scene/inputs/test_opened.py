"""What every open scene offers."""

from pathlib import Path

import numpy as np
import rasterio

from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile
from terrazzo.scene.inputs.opened import OpenScene


def rows_of(scene: OpenScene) -> np.ndarray:
    with scene as opened:
        return opened.read(Window(1, 0, 2, opened.grid.width), opened.bands).values


def test_a_raster_file_is_one(tmp_path: Path) -> None:
    values = np.arange(12, dtype="uint8").reshape(1, 4, 3)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=1, height=4, width=3, dtype="uint8", crs="EPSG:32632"
    ) as file:
        file.write(values)
    np.testing.assert_array_equal(rows_of(RasterFile(tmp_path / "a.tif")), values[:, 1:3])
