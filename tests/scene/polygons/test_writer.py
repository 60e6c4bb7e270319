"""The writer as the engine uses it."""

import errno
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import rasterize
from scipy.ndimage import label

from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, LabelError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.scene.polygons import BandLimits, PolygonWriter
from terrazzo.scene.polygons.row_store import RowStore
from terrazzo.scene.settings import PolygonSettings

CLASSES = Classes(items=["water", "forest", "road", "field"])
UTM = CRS.from_epsg(32633)
TRANSFORM = Affine(2, 0, 500_000, 0, -2, 5_000_000)
TINY = BandLimits(pixels=400, simplified_pixels=1200, memory_points=10, parts=5)


def grid(values: np.ndarray, crs: CRS | None = UTM) -> Grid:
    return Grid(crs, TRANSFORM, *values.shape)


def write(path: Path, values: np.ndarray, *, chunk: int = 9, limits: BandLimits | None = None, **given: object) -> None:
    settings = PolygonSettings(**given)
    writer = PolygonWriter(path, grid(values), CLASSES, settings, ignore=CLASSES.ignore, limits=limits)
    for top in range(0, len(values), chunk):
        rows = values[top : top + chunk].copy()
        writer.write(rows)
        # Memory of rows belongs to whoever hands them over.
        rows[:] = 0
    writer.complete()


def read(path: Path) -> gpd.GeoDataFrame:
    return gpd.read_parquet(path) if path.suffix == ".parquet" else gpd.read_file(path)


@pytest.mark.parametrize("name", ["map.gpkg", "map.parquet"])
def test_a_map_comes_back(name: str, tmp_path: Path, smooth_map: Callable) -> None:
    values = smooth_map(90, 70, missing=True)
    path = tmp_path / "new folder" / name
    write(path, values, format=path.suffix[1:], limits=TINY)
    frame = read(path)
    burned = rasterize(
        zip(frame.geometry, frame["value"], strict=True), values.shape, fill=255, transform=TRANSFORM, dtype="uint8"
    )
    np.testing.assert_array_equal(burned, values)
    assert frame["class"].tolist() == [CLASSES.names[value] for value in frame["value"]]
    assert frame["pixels"].sum() == (values != 255).sum()
    np.testing.assert_array_equal(frame.area, frame["pixels"] * 4)
    # In the middle of the zone UTM makes lengths 0.04 % shorter.
    np.testing.assert_allclose(frame["area_m2"], frame["pixels"] * 4 / 0.9996**2, rtol=1e-6)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize(
    "given", [{}, {"simplify": 1.0}, {"smallest_pixels": 12}, {"smallest_pixels": 12, "simplify": 2.0}]
)
def test_how_rows_are_handed_over_leaves_no_trace(
    given: dict[str, object], tmp_path: Path, smooth_map: Callable
) -> None:
    values = smooth_map(60, 50, missing=True)
    files = []
    for chunk in (1, 7, 60):
        write(tmp_path / f"{chunk}.parquet", values, chunk=chunk, format="parquet", limits=TINY, **given)
        files.append((tmp_path / f"{chunk}.parquet").read_bytes())
    assert files[0] == files[1] == files[2]


def test_small_areas_join_their_neighbours(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (40, 50)).astype(np.uint8)
    write(tmp_path / "map.gpkg", values, smallest_pixels=30, limits=TINY)
    frame = read(tmp_path / "map.gpkg")
    assert frame["pixels"].min() >= 30
    assert frame["pixels"].sum() == values.size
    assert shapely.coverage_is_valid(frame.geometry.to_numpy())


def test_some_classes(tmp_path: Path, smooth_map: Callable) -> None:
    values = smooth_map(50, 60)
    write(tmp_path / "map.gpkg", values, classes=("road", "water"), limits=TINY)
    frame = read(tmp_path / "map.gpkg")
    assert set(frame["class"]) == {"road", "water"}
    assert len(frame) == label(values == 0)[1] + label(values == 2)[1]


def test_a_class_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'names "raod".*road'):
        write(tmp_path / "map.gpkg", np.zeros((2, 2), np.uint8), classes=("raod",))


@pytest.mark.parametrize(("classes", "dtype"), [(250, np.uint8), (254, np.uint8), (255, np.uint16), (400, np.uint16)])
def test_many_classes(classes: int, dtype: type, tmp_path: Path) -> None:
    named = Classes(items=[f"class {number}" for number in range(classes)])
    values = np.array([[0, classes - 1], [classes - 1, named.ignore]], dtype=dtype)
    writer = PolygonWriter(
        tmp_path / "map.gpkg", grid(values), named, PolygonSettings(), ignore=named.ignore, limits=TINY
    )
    writer.write(values)
    writer.complete()
    assert sorted(read(tmp_path / "map.gpkg")["value"]) == [0, classes - 1, classes - 1]


def test_without_coordinate_reference_system(tmp_path: Path) -> None:
    values = np.zeros((3, 4), dtype=np.uint8)
    writer = PolygonWriter(tmp_path / "map.gpkg", grid(values, None), CLASSES, PolygonSettings(), ignore=255)
    writer.write(values)
    writer.complete()
    frame = read(tmp_path / "map.gpkg")
    assert frame["area_m2"].isna().all()
    assert frame["pixels"].tolist() == [12]


@pytest.mark.parametrize("smallest", [0, 5])
def test_all_missing(smallest: int, tmp_path: Path) -> None:
    write(tmp_path / "map.gpkg", np.full((9, 9), 255, np.uint8), smallest_pixels=smallest, limits=TINY)
    assert len(read(tmp_path / "map.gpkg")) == 0


@pytest.mark.parametrize("smallest", [0, 5])
def test_an_abandoned_file_leaves_nothing(smallest: int, tmp_path: Path, smooth_map: Callable) -> None:
    values = smooth_map(60, 50)
    settings = PolygonSettings(smallest_pixels=smallest)
    writer = PolygonWriter(tmp_path / "map.gpkg", grid(values), CLASSES, settings, ignore=255, limits=TINY)
    writer.write(values[:40])
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_missing_rows_are_told(tmp_path: Path, smooth_map: Callable) -> None:
    values = smooth_map(30, 50)
    writer = PolygonWriter(tmp_path / "map.gpkg", grid(values), CLASSES, PolygonSettings(), ignore=255)
    writer.write(values[:20])
    with pytest.raises(StorageError, match="10 rows were not written"):
        writer.complete()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(2, 49), (31, 50)])
def test_rows_that_do_not_fit_are_told(shape: tuple[int, int], tmp_path: Path) -> None:
    writer = PolygonWriter(
        tmp_path / "map.gpkg", grid(np.zeros((30, 50))), CLASSES, PolygonSettings(), ignore=255, limits=TINY
    )
    with pytest.raises(StorageError, match="do not fit a map of 30 x 50"):
        writer.write(np.zeros(shape, np.uint8))
    writer.abandon()


def test_a_value_that_is_no_class_is_told(tmp_path: Path) -> None:
    values = np.array([[0, 4]], dtype=np.uint8)
    writer = PolygonWriter(tmp_path / "map.gpkg", grid(values), CLASSES, PolygonSettings(), ignore=255)
    with pytest.raises(LabelError, match=r"holds 4, but classes are 0\.\.3"):
        writer.write(values)
    writer.abandon()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write(tmp_path / "file" / "map.gpkg", np.zeros((2, 2), np.uint8))


def test_a_full_disk_names_the_file(tmp_path: Path, smooth_map: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    values = smooth_map(60, 50)
    settings = PolygonSettings(smallest_pixels=5)
    writer = PolygonWriter(tmp_path / "map.gpkg", grid(values), CLASSES, settings, ignore=255, limits=TINY)
    with monkeypatch.context() as patched:
        patched.setattr(RowStore, "append", full)
        with pytest.raises(StorageError, match=r"map.gpkg cannot be written: No space left"):
            writer.write(values)
    writer.abandon()
    assert list(tmp_path.iterdir()) == []
