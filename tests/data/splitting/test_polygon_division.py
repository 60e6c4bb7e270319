"""Images divided between roles by polygons: who owns which pixel in the end."""

import os

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError
from shapely import box

from terrazzo.data.areas.polygons import PolygonArea
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.prepare import prepare_data
from terrazzo.data.reading import read_target
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.splitting.polygon_division import divide_by_polygons, polygon_areas
from terrazzo.data.splitting.settings import PolygonSettings
from terrazzo.errors import DataError

UTM = rasterio.crs.CRS.from_epsg(32633).to_wkt()


def write(path, boxes, crs="EPSG:32633", **columns):
    gpd.GeoDataFrame(columns, geometry=[box(*one) for one in boxes], crs=crs).to_file(path)
    return path


def scene(folder, name, left=500_000.0, top=5_200_000.0, size=(60, 80)):
    """An image of metres, and a label whose classes are drawn pixel by pixel."""
    label = np.random.default_rng(3).integers(0, 3, size).astype(np.uint8)
    for kind, values in (("images", np.stack([label + 10] * 3)), ("labels", label[None])):
        path = folder / kind / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = {"count": len(values), "height": size[0], "width": size[1]}
        transform = Affine(1, 0, left, 0, -1, top)
        with rasterio.open(
            path, "w", driver="GTiff", dtype="uint8", crs="EPSG:32633", transform=transform, **shape
        ) as file:
            file.write(values)
    return label


def prepared(folder, polygons, classes=("a", "b", "c")):
    data = {
        "source": {"name": "geotiff", "folder": folder / "data"},
        "classes": list(classes),
        "patch": {"size": 16},
        "split": {"polygons": polygons},
    }
    return prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=folder / "prepared"))


def test_one_file_whose_field_says_the_role(tmp_path):
    label = scene(tmp_path / "data", "ä")
    # Columns 0..29 train (two polygons, two spellings), 40..59 test, 60..79 no role; rows 0..49 only.
    path = write(
        tmp_path / "Rollen ü.gpkg",
        [
            (500_000, 5_199_950, 500_010, 5_200_000),
            (500_010, 5_199_950, 500_030, 5_200_000),
            (500_040, 5_199_950, 500_060, 5_200_000),
            (500_060, 5_199_950, 500_080, 5_200_000),
        ],
        split=["train", "Training", "test", None],
    )
    found = prepared(tmp_path, str(path))
    assert [(entry.image_id, entry.split) for entry in found.catalog] == [("ä#test", "test"), ("ä#train", "train")]
    expected = {"ä#train": (slice(0, 50), slice(0, 30)), "ä#test": (slice(0, 50), slice(40, 60))}
    for entry in found.catalog:
        target = read_target(entry, entry.grid.whole, found.classes)
        ours = np.full(label.shape, 255, dtype=np.uint8)
        ours[expected[entry.image_id]] = label[expected[entry.image_id]]
        assert np.array_equal(target, ours)
        counts = np.bincount(label[expected[entry.image_id]].ravel(), minlength=3)
        assert found.pixel_counts[entry.split] == tuple(counts.tolist())
    windows = found.index.frame[found.index.frame["image_id"] == "ä#train"]
    assert windows["x"].max() < 30
    assert windows["y"].max() < 50


def test_a_file_for_each_role_and_an_image_in_none(tmp_path):
    scene(tmp_path / "data", "a")
    scene(tmp_path / "data", "b", left=600_000.0)
    train = write(tmp_path / "train.geojson", [(500_000, 5_199_940, 500_020, 5_200_000)])
    val = write(tmp_path / "val.gpkg", [(500_020, 5_199_940, 500_080, 5_200_000)])
    found = prepared(tmp_path, {"files": {"val": val, "train": train}})
    assert [entry.image_id for entry in found.catalog] == ["a#train", "a#val"]
    assert sum(sum(counts) for counts in found.pixel_counts.values()) == 60 * 80
    assert any("1 images lie in no polygon of data.split.polygons and are left out (b)" in w for w in found.warnings)


def test_a_changed_file_is_noticed(tmp_path):
    scene(tmp_path / "data", "a")
    path = write(tmp_path / "s.geojson", [(500_000, 5_199_940, 500_020, 5_200_000)], split=["train"])
    first = prepared(tmp_path, str(path))
    assert sum(first.pixel_counts["train"]) == 20 * 60
    write(path, [(500_000, 5_199_940, 500_030, 5_200_000)], split=["train"])
    os.utime(path, (1, 1))
    assert sum(prepared(tmp_path, str(path)).pixel_counts["train"]) == 30 * 60


def entry(tmp_path, split=None, area=None):
    return ImageEntry(
        "a",
        tmp_path / "a.tif",
        None,
        (),
        split,
        None,
        60,
        80,
        crs=UTM,
        transform=(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_200_000.0),
        area=area,
    )


def test_polygons_of_two_roles_that_share_a_pixel_are_refused(tmp_path):
    path = write(
        tmp_path / "s.gpkg",
        [(500_000, 5_199_940, 500_020.6, 5_200_000), (500_020.4, 5_199_990, 500_080, 5_200_000)],
        split=["train", "val"],
    )
    with pytest.raises(DataError, match=r"train and val .* overlap in 10 pixels near row 0, column 0; a pixel has one"):
        divide_by_polygons([entry(tmp_path)], PolygonSettings(file=path))


def test_slivers_that_hold_no_centre_are_nobodys_business(tmp_path):
    path = write(
        tmp_path / "s.gpkg",
        [(500_000, 5_199_940, 500_020.4, 5_200_000), (500_019.6, 5_199_940, 500_080, 5_200_000)],
        split=["train", "val"],
    )
    found, notes = divide_by_polygons([entry(tmp_path)], PolygonSettings(file=path))
    assert [one.image_id for one in found] == ["a#train", "a#val"]
    assert notes == []


def test_a_part_of_a_part(tmp_path):
    own = PolygonArea(vectors=(write(tmp_path / "own.gpkg", [(500_000, 5_199_950, 500_040, 5_200_000)]),))
    path = write(tmp_path / "s.gpkg", [(500_020, 5_199_940, 500_080, 5_200_000)], split=["val"])
    found, _ = divide_by_polygons([entry(tmp_path, area=own)], PolygonSettings(file=path))
    inside = found[0].area.open(found[0].grid).inside(found[0].grid.whole)
    assert np.argwhere(inside).min(axis=0).tolist() == [0, 20]
    assert np.argwhere(inside).max(axis=0).tolist() == [49, 39]
    assert inside.sum() == 50 * 20


def test_polygons_decide_over_folders_but_named_sets_stay(tmp_path):
    path = write(tmp_path / "s.gpkg", [(500_000, 5_199_940, 500_080, 5_200_000)], split=["calibration"])
    found, _ = divide_by_polygons(
        [entry(tmp_path, split="test"), entry(tmp_path, split="val_sea")], PolygonSettings(file=path)
    )
    assert [(one.image_id, one.split) for one in found] == [("a#calibrate", "calibrate"), ("a", "val_sea")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["tran"], r'field "split" says "tran", which is no role.*Did you mean "train"'),
        ([None], "no polygon has a role"),
    ],
)
def test_what_is_no_role(tmp_path, values, message):
    path = write(tmp_path / "s.gpkg", [(0, 0, 1, 1)], split=values)
    with pytest.raises(DataError, match=message):
        polygon_areas(PolygonSettings(file=path))


def test_a_missing_field_and_a_missing_file(tmp_path):
    path = write(tmp_path / "s.gpkg", [(0, 0, 1, 1)], role=["train"])
    with pytest.raises(DataError, match='no field "split"; it has role'):
        polygon_areas(PolygonSettings(file=path))
    with pytest.raises(DataError, match=r"t\.gpkg cannot be read"):
        polygon_areas(PolygonSettings(file=tmp_path / "t.gpkg"))


def test_polygons_that_hold_no_image(tmp_path):
    path = write(tmp_path / "s.gpkg", [(0, 0, 1, 1)], split=["train"])
    with pytest.raises(DataError, match=r"no image lies in a polygon of .*s\.gpkg"):
        divide_by_polygons([entry(tmp_path)], PolygonSettings(file=path))


@pytest.mark.parametrize("settings", [{}, {"file": "a.gpkg", "files": {"train": "b.gpkg"}}, {"files": {}}])
def test_one_way_to_say_it(settings):
    with pytest.raises(ValidationError, match="give one of `file`"):
        PolygonSettings(**settings)
