"""A raster beside an image says which pixels were measured: by its values, its own nodata, and on another grid."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError

from terrazzo.data.validity import ValidityMask
from terrazzo.errors import ContractError, DataError
from terrazzo.geo.grid import Grid, Window
from terrazzo.geo.raster import RasterFile

PLACE = Affine(10, 0, 300_000, 0, -10, 5_000_000)


def write(path: Path, values: np.ndarray, transform: Affine = PLACE, **changes: object) -> Path:
    profile = {"count": 1, "height": values.shape[0], "width": values.shape[1], "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", transform=transform, **profile, **changes) as out:
        out.write(values, 1)
    return path


def valid(mask: ValidityMask, window: Window | None = None, onto: Grid | None = None) -> np.ndarray:
    with RasterFile(mask.file, onto=onto, resampling="nearest") as file:
        return mask.valid(file, window or file.grid.whole)


@pytest.fixture
def classes() -> np.ndarray:
    """A scene classification of odd size."""
    return np.random.default_rng(3).integers(0, 12, (23, 17), dtype=np.uint8)


def test_listed_values_are_missing(tmp_path: Path, classes: np.ndarray) -> None:
    file = write(tmp_path / "Szene ä 1.tif", classes)
    for missing in ((0,), (0, 1, 3, 8, 9, 10), (200,), tuple(range(12))):
        expected = np.array([[value not in missing for value in row] for row in classes.tolist()])
        assert np.array_equal(valid(ValidityMask(file=file, missing=missing)), expected)


def test_windows_are_parts_of_the_whole(tmp_path: Path, classes: np.ndarray) -> None:
    mask = ValidityMask(file=write(tmp_path / "a.tif", classes), missing=(4, 5))
    whole = valid(mask)
    for window in (Window(0, 0, 1, 1), Window(22, 16, 1, 1), Window(3, 5, 7, 9), Window(0, 0, 23, 1)):
        assert np.array_equal(valid(mask, window), whole[window.slices])
    with pytest.raises(ContractError):
        valid(mask, Window(20, 0, 4, 1))


def test_the_masks_own_nodata_is_missing_too(tmp_path: Path, classes: np.ndarray) -> None:
    mask = ValidityMask(file=write(tmp_path / "a.tif", classes, nodata=7), missing=(2,))
    assert np.array_equal(valid(mask), (classes != 2) & (classes != 7))


@pytest.mark.parametrize(("kind", "missing"), [("int16", -5), ("uint16", 40_000), ("float32", 3), ("uint8", -1)])
def test_values_of_any_type(tmp_path: Path, kind: str, missing: int) -> None:
    values = np.array([[0, 1], [2, 0]]).astype(kind)
    if kind != "uint8":
        values[1, 0] = missing
    found = valid(ValidityMask(file=write(tmp_path / "a.tif", values), missing=(missing,)))
    # A value that the type cannot hold stands nowhere; it must not be another one's bits.
    assert found.tolist() == [[True, True], [kind == "uint8", True]]


def test_not_a_number_is_missing(tmp_path: Path) -> None:
    values = np.array([[np.nan, 1.0, 2.5]], dtype=np.float32)
    assert valid(ValidityMask(file=write(tmp_path / "a.tif", values), missing=(1,))).tolist() == [[False, False, True]]


def test_a_single_pixel(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", np.array([[9]], dtype=np.uint8))
    assert valid(ValidityMask(file=file, missing=(9,))).tolist() == [[False]]
    assert valid(ValidityMask(file=file, missing=(8,))).tolist() == [[True]]


def test_a_coarser_mask_is_brought_onto_the_image_pixel_by_nearest_pixel(tmp_path: Path, classes: np.ndarray) -> None:
    file = write(tmp_path / "a.tif", classes, PLACE @ Affine.scale(2))
    with rasterio.open(file) as source:
        grid = Grid(source.crs, PLACE, 46, 34)
    found = valid(ValidityMask(file=file, missing=(0, 8)), onto=grid)
    assert np.array_equal(found, ~np.isin(classes, (0, 8)).repeat(2, axis=0).repeat(2, axis=1))


def test_where_the_mask_says_nothing_nothing_was_measured(tmp_path: Path) -> None:
    file = write(tmp_path / "a.tif", np.ones((4, 4), dtype=np.uint8))
    with rasterio.open(file) as source:
        grid = Grid(source.crs, PLACE @ Affine.translation(2, 1), 4, 4)
    expected = np.zeros((4, 4), dtype=bool)
    expected[:3, :2] = True
    assert np.array_equal(valid(ValidityMask(file=file, missing=(0,)), onto=grid), expected)


def test_a_truncated_mask_is_told(tmp_path: Path, classes: np.ndarray) -> None:
    file = write(tmp_path / "a.tif", classes)
    mask = ValidityMask(file=file, missing=(0,))
    file.write_bytes(file.read_bytes()[:-150])
    with pytest.raises(DataError, match=r"a\.tif"):
        valid(mask)


def test_settings_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="missing"):
        ValidityMask(file=Path("a.tif"), missing=())
    with pytest.raises(ValidationError, match="values"):
        ValidityMask(file=Path("a.tif"), missing=(1,), values=(2,))
    with pytest.raises(ValidationError, match="missing"):
        ValidityMask(file=Path("a.tif"), missing=(1.5,))


def test_it_is_the_same_after_json_and_a_key() -> None:
    mask = ValidityMask(file=Path("Äcker 1/SCL_20m.jp2"), missing=(0, 9))
    assert ValidityMask.model_validate_json(mask.model_dump_json()) == mask
    assert len({mask, mask.model_copy()}) == 1


def test_missing_water_of_a_real_label_raster(real_data: Path) -> None:
    file = real_data / "zion_landsat_nlcd" / "raster" / "nlcd.tif"
    with rasterio.open(file) as source:
        values, nodata = source.read(1), source.nodata
    expected = ~np.isin(values, (1, 8))
    if nodata is not None:
        expected &= values != nodata
    assert 0 < expected.sum() < expected.size
    assert np.array_equal(valid(ValidityMask(file=file, missing=(1, 8))), expected)
