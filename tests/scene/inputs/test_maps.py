"""Every kind of input becomes a map on its own grid, of exactly its own pixels."""

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

from terrazzo.bundle import Bundle
from terrazzo.errors import DataError
from terrazzo.machine import MachineSettings
from terrazzo.scene import PredictSettings, map_scenes
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.scenes import map_paths

Make = Callable[..., Bundle]
Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]
PLAIN = {"quick_look": 0, "stac": False, "report": False, "overlap": 0.25, "strip_pixels": 16}


def brightest(values: np.ndarray) -> np.ndarray:
    """Return what the network answers: the number of the brightest band, where one is brighter than the others."""
    ordered = np.sort(values, axis=0)
    return np.where(ordered[-1] > ordered[-2], values.argmax(axis=0), -1)


def require_map(path: Path, expected: np.ndarray, valid: np.ndarray | None = None) -> rasterio.profiles.Profile:
    """Check a map against the brightest band of what it should show, and return its profile."""
    with rasterio.open(path) as file:
        found = file.read(1)
        profile = file.profile
    classes = brightest(expected)
    measured = np.ones(classes.shape, dtype=bool) if valid is None else valid
    clear = measured & (classes >= 0)
    assert clear.any()
    np.testing.assert_array_equal(found[clear], classes[clear])
    np.testing.assert_array_equal(found == 255, ~measured)
    return profile


def test_a_mosaic_in_an_area(
    make_bundle: Make, machine: MachineSettings, write_raster: Write, noise: Noise, tmp_path: Path
) -> None:
    one, two = noise(3, 40, 40, seed=1), noise(3, 40, 40, seed=2)
    one[:, 30:, 20:35] = 0
    write_raster("in/ä 1.tif", one, nodata=0)
    write_raster("in/2.tif", two, x=500_020, y=4_999_980, nodata=0)
    expected = np.zeros((3, 60, 60), "uint8")
    expected[:, 20:, 20:] = two
    np.copyto(expected[:, :40, :40], one, where=one.any(axis=0))
    area = tmp_path / "ö.gpkg"
    # Rows 10..49, columns 15..54.
    gpd.GeoDataFrame(geometry=[box(500_015, 4_999_950, 500_055, 4_999_990)], crs="EPSG:32632").to_file(area)
    valid = np.zeros((60, 60), dtype=bool)
    valid[10:50, 15:55] = expected.any(axis=0)[10:50, 15:55]
    settings = PredictSettings(mosaic="last", area=area, **PLAIN)
    # By name 2.tif comes first, so that the last is the other one.
    (mapped,) = map_scenes(make_bundle(), [tmp_path / "in"], tmp_path / "out", settings=settings, machine=machine)
    assert mapped.summary.out == tmp_path / "out" / "in.tif"
    assert mapped.summary.skipped_windows > 0
    whole = np.zeros((3, 60, 60), "uint8")
    whole[:] = expected
    profile = require_map(mapped.summary.out, whole, valid)
    assert profile["transform"] == Affine(1, 0, 500_000, 0, -1, 5_000_000)


def test_files_of_bands_and_their_order(
    make_bundle: Make, machine: MachineSettings, write_raster: Write, noise: Noise, tmp_path: Path
) -> None:
    for number, band in enumerate(("B2", "B3", "B4", "QA")):
        write_raster(f"in/LC08_{band}.tif", noise(1, 30, 50, seed=number))
    bundle = make_bundle(bands=("B4", "B3", "B2"))
    pattern = str(tmp_path / "in" / "LC08_{band}.tif")
    (mapped,) = map_scenes(bundle, [pattern], tmp_path / "m.tif", settings=PredictSettings(**PLAIN), machine=machine)
    require_map(mapped.summary.out, np.concatenate([noise(1, 30, 50, seed=number) for number in (2, 1, 0)]))


def test_an_address(
    make_bundle: Make,
    machine: MachineSettings,
    write_raster: Write,
    noise: Noise,
    serve: Callable[[Path], str],
    tmp_path: Path,
) -> None:
    path = write_raster(
        "served/a b.tif", noise(3, 70, 90), tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    address = f"{serve(path.parent)}/a%20b.tif?token=secret"
    settings = PredictSettings(**PLAIN)
    (mapped,) = map_scenes(make_bundle(), [address], tmp_path / "out", settings=settings, machine=machine)
    assert mapped.summary.out == tmp_path / "out" / "a b.tif"
    require_map(mapped.summary.out, noise(3, 70, 90))
    assert b"secret" not in mapped.summary.out.read_bytes()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_map_of_an_object_store(
    workers: int,
    make_bundle: Make,
    machine: MachineSettings,
    write_raster: Write,
    noise: Noise,
    serve: Callable[[Path], str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Buckets of a store that speaks S3: signed by the keys that the environment holds, which nothing repeats."""
    path = write_raster(
        "served/bucket/a b.tif", noise(3, 70, 90), tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    (path.parent / "private").touch()
    store = {
        "AWS_S3_ENDPOINT": serve(tmp_path / "served").removeprefix("http://"),
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_REGION": "nowhere",
        "AWS_NO_SIGN_REQUEST": "YES",
    }
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    settings = PredictSettings(**PLAIN, workers=workers)
    # Another name, since GDAL remembers what a store has refused.
    (path.parent / "b.tif").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"/vsis3/bucket/b\.tif"):
        map_scenes(make_bundle(), ["s3://bucket/b.tif"], tmp_path / "out", settings=settings, machine=machine)
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never shown")
    (mapped,) = map_scenes(make_bundle(), ["s3://bucket/a b.tif"], tmp_path / "out", settings=settings, machine=machine)
    assert mapped.summary.out == tmp_path / "out" / "a b.tif"
    require_map(mapped.summary.out, noise(3, 70, 90))
    assert b"never shown" not in mapped.summary.out.read_bytes()


def test_addresses_of_one_name_keep_their_folders(
    make_bundle: Make, write_raster: Write, noise: Noise, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    for folder in ("x", "y"):
        write_raster(f"served/{folder}/s.tif", noise(3, 20, 20))
    server = serve(tmp_path / "served")
    settings = PredictSettings(**PLAIN)
    entries = find_entries([f"{server}/{folder}/s.tif" for folder in ("x", "y")], settings, make_bundle())
    goals = map_paths(entries, tmp_path / "out", settings=settings, bundle=make_bundle())
    assert [goal.name for goal in goals] == ["x_s.tif", "y_s.tif"]


@pytest.mark.parametrize(
    "transform",
    [Affine(1, 0, 500_000, 0, 1, 5_000_000), Affine.translation(5e5, 5e6) @ Affine.rotation(20) @ Affine.scale(1, -1)],
    ids=["south up", "rotated"],
)
def test_south_up_and_rotated_scenes(
    transform: Affine, make_bundle: Make, machine: MachineSettings, write_raster: Write, noise: Noise, tmp_path: Path
) -> None:
    path = write_raster("a.tif", noise(3, 40, 33), transform=transform)
    settings = PredictSettings(**PLAIN)
    (mapped,) = map_scenes(make_bundle(), [path], tmp_path / "m.tif", settings=settings, machine=machine)
    assert require_map(mapped.summary.out, noise(3, 40, 33))["transform"].almost_equals(transform)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_scenes_of_one_pixel(
    shape: tuple[int, int],
    make_bundle: Make,
    machine: MachineSettings,
    write_raster: Write,
    noise: Noise,
    tmp_path: Path,
) -> None:
    path = write_raster("a.tif", noise(3, *shape, seed=5))
    settings = PredictSettings(**PLAIN)
    (mapped,) = map_scenes(make_bundle(), [path], tmp_path / "m.tif", settings=settings, machine=machine)
    require_map(mapped.summary.out, noise(3, *shape, seed=5))


def test_a_scene_at_the_training_resolution(
    make_bundle: Make, machine: MachineSettings, write_raster: Write, noise: Noise, tmp_path: Path
) -> None:
    path = write_raster("a.tif", noise(3, 64, 48))
    settings = PredictSettings(resolution="resample", **PLAIN)
    bundle = make_bundle(resolution_m=2.0)
    (mapped,) = map_scenes(bundle, [path], tmp_path / "m.tif", settings=settings, machine=machine)
    with rasterio.open(mapped.summary.out) as file:
        assert (file.shape, file.res) == ((32, 24), (2.0, 2.0))
        assert (file.read(1) != 255).all()
    assert not mapped.summary.warnings


def test_unreadable_blocks_become_nodata_and_are_listed(
    make_bundle: Make, machine: MachineSettings, write_raster: Write, noise: Noise, tmp_path: Path
) -> None:
    values = noise(3, 64, 64, seed=9)
    path = write_raster("a.tif", values, tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item("BLOCK_OFFSET_2_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 20] = b"\xff" * 20
    path.write_bytes(bytes(content))
    strict = PredictSettings(retries=0, **PLAIN)
    with pytest.raises(DataError, match="rows 16 to 31, columns 32 to 47 cannot be read"):
        map_scenes(make_bundle(), [path], tmp_path / "m.tif", settings=strict, machine=machine)
    assert not (tmp_path / "m.tif").exists()
    lenient = PredictSettings(retries=0, max_errors=1, **PLAIN)
    (mapped,) = map_scenes(make_bundle(), [path], tmp_path / "m.tif", settings=lenient, machine=machine)
    valid = np.ones((64, 64), dtype=bool)
    valid[16:32, 32:48] = False
    require_map(mapped.summary.out, values, valid)
    lost = np.zeros((64, 64), dtype=bool)
    for y, x, height, width, reason in mapped.summary.unreadable:
        lost[y : y + height, x : x + width] = True
        assert "a.tif" in reason
    np.testing.assert_array_equal(lost, ~valid)
