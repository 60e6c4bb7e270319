"""Bands in separate files, known by their names."""

import geopandas
import pytest
from shapely.geometry import box

from terrazzo.data.recognise.band_sets import band_set_layouts
from terrazzo.data.recognise.view import View


def found(tmp_path):
    layout = next(band_set_layouts(View.of(tmp_path)), None)
    if layout is None:
        return None
    return [layout.settings[key] for key in ("images", "labels", "bands")]


@pytest.mark.parametrize(
    ("names", "label", "expected"),
    [
        (
            ["s1_B10.tif", "s1_B2.tif", "s2_B10.tif", "s2_B2.tif"],
            "cover.tif",
            ["*_{band}.tif", "cover.tif", ["B2", "B10"]],
        ),
        (
            ["nir_x.TIF", "blue_x.TIF", "red_x.TIF"],
            "gt_x.TIF",
            ["{band}_*.TIF", "gt_*.TIF", ["red", "blue", "nir"]],
        ),
        (
            ["ä b/T_B8A_20m.tif", "ä b/T_B03_20m.tif"],
            "k.tif",
            ["ä b/*_{band}_20m.tif", "k.tif", ["B03", "B8A"]],
        ),
    ],
)  # fmt: skip
def test_patterns_labels_and_order(tmp_path, write, photo, stripes, names, label, expected):
    for name in names:
        write(name, photo(bands=1), place=(0, 0))
    write(label, stripes(0, 1), place=(0, 0))
    assert found(tmp_path) == expected


def test_one_band_is_no_set(tmp_path, write, photo, stripes):
    write("s_B1.tif", photo(bands=1))
    write("label.tif", stripes(0, 1))
    assert found(tmp_path) is None


def test_files_of_several_bands_are_no_bands(tmp_path, write, photo, stripes):
    for band in ("red", "nir", "green"):
        write(f"s_{band}.tif", photo(bands=3 if band == "green" else 1))
    write("label.tif", stripes(0, 1))
    assert found(tmp_path)[2] == ["red", "nir"]


def test_two_other_rasters_leave_the_label_open(tmp_path, write, photo, stripes):
    for band in ("red", "nir"):
        write(f"s_{band}.tif", photo(bands=1))
    write("one.tif", stripes(0, 1))
    write("two.tif", stripes(0, 1))
    assert found(tmp_path) is None


def test_shapes_label_bands_where_no_raster_does(tmp_path, write, photo):
    for band in ("red", "nir"):
        write(f"s_{band}.tif", photo(bands=1), place=(0, 0))
    geopandas.GeoDataFrame({"a": [1]}, geometry=[box(0, -9, 9, 0)], crs="EPSG:32632").to_file(tmp_path / "roads.gpkg")
    (layout,) = band_set_layouts(View.of(tmp_path))
    assert layout.settings["label_vectors"] == {"vectors": [tmp_path / "roads.gpkg"], "value": "road"}
    assert layout.make().pairs().pairs[0].label.name == "vector"
