"""Georeferenced scenes with label rasters."""

import warnings

import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC
from rasterio.warp import transform as transform_points

from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.reading import read_target
from terrazzo.data.sources.geotiff import GeotiffSource
from terrazzo.data.sources.headers import header_notes, read_header
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window

HERE = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


def write(path, *, transform=HERE, crs="EPSG:32633", size=(6, 9), values=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros(size, dtype=np.uint8) if values is None else values
    size = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=size[0], width=size[1], dtype="uint8", crs=crs, transform=transform
    ) as file:
        file.write(values[None])


def catalog(tmp_path, **label):
    write(tmp_path / "images" / "ä.tif")
    write(tmp_path / "labels" / "ä.tif", **label)
    return GeotiffSource(folder=tmp_path).catalog()


def test_scene_and_label_on_one_grid(tmp_path):
    entry = catalog(tmp_path).entry("ä")
    assert entry.grid.crs.to_epsg() == 32633
    assert entry.grid.transform == HERE
    assert entry.grid.resolution_m == 0.5


def test_rounding_in_a_transform_is_no_difference(tmp_path):
    assert len(catalog(tmp_path, transform=HERE @ Affine.translation(0.0005, -0.0005))) == 1


def test_labels_on_another_grid_are_brought_onto_the_scenes_with_a_note(tmp_path):
    for number, label in enumerate(
        [
            {"transform": HERE @ Affine.translation(0.5, 0)},
            {"transform": HERE @ Affine.scale(1.01)},
            {"transform": HERE @ Affine.translation(0, 6) @ Affine.scale(1, -1)},
            {"size": (9, 6)},
        ]
    ):
        write(tmp_path / "images" / f"ä {number}.tif")
        write(tmp_path / "labels" / f"ä {number}.tif", **label)
    write(tmp_path / "images" / "same.tif")
    write(tmp_path / "labels" / "same.tif")
    source = GeotiffSource(folder=tmp_path)
    assert len(source.catalog()) == 5
    (note,) = header_notes([read_header(pair, georeferenced=True) for pair in source.pairs().pairs])
    assert "labels of 4 of 5 images lie on another grid" in note
    assert "labels/ä 0.tif onto" in note


def test_labels_elsewhere_name_both_places(tmp_path):
    message = (
        r"images/ä\.tif: no label lies on the image, which covers x 500000 to 500004.5, y 3999997 to 4000000 in "
        r"EPSG:32633, but .*labels/ä\.tif covers .* in EPSG:32634"
    )
    with pytest.raises(DataError, match=message):
        catalog(tmp_path, crs="EPSG:32634")


def test_a_label_without_coordinates_is_taken_pixel_for_pixel(tmp_path):
    assert len(catalog(tmp_path, crs=None)) == 1
    with pytest.raises(
        DataError, match=r"labels/ä\.tif has 9 x 6 pixels .*, but its image has 6 x 9, and only one of them"
    ):
        catalog(tmp_path, crs=None, size=(9, 6))


def test_one_raster_labels_all_scenes_in_their_own_systems(tmp_path):
    """Two UTM zones and three pixel sizes in one catalog, with one label raster in degrees."""
    write(tmp_path / "ein Ort" / "a.tif")
    write(tmp_path / "ein Ort" / "b.TIF", transform=HERE @ Affine.scale(2), size=(3, 4))
    zones = CRS.from_epsg(32633), CRS.from_epsg(32634)
    east, north = (axis[0] for axis in transform_points(*zones, [500_000], [4_000_000]))
    write(tmp_path / "c.tif", transform=Affine(1, 0, east, 0, -1, north), crs="EPSG:32634")
    label = tmp_path / "cover 1.tif"
    write(label, transform=Affine(1e-5, 0, 15 - 1e-4, 0, -1e-5, 36.15), crs="EPSG:4326", size=(600, 600))
    source = GeotiffSource(folder=tmp_path, label_rasters=[tmp_path / "cover *.tif"])
    found = source.catalog()
    assert [entry.image_id for entry in found] == ["c", "ein Ort/a", "ein Ort/b"]
    assert {entry.label for entry in found} == {RasterLabel(rasters=(label,))}
    assert [entry.grid.resolution_m for entry in found] == pytest.approx([1, 0.5, 1])
    assert [entry.grid.crs.to_epsg() for entry in found] == [32634, 32633, 32633]


def test_scenes_by_a_pattern_and_several_label_rasters(tmp_path):
    for name in ("x/scene_1.tif", "x/scene_2.tif", "x/other.tif", "gt/left.tif", "gt/right.tif"):
        write(tmp_path / name)
    rasters = (tmp_path / "gt/right.tif", tmp_path / "gt/left.tif")
    listing = GeotiffSource(folder=tmp_path, images="x/scene_*.tif", label_rasters=rasters).pairs()
    assert [pair.image_id for pair in listing.pairs] == ["1", "2"]
    assert {pair.label for pair in listing.pairs} == {RasterLabel(rasters=rasters)}
    assert listing.notes == ()


def test_label_rasters_may_lie_in_a_folder_called_labels(tmp_path):
    write(tmp_path / "train" / "images" / "a.tif")
    write(tmp_path / "train" / "labels" / "everything.tif")
    source = GeotiffSource(folder=tmp_path, label_rasters=[tmp_path / "train/labels/everything.tif"])
    (pair,) = source.pairs().pairs
    assert (pair.image_id, pair.split) == ("train/a", "train")


def test_a_label_raster_that_is_not_there(tmp_path):
    write(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"label_rasters: there is no file .*cover\*\.tif"):
        GeotiffSource(folder=tmp_path, label_rasters=[tmp_path / "cover*.tif"]).pairs()


def test_files_that_join_later_are_found(tmp_path):
    """A listing is of now: neither the source nor a copy of it remembers an earlier one."""
    for name in ("a.tif", "cover/1.tif"):
        write(tmp_path / "one" / name)
        write(tmp_path / "two" / name)
    source = GeotiffSource(folder=tmp_path / "one", images="*.tif", label_rasters=[tmp_path / "one/cover/*.tif"])
    assert [len(pair.label.rasters) for pair in source.pairs().pairs] == [1]
    write(tmp_path / "one/cover/2.tif")
    other = source.model_copy(update={"label_rasters": (tmp_path / "two/cover/*.tif",)})
    assert [len(pair.label.rasters) for pair in source.pairs().pairs] == [2]
    assert [pair.label.rasters for pair in other.pairs().pairs] == [(tmp_path / "two/cover/1.tif",)]


def test_nothing_but_the_label_raster(tmp_path):
    write(tmp_path / "cover.tif")
    with pytest.raises(DataError, match="no scene beside the label rasters"):
        GeotiffSource(folder=tmp_path, label_rasters=[tmp_path / "cover.tif"]).pairs()


def test_labels_of_both_kinds_are_a_contradiction(tmp_path):
    with pytest.raises(ValidationError, match="not labels and label_rasters"):
        GeotiffSource(folder=tmp_path, images="*.tif", labels="gt/*.tif", label_rasters=["cover.tif"])


def test_scenes_without_label_stay_where_asked(tmp_path):
    for name in ("images/a.tif", "images/b.tif", "labels/b.tif"):
        write(tmp_path / name)
    with pytest.raises(DataError, match="1 image with no label"):
        GeotiffSource(folder=tmp_path).pairs()
    listing = GeotiffSource(folder=tmp_path, unlabelled=True).pairs()
    assert [(pair.image_id, pair.label is None) for pair in listing.pairs] == [("a", True), ("b", False)]
    assert listing.notes == ("1 of 2 scenes have no label, and nothing is learned from them (a)",)
    assert len(GeotiffSource(folder=tmp_path, unlabelled=True).catalog()) == 2


def test_a_scene_that_the_label_raster_does_not_reach(tmp_path):
    write(tmp_path / "near.tif")
    write(tmp_path / "far.tif", transform=HERE @ Affine.translation(5000, 0))
    write(tmp_path / "cover.tif")
    rasters = [tmp_path / "cover.tif"]
    with pytest.raises(DataError, match=r"far\.tif: no label lies on the image"):
        GeotiffSource(folder=tmp_path, label_rasters=rasters).catalog()
    far = GeotiffSource(folder=tmp_path, label_rasters=rasters, unlabelled=True).catalog().entry("far")
    assert (read_target(far, Window(0, 0, 6, 9), Classes(items=["a", "b"])) == 255).all()


@pytest.mark.parametrize("kind", ["gcps", "rpcs"])
def test_scenes_without_a_grid_are_refused_by_name(tmp_path, kind):
    points = [GroundControlPoint(y, x, 15 + x / 100, 36 - y / 100) for y, x in ((0, 0), (0, 9), (6, 9), (6, 0))]
    rpcs = RPC(
        err_bias=1, err_rand=1, height_off=1, height_scale=1, lat_off=36, lat_scale=1, long_off=15, long_scale=1,
        line_off=3, line_scale=3, samp_off=4, samp_scale=4, line_num_coeff=[1.0] * 20, line_den_coeff=[1.0] * 20,
        samp_num_coeff=[1.0] * 20, samp_den_coeff=[1.0] * 20,
    )  # fmt: skip
    how = {"gcps": points, "crs": "EPSG:4326"} if kind == "gcps" else {"rpcs": rpcs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            tmp_path / "a b.tif", "w", driver="GTiff", count=1, height=6, width=9, dtype="uint8", **how
        ) as file:
            file.write(np.zeros((1, 6, 9), dtype=np.uint8))
    words = "ground control points alone.*gdalwarp -t_srs" if kind == "gcps" else "RPCs alone.*gdalwarp .*-rpc"
    with pytest.raises(DataError, match=rf"a b\.tif says where it lies by {words}"):
        GeotiffSource(folder=tmp_path, unlabelled=True).catalog()


@pytest.mark.parametrize(
    "transform", [Affine(0.5, 0, 500_000, 0, 0.5, 4_000_000), HERE @ Affine.rotation(25)], ids=["south up", "rotated"]
)
def test_south_up_and_rotated_scenes_keep_their_pixels(tmp_path, transform):
    write(tmp_path / "images" / "a.tif", transform=transform)
    values = np.random.default_rng(0).integers(0, 2, (6, 9), dtype=np.uint8)
    write(
        tmp_path / "labels" / "a.tif", transform=transform @ Affine.scale(0.5), values=values.repeat(2, 0).repeat(2, 1)
    )
    entry = GeotiffSource(folder=tmp_path).catalog().entry("a")
    assert entry.grid.transform == transform
    assert (read_target(entry, Window(0, 0, 6, 9), Classes(items=["a", "b"])) == values).all()


def test_plain_images_are_refused(write_photo, tmp_path):
    for folder in ("images", "masks"):
        write_photo(f"{folder}/a.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(DataError, match="use the source `folder`"):
        GeotiffSource(folder=tmp_path).catalog()


def test_real_scenes(real_data):
    source = GeotiffSource(
        folder=real_data / "geotiff_label_raster_tiles", images="tiled_image_*.tif", labels="tiled_label_*.tif"
    )
    entries = source.catalog().entries()
    assert [(entry.image_id, entry.height, entry.width) for entry in entries] == [("1", 512, 512), ("2", 512, 512)]
    assert {entry.grid.crs.to_epsg() for entry in entries} == {2949}


def test_real_scene_with_bands_in_files_and_a_label_in_another_system(real_data):
    folder = real_data / "zion_landsat_nlcd" / "raster"
    source = GeotiffSource(
        folder=folder, images="landsat_b2.tif", extra=("landsat_b3.tif", "landsat_b5.tif"),
        label_rasters=(folder / "nlcd.tif",),
    )  # fmt: skip
    (pair,) = source.pairs().pairs
    header = read_header(pair, georeferenced=True)
    assert pair.image_id == "landsat_b2"
    assert (header.entry.height, header.entry.width) == (1428, 1128)
    assert header.entry.crs == CRS.from_epsg(32612).to_wkt()
    assert len(header.bands) == 3
    assert header.reprojected == (str(folder / "nlcd.tif"),)
