"""What a map must say of its scene's place."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from terrazzo.scene.inputs.georeference import scene_georeference
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.single import file_entry
from terrazzo.scene.layer import NOWHERE

Write = Callable[..., Path]
PIXELS = np.ones((1, 4, 4), "uint8")


def test_control_points_of_a_file(tmp_path: Path) -> None:
    points = [GroundControlPoint(row, column, 7 + column, 50 - row) for row, column in ((0, 0), (0, 4), (4, 0))]
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", count=1, height=4, width=4, dtype="uint8", gcps=points, crs="EPSG:4326"
    ) as file:
        file.write(PIXELS)
    found = scene_georeference(file_entry(str(tmp_path / "a.tif"), whole=True))
    assert found.present
    assert [(point.row, point.col, point.x, point.y) for point in found.gcps] == [
        (point.row, point.col, point.x, point.y) for point in points
    ]
    assert found.gcps_crs is not None
    assert found.gcps_crs.to_epsg() == 4326


def test_a_picture_lies_nowhere(write_raster: Write) -> None:
    assert scene_georeference(file_entry(str(write_raster("a.tif", PIXELS, crs=None)), whole=True)) == NOWHERE


def test_of_several_files_the_grid_says_all(write_raster: Write) -> None:
    entries = [file_entry(str(write_raster(f"{x}.tif", PIXELS, x=500_000 + x)), whole=True) for x in (0, 4)]
    found = scene_georeference(joined(entries, order="first", name="m"))
    assert (found.present, found.gcps, found.rpcs) == (True, (), None)
    bare = entries[0].model_copy(update={"own_grid": False})
    frame = bare.frame.model_copy(update={"crs": None, "transform": tuple(Affine.identity())[:6]})
    assert not scene_georeference(bare.model_copy(update={"frame": frame})).present
