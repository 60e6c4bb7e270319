"""From what a user names to scenes."""

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely import box

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, ContractError, DataError
from terrazzo.scene import PredictSettings
from terrazzo.scene.inputs.listing import find_entries, scene_entry

Make = Callable[..., Bundle]
Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]


def test_every_kind_at_once(
    make_bundle: Make, write_raster: Write, noise: Noise, serve: Callable[[Path], str], tmp_path: Path
) -> None:
    bundle = make_bundle(bands=("red", "nir"))
    single = write_raster("a/single.tif", noise(2, 8, 8))
    for band in ("red", "nir", "swir"):
        write_raster(f"bands/x_{band}.tif", noise(1, 8, 8))
    inputs = [single.parent, str(tmp_path / "bands" / "x_{band}.tif"), f"{serve(single.parent)}/single.tif"]
    entries = find_entries(inputs, PredictSettings(), bundle)
    assert [entry.name for entry in entries] == ["single", "x", "single"]
    assert entries[1].bands.names == ("red", "nir")
    positions = find_entries(inputs, PredictSettings(bands=(3, 1)), bundle)
    assert positions[1].bands.names == ("nir", "red", "swir")


def test_all_inputs_as_one_mosaic(make_bundle: Make, write_raster: Write, noise: Noise) -> None:
    paths = [write_raster(f"tiles/{number}.tif", noise(3, 8, 8), x=500_000 + 8 * number) for number in range(3)]
    for order in ("first", "last"):
        (entry,) = find_entries([paths[0].parent], PredictSettings(mosaic=order), make_bundle())
        assert (entry.name, entry.order, entry.grid.shape) == ("tiles", order, (8, 24))
        (named,) = find_entries(paths[:2], PredictSettings(mosaic=order), make_bundle())
        assert (named.name, named.grid.shape) == ("0_mosaic", (8, 16))
    (one,) = find_entries(paths[:1], PredictSettings(mosaic="first"), make_bundle())
    assert (one.name, one.own_grid) == ("0", True)


def test_one_scene_is_one(make_bundle: Make, write_raster: Write, noise: Noise) -> None:
    paths = [write_raster(f"t/{number}.tif", noise(3, 8, 8)) for number in range(2)]
    assert scene_entry(str(paths[0]), PredictSettings(), make_bundle()).name == "0"
    with pytest.raises(ConfigError, match=r"names 2 scenes, such as .*0\.tif and .*1\.tif"):
        scene_entry(str(paths[0].parent), PredictSettings(), make_bundle())


def test_the_training_resolution(make_bundle: Make, write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(3, 40, 40))
    settings = PredictSettings(resolution="resample")
    assert find_entries([path], settings, make_bundle(resolution_m=4.0))[0].grid.shape == (10, 10)
    assert find_entries([path], settings, make_bundle(resolution_m=1.1))[0].grid.shape == (40, 40)
    assert find_entries([path], PredictSettings(), make_bundle(resolution_m=4.0))[0].grid.shape == (40, 40)
    with pytest.raises(ContractError, match="trained on 4 m"):
        find_entries([path], PredictSettings(resolution="refuse"), make_bundle(resolution_m=4.0))


def test_the_area_of_interest(
    make_bundle: Make, write_raster: Write, noise: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster("a.tif", noise(3, 40, 40))
    gpd.GeoDataFrame(geometry=[box(500_000, 4_999_990, 500_020, 5_000_000)], crs="EPSG:32632").to_file(
        tmp_path / "a.gpkg"
    )
    monkeypatch.chdir(tmp_path)
    (entry,) = find_entries([path], PredictSettings(area=Path("a.gpkg")), make_bundle())
    assert entry.area == tmp_path / "a.gpkg"
    with entry.open() as opened:
        assert int(opened.read(entry.grid.whole, entry.bands).valid.sum()) == 200
    far = write_raster("far.tif", noise(3, 8, 8), x=600_000)
    with pytest.raises(ContractError, match=r"No pixel of .*far\.tif lies in the area"):
        find_entries([path, far], PredictSettings(area=Path("a.gpkg")), make_bundle())


def test_a_truncated_file(make_bundle: Make, write_raster: Write, noise: Noise) -> None:
    path = write_raster("a.tif", noise(3, 80, 80))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"a\.tif is truncated"):
        find_entries([path], PredictSettings(), make_bundle())
    assert find_entries([path], PredictSettings(max_errors=3), make_bundle())
