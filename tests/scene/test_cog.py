"""Cloud-optimised maps: overviews, georeference, colours and notes survive; whatever goes wrong on the way is said."""

import os
import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC

from terrazzo.errors import StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.cog import CogWriter
from terrazzo.scene.cog_structure import read_directories
from terrazzo.scene.footprint import footprint
from terrazzo.scene.layer import NOWHERE, Georeference, Layer, LegendEntry, read_georeference
from terrazzo.scene.overviews import halved_by_mean, halved_by_mode
from terrazzo.scene.writer import open_writer
from terrazzo.storage import atomic_path, sweep

LEGEND = (LegendEntry(0, "a", (9, 8, 7)), LegendEntry(1, "b", (1, 2, 3)))
BYTE = np.dtype(np.uint8)
CLASSES = Layer("class", BYTE, nodata=255, legend=LEGEND)
UTM = Affine(2, 0, 10, 0, -2, 20)


def written(
    path: Path, layer: Layer, pixels: np.ndarray, *, grid: Grid | None = None, where: Georeference = NOWHERE
) -> None:
    _, height, width = pixels.shape
    grid = grid or Grid(CRS.from_epsg(32612), UTM, height, width)
    with open_writer(path, layer, grid, where, goal=path) as writer:
        assert isinstance(writer, CogWriter)
        for top in range(0, height, 101):
            writer.write(pixels[:, top : top + 101])


def overviews(path: Path) -> list[np.ndarray]:
    with rasterio.open(path) as file:
        count = len(file.overviews(1))
    found = []
    for level in range(count):
        with rasterio.open(path, overview_level=level) as file:
            found.append(file.read())
    return found


def noise(*shape: int, values: tuple[int, ...] = (0, 1, 2, 255), dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).choice(np.array(values, dtype=dtype), shape)


def halved(pixels: np.ndarray, layer: Layer) -> np.ndarray:
    even = ((0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2))
    halve = partial(halved_by_mode if layer.categorical else halved_by_mean, nodata=layer.nodata)
    return halve(np.pad(pixels, even, mode="edge"))


@pytest.mark.parametrize(
    ("layer", "values"),
    [
        (CLASSES, (0, 1, 2, 255)),
        (Layer("class", np.dtype(np.uint16), nodata=65535, legend=LEGEND), (0, 256, 299, 65535)),
        (Layer("class", np.dtype(np.int16), nodata=-1, legend=LEGEND), (-1, 5, 300, 7)),
        (Layer("confidence", BYTE, nodata=255, scale=1 / 254), (0, 17, 254, 255)),
        (Layer("probabilities", BYTE, channels=3, nodata=255, band_names=("x", "y", "ü")), (0, 17, 254, 255)),
        (Layer("class", BYTE, channels=4, colours=True), (0, 255)),
    ],
)
def test_each_level_is_half_of_the_one_below(layer: Layer, values: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "m ü.tif"
    pixels = noise(layer.channels, 1050, 611, values=values, dtype=layer.dtype.name)
    written(path, layer, pixels)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), pixels)
        assert file.nodata == layer.nodata
        assert file.dtypes == (layer.dtype.name,) * layer.channels
        assert file.scales == (layer.scale,) * layer.channels
    expected = pixels
    levels = overviews(path)
    assert len(levels) == 2
    for level in levels:
        expected = halved(expected, layer)
        np.testing.assert_array_equal(level, expected)
    assert list(tmp_path.iterdir()) == [path]


def test_half_precision_comes_back_with_its_overviews(tmp_path: Path) -> None:
    path = tmp_path / "p.tif"
    layer = Layer("probabilities", np.dtype(np.float16), channels=2, nodata=float("nan"), band_names=("x", "y"))
    pixels = np.random.default_rng(0).random((2, 600, 40)).astype(np.float16)
    pixels[:, 100:140] = np.nan
    written(path, layer, pixels)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), pixels.astype(np.float32))
        assert file.tags(1, ns="IMAGE_STRUCTURE")["NBITS"] == "16"
        assert np.isnan(file.nodata)
        assert file.descriptions == ("x", "y")
    (level,) = overviews(path)
    np.testing.assert_array_equal(level, halved(pixels, layer).astype(np.float32))


def test_palette_and_notes_survive(tmp_path: Path) -> None:
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[:2] = [[9, 8, 7, 255], [1, 2, 3, 255]]
    tags = {"CLASS_NAMES": '["</VRTRasterBand>", "ä"]', "TIFFTAG_SOFTWARE": "terrazzo"}
    layer = Layer("class", BYTE, nodata=255, palette=palette, tags=tags, legend=LEGEND)
    path = tmp_path / "m.tif"
    written(path, layer, noise(1, 700, 20))
    with rasterio.open(path) as file:
        assert file.colormap(1)[0] == (9, 8, 7, 255)
        assert file.colorinterp == (ColorInterp.palette,)
        assert {key: file.tags()[key] for key in tags} == tags
        assert file.descriptions == ("class",)
        assert file.overviews(1) == [2]


def test_colours_keep_their_alpha(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    written(path, Layer("class", BYTE, channels=4, colours=True), noise(4, 20, 20))
    with rasterio.open(path) as file:
        assert file.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        assert file.descriptions == ("red", "green", "blue", "alpha")
        assert file.nodata is None


@pytest.mark.parametrize(
    "grid",
    [
        Grid(None, Affine.identity(), 5, 7),
        Grid(CRS.from_epsg(4326), Affine(1e-3 / 3, 0, 179.9999, 0, 1e-3 / 3, -6), 5, 7),
        Grid(CRS.from_epsg(3035), Affine.translation(4e6, 3e6) @ Affine.rotation(30) @ Affine.scale(0.3, -0.3), 5, 7),
        Grid(CRS.from_proj4("+proj=laea +lat_0=12.5 +lon_0=7.25 +datum=WGS84 +units=m"), UTM, 5, 7),
        Grid(CRS.from_epsg(2263), Affine(1 / 3, 0, 1e6 / 7, 0, -1 / 3, 2e5 / 7), 5, 7),
    ],
    ids=["nowhere", "south up", "rotated", "own system", "feet"],
)
def test_place_is_kept_to_the_last_bit(grid: Grid, tmp_path: Path) -> None:
    pixels = noise(1, 5, 7)
    for overview, name in ((True, "cog.tif"), (False, "plain.tif")):
        path = tmp_path / name
        with open_writer(path, CLASSES, grid, NOWHERE, goal=path, overviews=overview) as writer:
            writer.write(pixels)
    with rasterio.open(tmp_path / "cog.tif") as cog, rasterio.open(tmp_path / "plain.tif") as plain:
        assert cog.crs == plain.crs
        assert (cog.crs is None) is (grid.crs is None)
        assert cog.transform == plain.transform == grid.transform


def test_control_points_and_sensor_models_are_kept(tmp_path: Path) -> None:
    points = tuple(
        GroundControlPoint(row, column, 10 + column / 7, 50 - row / 3, 1 / 3)
        for row, column in ((0, 0), (0, 30), (1 / 3, 0.123456789), (5, 7))
    )
    rpcs = RPC(
        height_off=10, height_scale=5, lat_off=1, lat_scale=1, line_den_coeff=[1.0] + [0.0] * 19,
        line_num_coeff=[0.0, 1.0] + [0.0] * 18, line_off=2, line_scale=2, long_off=3, long_scale=1,
        samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0, 0.0, 1 / 3] + [0.0] * 17, samp_off=2, samp_scale=2,
        err_bias=0.0, err_rand=0.0,
    )  # fmt: skip
    bare = Grid(None, Affine.identity(), 5, 7)
    path = tmp_path / "m.tif"
    written(
        path, CLASSES, noise(1, 5, 7), grid=bare, where=Georeference(points, CRS.from_epsg(4326), None, present=True)
    )
    found = read_georeference(path)
    assert found.gcps_crs == CRS.from_epsg(4326)
    for expected, point in zip(points, found.gcps, strict=True):
        for field in ("row", "col", "x", "y", "z"):
            assert getattr(point, field) == pytest.approx(getattr(expected, field), rel=1e-12, abs=1e-12), field
    written(path, CLASSES, noise(1, 5, 7), grid=bare, where=Georeference((), None, rpcs, present=True))
    model = read_georeference(path).rpcs
    assert model is not None
    assert model.samp_num_coeff[2] == pytest.approx(1 / 3, rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (20_000, 1), (513, 17)])
def test_odd_shapes(shape: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    pixels = noise(1, *shape)
    written(path, CLASSES, pixels)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), pixels)
    last = read_directories(path)[-1]
    assert max(last.height, last.width) <= 512


@pytest.mark.parametrize("name", ["a&<b>.tif", "x:y.tif", "zip+a, b?c#1.tif", "a%20'b\".tif", "]]>é\u4e2d.tif"])
@pytest.mark.parametrize("inside", [".", "sub & folder?"])
def test_odd_names(name: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(inside) / name
    path.parent.mkdir(exist_ok=True)
    pixels = noise(1, 600, 20)
    with atomic_path(path) as temporary:
        written(temporary, CLASSES, pixels)
    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == [name]
    with rasterio.MemoryFile(path.read_bytes()) as memory, memory.open() as file:
        np.testing.assert_array_equal(file.read(), pixels)


def test_neither_portions_nor_threads_leave_a_trace_in_the_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(1, 1100, 700)
    options = CogWriter._options
    found = set()
    for threads, portion in (("1", 16), ("2", 700), ("5", 1100)):
        monkeypatch.setattr(CogWriter, "_options", lambda self, count=threads: {**options(self), "NUM_THREADS": count})
        path = tmp_path / "m.tif"
        with open_writer(path, CLASSES, Grid(None, Affine.identity(), 1100, 700), NOWHERE, goal=path) as writer:
            for top in range(0, 1100, portion):
                writer.write(pixels[:, top : top + portion])
        found.add(path.read_bytes())
    assert len(found) == 1


def test_a_copy_that_holds_something_else_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = rasterio.shutil.copy
    for damaged, what in (("level_0.tif", r".*/m\.tif"), ("level_1.tif", r"overview 1 of .*/m\.tif")):

        def damage(source: Path, goal: Path, *, damaged: str = damaged, **options: object) -> None:
            if options["driver"] == "COG":
                with rasterio.open(source.parent / damaged, "r+") as file:
                    file.write(255 - file.read(1), 1)
            copy(source, goal, **options)

        monkeypatch.setattr(rasterio.shutil, "copy", damage)
        with pytest.raises(StorageError, match=f"^{what} does not hold"):
            written(tmp_path / "m.tif", CLASSES, noise(1, 700, 20))


@pytest.fixture
def file_limit() -> Iterator[partial[None]]:
    """Set how large a file may become, which is how a full disk looks to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield partial(limit)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [20_000, 200_000, 330_000])
def test_a_disk_that_is_full_while_rows_come_is_an_error(size: int, file_limit: partial[None], tmp_path: Path) -> None:
    layer = Layer("confidence", BYTE, nodata=255)
    file_limit(size)
    with pytest.raises(StorageError, match=r"m\.tif"):
        written(tmp_path / "m.tif", layer, noise(1, 600, 600, values=tuple(range(256))))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "scratch files are left"


@pytest.mark.parametrize("size", [5_000, 100_000, 400_000])
def test_a_disk_that_is_full_while_the_copy_is_made_is_an_error(
    size: int, file_limit: partial[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = rasterio.shutil.copy

    def into_full_disk(source: Path, goal: Path, **options: object) -> None:
        if options["driver"] == "COG":
            file_limit(size)
        copy(source, goal, **options)

    monkeypatch.setattr(rasterio.shutil, "copy", into_full_disk)
    layer = Layer("confidence", BYTE, nodata=255)
    with pytest.raises(StorageError, match=r"m\.tif"):
        written(tmp_path / "m.tif", layer, noise(1, 600, 600, values=tuple(range(256))))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()], "scratch files are left"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot be made"):
        written(tmp_path / "m.tif", CLASSES, noise(1, 5, 5))


def test_scratch_files_of_a_dead_process_are_swept(tmp_path: Path) -> None:
    left = tmp_path / ".m.partial-999999999-0123abcd.scratch"
    left.mkdir()
    (left / "level_0.tif").write_bytes(b"x")
    goal = tmp_path / "m.tif"
    writer = CogWriter(goal, CLASSES, Grid(None, Affine.identity(), 5, 5), NOWHERE, compression="zstd")
    (own,) = [path for path in tmp_path.iterdir() if path.is_dir() and path != left]
    sweep(tmp_path)
    assert not left.exists()
    assert own.exists(), "what this process writes now must stay"
    writer.abandon()
    assert not own.exists()


def test_real_labels_keep_their_place_and_their_shares(real_data: Path, tmp_path: Path) -> None:
    with rasterio.open(real_data / "zion_landsat_nlcd" / "raster" / "nlcd.tif") as source:
        labels = source.read().astype(np.uint8)
        grid = Grid(source.crs, source.transform, source.height, source.width)
    present = sorted(set(np.unique(labels).tolist()) - {255})
    legend = tuple(LegendEntry(value, f"class {value}", (value, 0, 0)) for value in present)
    path = tmp_path / "m.tif"
    written(path, Layer("class", BYTE, nodata=255, legend=legend), labels, grid=grid)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), labels)
        assert (file.crs, file.transform) == (grid.crs, grid.transform)
    levels = overviews(path)
    assert levels, "the labels are too small for overviews"
    shares = [np.bincount(level.ravel(), minlength=256) / level.size for level in (labels, levels[0])]
    assert np.abs(shares[0] - shares[1]).max() < 0.05
    assert set(np.unique(levels[-1]).tolist()) <= {*present, 255}
    found = footprint(grid, NOWHERE)
    assert found is not None
    # Zion National Park, Utah.
    assert found.box == pytest.approx((-113.1, 37.3, -112.8, 37.5), abs=0.3)
