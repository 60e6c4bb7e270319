"""Vector files looked at before they are burned."""

import geopandas as gpd
import pytest
from rasterio.crs import CRS
from shapely import Polygon, box

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.labels.vector_check import check_vectors
from terrazzo.errors import DataError

UTM = CRS.from_epsg(32633).to_wkt()
BOWTIE = Polygon([(2, 2), (4, 4), (4, 2), (2, 4)])


def write(path, shapes):
    gpd.GeoDataFrame(geometry=list(shapes), crs=UTM).to_file(path)
    return path


def scene(tmp_path, name, left, label):
    image = tmp_path / f"{name}.tif"
    return ImageEntry(name, image, label, (), None, None, 10, 10, crs=UTM, transform=(1.0, 0.0, left, 0.0, -1.0, 10.0))


def test_broken_shapes_are_told_once_a_file(tmp_path):
    path = write(tmp_path / "ä.geojson", [box(0, 0, 1, 1), None, BOWTIE, Polygon()])
    label = VectorLabel(vectors=path, value="a")
    notes = check_vectors([scene(tmp_path, name, 0.0, label) for name in "ab"])
    assert notes == [
        f"{path}: 2 of 4 shapes have no geometry and are skipped",
        f"{path}: 1 of 4 shapes are invalid and are repaired as they are read",
    ]


def test_sound_files_that_reach_every_scene_need_no_word(tmp_path):
    label = VectorLabel(vectors=write(tmp_path / "a.gpkg", [box(0, 0, 100, 1)]), value="a")
    assert check_vectors([scene(tmp_path, "a", 0.0, label), scene(tmp_path, "b", 50.0, label)]) == []


def test_scenes_without_shapes_are_named_where_others_have_some(tmp_path):
    label = VectorLabel(vectors=write(tmp_path / "a.gpkg", [box(0, 0, 5, 1)]), value="a")
    entries = [scene(tmp_path, name, left, label) for name, left in (("a", 0.0), ("b", 500.0), ("c", 900.0))]
    assert check_vectors(entries) == ["no shapes lie on 2 of 3 images (b, c)"]


def test_a_file_without_effect_is_named_where_another_has_some(tmp_path):
    here, there = write(tmp_path / "1.gpkg", [box(0, 0, 5, 1)]), write(tmp_path / "2.gpkg", [box(900, 0, 901, 1)])
    label = VectorLabel(vectors=(here, there), value="a")
    assert check_vectors([scene(tmp_path, "a", 0.0, label)]) == [f"{there}: no shapes lie on any image"]


@pytest.mark.parametrize("shapes", [[box(9000, 0, 9005, 1)], []])
def test_files_that_reach_no_scene_are_refused(tmp_path, shapes):
    label = VectorLabel(vectors=write(tmp_path / "a.gpkg", shapes), value="a")
    with pytest.raises(DataError, match=r"no shapes of .*a\.gpkg lie on any of 2 images.*check the coordinate"):
        check_vectors([scene(tmp_path, name, 0.0, label) for name in "ab"])


def test_areas_of_interest_that_reach_no_scene_are_refused(tmp_path):
    shapes, areas = write(tmp_path / "a.gpkg", [box(0, 0, 5, 1)]), write(tmp_path / "b.gpkg", [box(90, 0, 91, 1)])
    label = VectorLabel(vectors=shapes, value="a", areas_of_interest=areas)
    with pytest.raises(DataError, match=r"no areas of interest of .*b\.gpkg lie on any"):
        check_vectors([scene(tmp_path, "a", 0.0, label)])


def test_other_labels_are_left_alone(tmp_path):
    assert check_vectors([scene(tmp_path, "a", 0.0, RasterLabel(rasters=(tmp_path / "missing.tif",)))]) == []
    assert check_vectors([scene(tmp_path, "a", 0.0, None)]) == []
