"""Label rasters on the image's pixels, and anywhere else."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.errors import DataError, LabelError
from terrazzo.geo.grid import Grid, Window

UTM = CRS.from_epsg(32633)
HERE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
GRID = Grid(UTM, HERE, 6, 8)
CLASSES = Classes(items=["a", "b", "c"], ignore_values=[9])
IGNORE = 255


def write(path, values, transform=HERE, *, crs=UTM, palette=None, **profile):
    values = np.asarray(values)
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    frame = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", crs=crs, transform=transform, **frame, **profile) as file:
        file.write(values)
        if palette:
            file.write_colormap(1, palette)
    return path


def decoded(*paths, grid=GRID, classes=CLASSES, window=None, **label):
    with RasterLabel(rasters=paths, **label).open(grid) as reader:
        return reader.decode(window or grid.whole, classes)


def noise(height, width, high=3, seed=0, dtype="uint8"):
    return np.random.default_rng(seed).integers(0, high, (height, width)).astype(dtype)


@pytest.mark.parametrize("shift", [0, 0.007])
def test_bounds_that_differ_by_rounding_are_equal(tmp_path, shift):
    values = noise(6, 8)
    with RasterLabel(rasters=(write(tmp_path / "l.tif", values, HERE @ Affine.translation(shift, -shift)),)).open(
        GRID
    ) as label:
        assert label.warped == ()
        assert (label.decode(GRID.whole, CLASSES).target == values).all()


@pytest.mark.parametrize("factor", [2, 5])
def test_a_finer_image_repeats_labels(tmp_path, factor):
    values = noise(6, 8)
    fine = Grid(UTM, HERE @ Affine.scale(1 / factor), 6 * factor, 8 * factor)
    found = decoded(write(tmp_path / "l.tif", values), grid=fine).target
    assert (found == values.repeat(factor, axis=0).repeat(factor, axis=1)).all()


def test_outside_is_ignored_even_where_zero_is_a_class(tmp_path):
    """The file's nodata value is a class: where it stands it counts, beyond the file nothing does."""
    path = write(tmp_path / "l.tif", noise(4, 4, 2), HERE @ Affine.translation(2, 1), nodata=0)
    expected = np.full((6, 8), IGNORE)
    expected[1:5, 2:6] = noise(4, 4, 2)
    found = decoded(path)
    assert (found.target == expected).all()
    assert found.unlisted == {}
    for unlisted in ("ignore", "background"):
        assert (decoded(path, classes=CLASSES.model_copy(update={"unlisted": unlisted})).target == expected).all()


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
@pytest.mark.parametrize("shift", [0, 1])
def test_negative_nodata_and_ignore_values(tmp_path, dtype, shift):
    values = np.array([[0, 1, -9999, -1], [2, 9, 1, 0]], dtype)
    path = write(tmp_path / "l.tif", values, nodata=-9999)
    classes = Classes(items=["a", "b", "c"], ignore_values=[-1, 9])
    found = decoded(path, grid=Grid(UTM, HERE @ Affine.translation(-shift, 0), 2, 4 + shift), classes=classes)
    expected = np.array([[0, 1, IGNORE, IGNORE], [2, IGNORE, 1, 0]])
    assert (found.target[:, shift:] == expected).all()
    assert (found.target[:, :shift] == IGNORE).all()
    assert found.unlisted == {}


def test_unlisted_values_are_counted_as_pixels_of_the_image(tmp_path):
    path = write(tmp_path / "l.tif", np.array([[0, 17]], "uint8"))
    grid = Grid(UTM, HERE @ Affine.scale(0.5) @ Affine.translation(-2, 0), 2, 6)
    with pytest.raises(LabelError, match=r"l\.tif: no class lists 17 \(4 pixels\)"):
        decoded(path, grid=grid)
    found = decoded(path, grid=grid, classes=CLASSES.model_copy(update={"unlisted": "ignore"}))
    assert found.unlisted == {"17": 4}
    found = decoded(path, grid=grid, classes=CLASSES.model_copy(update={"unlisted": "background"}))
    assert found.target[0].tolist() == [IGNORE, IGNORE, 0, 0, 0, 0]


def test_palette_and_colour_labels(tmp_path):
    colours = [(60, 16, 152), (132, 41, 246), (110, 193, 228)]
    classes = Classes(items=tuple(Class(name=str(n), colour=colour) for n, colour in enumerate(colours)))
    values = noise(6, 8)
    fine = Grid(UTM, HERE @ Affine.scale(0.5) @ Affine.translation(1, 1), 10, 14)
    expected = values.repeat(2, axis=0).repeat(2, axis=1)[1:11, 1:15]
    palette = write(tmp_path / "p.tif", values, palette={n: (*colour, 255) for n, colour in enumerate(colours)})
    rgb = write(tmp_path / "c.tif", np.moveaxis(np.array(colours, "uint8")[values], -1, 0), photometric="RGB")
    for path in (palette, rgb):
        assert (decoded(path, grid=fine, classes=classes).target == expected).all()
        beyond = decoded(path, grid=Grid(UTM, HERE @ Affine.translation(-3, 0), 6, 8), classes=classes)
        assert (beyond.target[:, :3] == IGNORE).all()
        assert (beyond.target[:, 3:] == values[:, :5]).all()


def test_of_several_the_first_that_says_something_counts(tmp_path):
    first = write(tmp_path / "1.tif", np.array([[0, 255, 2]], "uint8"), nodata=255)
    second = write(tmp_path / "2.tif", np.array([[1, 1, 1, 255]], "uint8"), HERE @ Affine.translation(0, 0), nodata=255)
    third = write(tmp_path / "ä 3.tif", np.array([[2]], "int16"), HERE @ Affine.translation(3, 0))
    grid = Grid(UTM, HERE, 1, 5)
    assert decoded(first, second, third, grid=grid).target.tolist() == [[0, 1, 2, 2, IGNORE]]
    assert decoded(third, second, first, grid=grid).target.tolist() == [[1, 1, 1, 2, IGNORE]]


def test_missing_in_one_file_is_filled_by_the_next_before_it_counts_as_a_class(tmp_path):
    first = write(tmp_path / "1.tif", np.array([[0, 0, 2]], "uint8"), nodata=0)
    second = write(tmp_path / "2.tif", np.array([[1]], "uint8"))
    assert decoded(first, second, grid=Grid(UTM, HERE, 1, 4)).target.tolist() == [[1, 0, 2, IGNORE]]


def test_what_a_hidden_pixel_holds_is_no_mistake(tmp_path):
    first = write(tmp_path / "1.tif", np.array([[1, 1]], "uint8"))
    second = write(tmp_path / "2.tif", np.array([[17, 17, 2]], "uint8"))
    assert decoded(first, second, grid=Grid(UTM, HERE, 1, 3)).target.tolist() == [[1, 1, 2]]


@pytest.mark.parametrize(("image", "label"), [(None, UTM), (UTM, None), (None, None)])
def test_without_coordinates_on_one_side_pixels_match(tmp_path, image, label):
    values = noise(6, 8)
    path = write(tmp_path / "l.tif", values, HERE @ Affine.translation(50, 50), crs=label)
    assert (decoded(path, grid=Grid(image, HERE, 6, 8)).target == values).all()
    with pytest.raises(DataError, match=r"l\.tif has 6 x 8 pixels .* its image has 6 x 9, and .* coordinate reference"):
        RasterLabel(rasters=(path,)).open(Grid(image, HERE, 6, 9))


def test_a_label_that_does_not_reach_its_image_names_both_places(tmp_path):
    path = write(tmp_path / "far ö.tif", noise(4, 4), HERE @ Affine.translation(100, 0))
    expected = (
        r"no label lies on the image, which covers x 500000 to 500080, y 4999940 to 5000000 in EPSG:32633, but "
        r".*far ö\.tif covers x 501000 to 501040, y 4999960 to 5000000 in EPSG:32633"
    )
    with pytest.raises(DataError, match=expected):
        RasterLabel(rasters=(path,)).open(GRID)
    assert (decoded(path, may_miss=True).target == IGNORE).all()


def test_a_system_that_does_not_reach_the_image_is_named(tmp_path):
    path = write(tmp_path / "l.tif", noise(4, 4), Affine(1e-4, 0, -120, 0, -1e-4, -30), crs=CRS.from_epsg(4326))
    with pytest.raises(DataError, match=r"EPSG:32633, but .* in EPSG:4326; check the coordinate reference systems"):
        RasterLabel(rasters=(path,)).open(GRID)


def test_only_one_of_several_need_cover_the_image(tmp_path):
    far = write(tmp_path / "far.tif", noise(4, 4), HERE @ Affine.translation(100, 0))
    near = write(tmp_path / "near.tif", noise(6, 8))
    with RasterLabel(rasters=(far, near)).open(GRID) as label:
        assert (label.decode(GRID.whole, CLASSES).target == noise(6, 8)).all()
        assert label.block_shape[1] == 8


def test_windows_agree_with_the_whole(tmp_path):
    path = write(tmp_path / "l.tif", noise(300, 300), nodata=0)
    left, top = (value[0] for value in transform_points(UTM, CRS.from_epsg(3035), [499_500], [4_999_600]))
    grid = Grid(CRS.from_epsg(3035), Affine(7, 0, left, 0, -7, top), 280, 330)
    whole = decoded(path, grid=grid).target
    assert set(np.unique(whole)) == {0, 1, 2, IGNORE}
    for window in (Window(0, 0, 1, 1), Window(250, 250, 30, 80), Window(13, 200, 200, 7)):
        assert (decoded(path, grid=grid, window=window).target == whole[window.slices]).all()


def test_real_land_cover_on_the_landsat_grid(real_data):
    """Each pixel centre of the scene, brought into the label's system, is looked up in the label's own array."""
    folder = real_data / "zion_landsat_nlcd" / "raster"
    with rasterio.open(folder / "landsat_b2.tif") as scene:
        grid = Grid(scene.crs, scene.transform, scene.height, scene.width)
    with rasterio.open(folder / "nlcd.tif") as file:
        raw, back, crs = file.read(1), ~file.transform, file.crs
    classes = Classes(items=tuple(Class(name=str(value), values=(value,)) for value in range(1, 9)), labels="value")
    found = decoded(folder / "nlcd.tif", grid=grid, classes=classes)
    rows, columns = np.mgrid[: grid.height : 7, : grid.width : 5]
    across, down = grid.transform @ (columns.ravel() + 0.5, rows.ravel() + 0.5)
    x, y = back @ tuple(np.array(part) for part in transform_points(grid.crs, crs, across, down))
    expected = raw[y.astype(int), x.astype(int)]
    assert (expected != 255).all()
    assert (found.target[rows.ravel(), columns.ravel()] + 1 == expected).all()
    assert found.unlisted == {}


def test_real_labels_whose_nodata_value_is_a_class(real_data):
    folder = real_data / "geotiff_label_raster_tiles"
    with rasterio.open(folder / "tiled_label_1.tif") as file:
        assert file.nodata == 0
        raw = file.read(1)
        grid = Grid(file.crs, file.transform @ Affine.translation(-100, 50), 512, 512)
    found = decoded(folder / "tiled_label_1.tif", folder / "tiled_label_2.tif", grid=grid)
    assert (found.target[:462, 100:] == raw[50:, :412]).all()
    assert (found.target[:, :100] == IGNORE).all()
    assert (found.target[462:] == IGNORE).all()
    assert set(np.unique(raw)) == {0, 1}
