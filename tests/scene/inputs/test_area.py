"""Areas of interest: only what lies inside is read and counts."""

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from shapely import Polygon, box

from terrazzo.errors import ContractError, DataError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.inputs.area import SceneInArea
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.inputs.single import file_entry

Write = Callable[..., Path]
Noise = Callable[..., np.ndarray]
# Rows 5..14 and columns 10..29 of a scene of 40 x 50 pixels of a metre.
PLACE = box(500_010, 5_000_000 - 15, 500_030, 5_000_000 - 5)


def area(folder: Path, *shapes: Polygon, crs: str = "EPSG:32632", name: str = "ä rea.gpkg") -> Path:
    path = folder / name
    gpd.GeoDataFrame(geometry=list(shapes), crs="EPSG:32632").to_crs(crs).to_file(path)
    return path


def scene(write_raster: Write, noise: Noise, **profile: object) -> OpenScene:
    return file_entry(str(write_raster("a.tif", noise(3, 40, 50), **profile)), whole=True).open()


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326", "EPSG:3857"])
@pytest.mark.parametrize("name", ["a.gpkg", "ö ü.geojson", "a.shp"])
def test_pixels_outside_are_not_valid(crs: str, name: str, tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    if name.endswith("geojson") and crs != "EPSG:4326":
        return
    with SceneInArea(scene(write_raster, noise), area(tmp_path, PLACE, crs=crs, name=name)) as opened:
        found = opened.read(opened.grid.whole, opened.bands)
    expected = np.zeros((40, 50), dtype=bool)
    expected[5:15, 10:30] = True
    np.testing.assert_array_equal(found.valid, expected)
    np.testing.assert_array_equal(found.values, noise(3, 40, 50) * expected)


def test_what_is_read_does_not_depend_on_the_window(tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    around = Polygon([(500_005, 4_999_990), (500_040, 4_999_995), (500_020, 4_999_965)])
    with SceneInArea(scene(write_raster, noise), area(tmp_path, around)) as opened:
        whole = opened.read(opened.grid.whole, opened.bands)
        for window in (Window(0, 0, 40, 22), Window(13, 7, 9, 31), Window(20, 20, 1, 1)):
            part = opened.read(window, opened.bands)
            np.testing.assert_array_equal(part.values, whole.values[:, *window.slices])
            np.testing.assert_array_equal(part.valid, whole.valid[window.slices])


def test_only_the_inside_is_read(
    tmp_path: Path, write_raster: Write, noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scene(write_raster, noise)
    asked: list[Window] = []
    read = type(whole).read

    def look(self: OpenScene, window: Window, bands: Bands) -> Raster:
        asked.append(window)
        return read(self, window, bands)

    monkeypatch.setattr(type(whole), "read", look)
    with SceneInArea(whole, area(tmp_path, PLACE)) as opened:
        nothing = opened.read(Window(20, 0, 10, 50), opened.bands)
        assert not asked
        assert not nothing.valid.any()
        assert not nothing.values.any()
        opened.read(Window(8, 0, 32, 50), opened.bands)
    assert asked == [Window(8, 10, 7, 20)]


def test_nodata_inside_stays_nodata(tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    missing = int(noise(3, 40, 50)[0, 7, 12])
    with SceneInArea(scene(write_raster, noise, nodata=missing), area(tmp_path, PLACE)) as opened:
        assert not opened.read(opened.grid.whole, opened.bands).valid[7, 12]
        assert not opened.never_missing(opened.bands)
        assert opened.tags["AREA_OR_POINT"] == "Area"
        assert not opened.sequential
        with pytest.raises(ContractError, match="leaves the scene"):
            opened.read(Window(0, 0, 41, 1), opened.bands)


def test_an_area_beside_the_scene(tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    far = box(600_000, 5_000_000, 600_100, 5_000_100)
    with (
        SceneInArea(scene(write_raster, noise), area(tmp_path, far)) as opened,
        pytest.raises(ContractError, match=r"No pixel of .*a\.tif lies in the area .*ä rea\.gpkg: the scene covers x"),
    ):
        opened.require_pixels()
    # Between four centres there is no pixel.
    tiny = box(500_000.9, 4_999_998.9, 500_001.1, 4_999_999.1)
    with (
        SceneInArea(scene(write_raster, noise), area(tmp_path, tiny, name="t.gpkg")) as opened,
        pytest.raises(ContractError, match="no polygon of the area holds the centre"),
    ):
        opened.require_pixels()
    with SceneInArea(scene(write_raster, noise), area(tmp_path, far, PLACE, name="b.gpkg")) as opened:
        opened.require_pixels()


def test_what_has_no_place(tmp_path: Path, write_raster: Write, noise: Noise) -> None:
    with pytest.raises(DataError, match=r"a\.tif in its area of interest: .*coordinate reference system"):
        SceneInArea(scene(write_raster, noise, crs=None), area(tmp_path, PLACE))
    with pytest.raises(DataError, match=r"missing\.gpkg"):
        SceneInArea(scene(write_raster, noise), tmp_path / "missing.gpkg")


def test_a_real_outline(real_data: Path) -> None:
    folder = real_data / "zion_landsat_nlcd"
    whole = file_entry(str(folder / "raster" / "landsat_b2.tif"), whole=True).open()
    with SceneInArea(whole, folder / "vector" / "zion.gpkg") as opened:
        opened.require_pixels()
        found = opened.read(opened.grid.whole, opened.bands)
    outline = gpd.read_file(folder / "vector" / "zion.gpkg").to_crs(found.grid.crs)
    pixel = abs(found.grid.transform.determinant)
    # The park lies within the scene but for its corners without data.
    assert 0.9 < found.valid.sum() * pixel / outline.area.sum() <= 1.001
