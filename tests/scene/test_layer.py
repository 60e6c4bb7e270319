"""How a scene says where it lies."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from terrazzo.scene.layer import Layer, LegendEntry, read_georeference


def test_whether_a_scene_says_where_it_lies(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "uint8"}
    points = [GroundControlPoint(row, column, column, row, 0) for row in (0, 2) for column in (0, 2)]
    for name, more, expected in (
        ("none", {}, False),
        ("crs", {"crs": "EPSG:32612"}, True),
        ("transform", {"transform": Affine(2, 0, 1, 0, -2, 1)}, True),
        ("gcps", {"gcps": points, "crs": CRS.from_epsg(4326)}, True),
    ):
        path = tmp_path / f"{name}.tif"
        with rasterio.open(path, "w", **profile, **more):
            pass
        found = read_georeference(path)
        assert found.present is expected, name
        assert len(found.gcps) == (4 if name == "gcps" else 0)
        assert found.rpcs is None


def test_what_knows_no_mean() -> None:
    numbers = np.dtype(np.uint8)
    assert Layer("class", numbers, legend=(LegendEntry(0, "a", (0, 0, 0)),)).categorical
    assert Layer("class", numbers, channels=4, colours=True).categorical
    assert not Layer("confidence", numbers).categorical
