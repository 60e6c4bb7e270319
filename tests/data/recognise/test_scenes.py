"""Scenes with shapes or with rasters that cover them."""

import geopandas
import pytest
from shapely.geometry import box

from terrazzo.data.recognise.scenes import scene_layouts
from terrazzo.data.recognise.view import View


@pytest.fixture
def shapes(tmp_path):
    def write(file, **columns):
        count = len(next(iter(columns.values())))
        geometry = [box(10 * number, -60, 10 * number + 8, -10) for number in range(count)]
        geopandas.GeoDataFrame(columns, geometry=geometry, crs="EPSG:32632").to_file(tmp_path / file)
        return tmp_path / file

    return write


def test_shapes_with_a_field_of_classes(tmp_path, write, photo, shapes):
    write("scene ä.tif", photo(), place=(0, 0))
    path = shapes("k ß.gpkg", landuse=["wood", "water", "wood", "water"], note=["a", "b", "c", "d"])
    (layout,) = scene_layouts(View.of(tmp_path))
    assert layout.settings["label_vectors"] == {"vectors": [path], "field": "landuse"}
    assert layout.settings["images"] == "*.tif"
    assert len(layout.make().pairs().pairs) == 1


def test_label_rasters_come_first(tmp_path, write, photo, stripes, shapes):
    write("scene.tif", photo(), place=(0, 0))
    cover = write("cover.tif", stripes(0, 1, 2), place=(0, 0))
    shapes("a.geojson", name=["x"])
    first, second = scene_layouts(View.of(tmp_path))
    assert first.settings["label_rasters"] == [cover]
    assert second.settings["label_vectors"]["value"] == "foreground"


def test_images_without_place_are_no_scenes(tmp_path, write, photo, shapes):
    write("photo.png", photo())
    shapes("a.geojson", name=["x"])
    assert list(scene_layouts(View.of(tmp_path))) == []
