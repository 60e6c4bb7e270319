"""Reading images whose files lie on several grids, with masks, collars and scales of their own."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from terrazzo.data import open_files, reading
from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.classes import Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.reading import read_image, read_target
from terrazzo.data.settings import BandSettings
from terrazzo.data.sources.headers import read_header
from terrazzo.data.sources.source import Pair
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import DataError
from terrazzo.geo.bands import Collar
from terrazzo.geo.grid import Window

UTM = CRS.from_epsg(32633)
HERE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write(path, values, transform=HERE, *, crs=UTM, scales=None, offsets=None, **profile):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    frame = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", crs=crs, transform=transform, **frame, **profile) as file:
        file.write(values)
        if scales is not None:
            file.scales, file.offsets = (scales,) * count, (offsets,) * count
    return path


def opened(image, *extra, resolution_m=None, collar=None, wanted=None, **pair):
    """Return an image's entry and bands as preparation makes them."""
    header = read_header(Pair("i", image, extra=tuple(extra), **pair), georeferenced=True, resolution_m=resolution_m)
    bands, positions = select_bands(header, wanted, collar=collar)
    return with_bands(header, bands, positions, first=header), bands


@pytest.fixture(params=["whole", "by window"])
def anyhow(request, monkeypatch):
    """Read small files whole, and window by window."""
    monkeypatch.setattr(open_files, "_OPEN", {})
    if request.param == "by window":
        monkeypatch.setattr(reading, "WHOLE_BYTES", 0)


def test_the_finest_file_gives_the_grid_wherever_it_stands(tmp_path, anyhow):
    coarse = np.arange(35, dtype="uint16").reshape(5, 7) * 100
    fine = np.random.default_rng(0).integers(0, 999, (2, 10, 14), dtype="uint16")
    entry, bands = opened(
        write(tmp_path / "a.tif", coarse), write(tmp_path / "nir/a.tif", fine, HERE @ Affine.scale(0.5))
    )
    assert (entry.height, entry.width) == (10, 14)
    assert entry.grid.resolution_m == 5
    for window in (Window(0, 0, 10, 14), Window(3, 5, 4, 6)):
        found = read_image(entry, window, bands)
        assert found.valid.all()
        assert (found.values[1:] == fine[:, *window.slices]).all()
        # A plane stays a plane; at the border the outermost pixel centre is the last that is known.
        ys, xs = ((np.indices((10, 14)) + 0.5) / 2 - 0.5).clip(0, np.array([4, 6])[:, None, None])
        expected = (700 * ys + 100 * xs)[window.slices]
        assert np.abs(found.values[0] - expected).max() <= 0.5


def test_a_thousandth_finer_is_not_finer(tmp_path):
    first = write(tmp_path / "a.tif", np.zeros((50, 50), "uint8"))
    second = write(tmp_path / "b.tif", np.zeros((50, 50), "uint8"), HERE @ Affine.scale(0.9995))
    assert opened(first, second)[0].grid.transform == HERE


def test_further_bands_in_another_system(tmp_path):
    """A plane over the ground, stored in UTM zones 33 and 34, reads alike."""
    zone = CRS.from_epsg(32634)
    left, top = (axis[0] for axis in transform_points(UTM, zone, [500_000], [5_000_000]))
    there = Affine(20, 0, left - 400, 0, -20, top + 400)
    rows, columns = np.indices((80, 80)) + 0.5
    x, y = there @ (columns.ravel(), rows.ravel())
    east, north = (np.array(axis) for axis in transform_points(zone, UTM, x, y))
    plane = (10 * (east - 490_000) - 7 * (north - 5_010_000)).reshape(80, 80).astype("float32")
    entry, bands = opened(
        write(tmp_path / "a.tif", np.zeros((60, 60), "float32")), write(tmp_path / "x/a.tif", plane, there, crs=zone)
    )
    rows, columns = np.indices((60, 60)) + 0.5
    x, y = HERE @ (columns, rows)
    found = read_image(entry, entry.grid.whole, bands)
    assert found.valid.all()
    assert np.abs(found.values[1] - (10 * (x - 490_000) - 7 * (y - 5_010_000))).max() < 3


def test_where_a_further_file_ends_the_image_is_missing(tmp_path, anyhow):
    entry, bands = opened(
        write(tmp_path / "a.tif", np.full((8, 8), 5, "uint8")),
        write(tmp_path / "x/a.tif", np.full((2, 2), 9, "uint8"), HERE @ Affine.scale(2) @ Affine.translation(1, 1)),
    )
    found = read_image(entry, entry.grid.whole, bands)
    assert np.argwhere(found.valid).tolist() == [[y, x] for y in range(2, 6) for x in range(2, 6)]
    assert (found.values[1][found.valid] == 9).all()


def test_a_further_file_that_shares_no_pixel(tmp_path):
    first = write(tmp_path / "a.tif", np.zeros((8, 8), "uint8"))
    far = write(tmp_path / "ö.tif", np.zeros((8, 8), "uint8"), HERE @ Affine.translation(9, 0))
    with pytest.raises(
        DataError, match=r"ö\.tif covers x 500090 to 500170.* but .*a\.tif is read on x 500000 to 500080"
    ):
        opened(first, far)
    with pytest.raises(DataError, match=r"ö\.tif covers .* share no pixel"):
        opened(first, mask=ValidityMask(file=far, missing=(0,)))


def test_a_mask_on_another_grid_is_read_as_the_nearest(tmp_path, anyhow):
    """A scene classification of 20 m on pixels of 10 m, as in Sentinel-2 products; it ends before the image does."""
    classes = np.array([[4, 8, 4], [0, 4, 9]], "uint8")
    entry, bands = opened(
        write(tmp_path / "a.tif", np.ones((4, 8), "uint16")),
        mask=ValidityMask(file=write(tmp_path / "scl.tif", classes, HERE @ Affine.scale(2)), missing=(0, 8, 9)),
    )
    expected = np.zeros((4, 8), dtype=bool)
    expected[:, :6] = (classes == 4).repeat(2, axis=0).repeat(2, axis=1)
    assert (read_image(entry, entry.grid.whole, bands).valid == expected).all()


@pytest.mark.parametrize("files", [1, 3])
@pytest.mark.parametrize("metres", [None, 5.0])
def test_a_collar_is_missing_where_every_band_is_within_its_tolerance(tmp_path, files, metres, anyhow):
    values = np.full((3, 6, 6), 120, "uint8")
    values[:, :, :2] = [[[0, 6]], [[3, 0]], [[6, 2]]]
    values[:, 5, 5] = [0, 7, 0]
    parts = np.split(values, files)
    paths = [write(tmp_path / f"{number}/a.tif", part) for number, part in enumerate(parts)]
    entry, bands = opened(*paths, resolution_m=metres, collar=Collar(value=0, nodata_tolerance=6))
    found = read_image(entry, entry.grid.whole, bands)
    factor = 1 if metres is None else 2
    expected = np.ones((6, 6), dtype=bool)
    expected[:, :2] = False
    expected = expected.repeat(factor, axis=0).repeat(factor, axis=1)
    # From files of one band each, the collar is known after resampling only: its edge is blurred there.
    sure = np.ones_like(expected)
    if files > 1 and metres:
        sure[:, 3:5] = False
    assert (found.valid == expected)[sure].all()
    if files == 1:
        assert (found.values[:, :4][:, found.valid[:4]] == 120).all()


def test_without_a_collar_black_is_measured(tmp_path):
    entry, bands = opened(write(tmp_path / "a.tif", np.zeros((3, 4, 4), "uint8")))
    assert read_image(entry, entry.grid.whole, bands).valid.all()


def test_scales_and_offsets_of_each_file_follow_the_first_image(tmp_path):
    """One scene stores reflectance x 10000, the other (reflectance + 0.1) x 10000, as Sentinel-2's baselines do."""
    reflectance = np.array([[0.05, 0.2, 0.4]])
    old = write(tmp_path / "old.tif", np.rint(reflectance * 10_000).astype("uint16"), scales=1e-4, offsets=0.0)
    new = write(tmp_path / "new.tif", np.rint((reflectance + 0.1) * 10_000).astype("uint16"), scales=1e-4, offsets=-0.1)
    coarse = write(tmp_path / "coarse.tif", np.rint(reflectance * 255).astype("uint16"), scales=1 / 255, offsets=0.0)
    headers = [read_header(Pair(path.stem, path), georeferenced=True) for path in (old, new, coarse)]
    bands, positions = select_bands(headers[0], [BandSettings(name="red", number=1)])
    assert (bands.items[0].scale, bands.items[0].offset) == (1e-4, 0)
    entries = [with_bands(header, bands, positions, first=headers[0]) for header in headers]
    found = [read_image(entry, entry.grid.whole, bands).values[0, 0].tolist() for entry in entries]
    assert found[0] == found[1] == [500, 2000, 4000]
    assert found[2] == [round(round(value * 255) / 255 * 10_000) for value in (0.05, 0.2, 0.4)]


@pytest.mark.parametrize("metres", [20.0, 4.0])
def test_another_resolution_for_image_label_and_mask(tmp_path, metres, anyhow):
    draw = np.random.default_rng(0)
    label = draw.integers(0, 2, (12, 10), dtype="uint8")
    entry, bands = opened(
        write(tmp_path / "a.tif", np.full((12, 10), 77, "uint8")),
        label=RasterLabel(rasters=(write(tmp_path / "l.tif", label),)),
        resolution_m=metres,
    )
    assert entry.grid.resolution_m == metres
    assert (entry.height, entry.width) == (round(120 / metres), round(100 / metres))
    found = read_image(entry, entry.grid.whole, bands)
    assert found.valid.all()
    assert (found.values == 77).all()
    ys = ((np.arange(entry.height) + 0.5) * metres / 10).astype(int)
    xs = ((np.arange(entry.width) + 0.5) * metres / 10).astype(int)
    if metres < 10:  # Centres of coarser pixels fall upon edges, where either neighbour is the nearest.
        expected = label[ys][:, xs]
        assert (read_target(entry, entry.grid.whole, Classes(items=["a", "b"])) == expected).all()


def test_resolution_in_metres_of_a_grid_in_degrees(tmp_path):
    transform = Affine(1e-4, 0, 10, 0, -1e-4, 60)
    path = write(tmp_path / "a.tif", np.full((200, 300), 7, "uint8"), transform, crs=CRS.from_epsg(4326))
    entry, bands = opened(path, resolution_m=20.0)
    assert entry.grid.resolution_m == pytest.approx(20, rel=1e-6)
    # 0.02 degrees of latitude are 2224 m; 0.03 of longitude, at 59.99 degrees north, 1668 m.
    assert (entry.height, entry.width) == (111, 83)
    assert read_image(entry, entry.grid.whole, bands).valid.all()


def test_the_resolution_that_it_has_resamples_nothing(tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (8, 9), dtype="uint8")
    entry, bands = opened(write(tmp_path / "a.tif", values), resolution_m=10.0)
    assert entry.grid.transform == HERE
    assert (read_image(entry, entry.grid.whole, bands).values[0] == values).all()


def test_resolution_needs_coordinates(tmp_path, write_photo):
    path = write_photo("a.png", np.zeros((4, 5, 3), dtype=np.uint8))
    with pytest.raises(DataError, match=r"a\.png: pixels have no size in metres .* remove data\.resolution_m"):
        read_header(Pair("a", path), georeferenced=False, resolution_m=1.0)


def test_a_real_chip_of_four_files_without_coordinates(real_data):
    """The four bands and the mask lie pixel for pixel, which is all that is known of them."""
    paths = {
        name: next((real_data / "cloud38_sample").glob(f"{name}_patch*.TIF"))
        for name in ("red", "green", "blue", "nir", "gt")
    }
    label = RasterLabel(rasters=(paths["gt"],))
    extra = tuple(paths[name] for name in ("green", "blue", "nir"))
    header = read_header(Pair("chip", paths["red"], label, extra), georeferenced=False)
    bands, positions = select_bands(header, ["red", "green", "blue", "nir"])
    entry = with_bands(header, bands, positions, first=header)
    window = Window(100, 30, 200, 300)
    found = read_image(entry, window, bands)
    for channel, name in enumerate(("red", "green", "blue", "nir")):
        assert (found.values[channel] == np.asarray(Image.open(paths[name]))[window.slices]).all()
    classes = Classes.model_validate([{"name": "clear", "values": [0]}, {"name": "cloud", "values": [255]}])
    cloud = np.asarray(Image.open(paths["gt"]))[window.slices] == 255
    assert 0 < cloud.mean() < 1
    assert (read_target(entry, window, classes) == cloud).all()
    assert header.reprojected == ()


def test_one_file_read_on_two_grids_of_one_width_gives_each_its_own_pixels(tmp_path):
    values = np.random.default_rng(3).integers(1, 200, (1, 40, 256), dtype=np.uint8)
    entry, bands = opened(write(tmp_path / "a.tif", values, blockysize=1))
    moved = replace(entry, transform=(10.0, 0.0, 500_000.0 + 70, 0.0, -10.0, 5_000_000.0))
    window = Window(0, 0, 40, 200)
    assert (read_image(entry, window, bands).values == values[:, :, :200]).all()
    assert (read_image(moved, window, bands).values == values[:, :, 7:207]).all()
    assert (read_image(entry, window, bands).values == values[:, :, :200]).all()
