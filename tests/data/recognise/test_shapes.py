"""Classes of shapes."""

import geopandas
import pytest
from shapely.geometry import Point

from terrazzo.data.classes import Classes
from terrazzo.data.recognise.shapes import classes_of_annotations, guess_shapes
from terrazzo.errors import DataError


@pytest.fixture
def vectors(tmp_path):
    def write(**columns):
        count = len(next(iter(columns.values())))
        path = tmp_path / "ä b.gpkg"
        geometry = [Point(number, 0) for number in range(count)]
        geopandas.GeoDataFrame(columns, geometry=geometry, crs="EPSG:32632").to_file(path)
        return path

    return write


def test_words(vectors):
    guess = guess_shapes(vectors(class_name=["wood", "sea", "wood", "sea"]), path_words="")
    assert guess.settings == {"field": "class_name"}
    assert Classes.model_validate(guess.classes.settings).names == ("sea", "wood")


def test_numbers_and_the_value_that_means_nothing(vectors):
    guess = guess_shapes(vectors(code=["10", "2", "255", "2", "10", "255"]), path_words="")
    classes = Classes.model_validate(guess.classes.settings)
    assert classes.names == ("class_2", "class_10")
    assert classes.ignore_values == (255,)


@pytest.mark.parametrize(
    "column", [{"note": ["a", "b", "a", "b"]}, {"class": ["a", "b", "c", "d"]}, {"class": ["a", None, None, None]}]
)
def test_fields_that_say_no_class(vectors, column):
    guess = guess_shapes(vectors(**column), path_words="AOI_6_buildings.geojson")
    assert guess.settings == {"value": "building"}
    assert Classes.model_validate(guess.classes.settings).names == ("background", "building")


def test_no_vector_file(tmp_path):
    (tmp_path / "a.gpkg").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"a\.gpkg cannot be read as vector data"):
        guess_shapes(tmp_path / "a.gpkg", path_words="")


def test_attributes_of_new_brunswick(real_data):
    path = real_data / "geotiff_newbrunswick" / "BakerLake_2017_clipped.gpkg"
    found = geopandas.read_file(path)["Quatreclasses"]
    guess = guess_shapes(path, path_words="")
    assert guess.settings == {"field": "Quatreclasses"}
    classes = Classes.model_validate(guess.classes.settings)
    assert {value for item in classes.items for value in item.values} == {int(word) for word in found} - {255}


def test_labels_of_an_annotation_file(real_data):
    guess = classes_of_annotations(real_data / "cvat_moor" / "annotations.xml")
    classes = Classes.model_validate(guess.settings)
    assert classes.names == ("background", "moor")
    assert classes.items[1].colour == (0x3D, 0x3D, 0xF5)
