"""Bands depend on the map alone."""

import numpy as np
import pytest

from terrazzo.scene.polygons.bands import BandLimits, BandRows


def bands_of(values: np.ndarray, chunk: int, limits: BandLimits, pixels: int = 100) -> list[np.ndarray]:
    made = BandRows(values.shape[1], pixels=pixels, limits=limits)
    found = [band for top in range(0, len(values), chunk) for band in made.feed(values[top : top + chunk])]
    return found + made.finish()


@pytest.mark.parametrize("limits", [BandLimits(), BandLimits(borders=20), BandLimits(rows=3), BandLimits(borders=1)])
def test_bands_do_not_depend_on_chunks(limits: BandLimits) -> None:
    values = np.random.default_rng(0).integers(0, 3, (47, 10)).astype(np.uint8)
    values[10:30] = 1
    expected = [len(band) for band in bands_of(values, 47, limits)]
    assert max(expected) <= min(limits.rows, 10)
    for chunk in (1, 2, 7, 11):
        bands = bands_of(values, chunk, limits)
        np.testing.assert_array_equal(np.concatenate(bands), values)
        assert [len(band) for band in bands] == expected


def test_busy_rows_make_short_bands() -> None:
    values = np.zeros((20, 10), dtype=np.uint8)
    values[10:] = np.indices((10, 10)).sum(axis=0) % 2
    lengths = [len(band) for band in bands_of(values, 20, BandLimits(borders=40))]
    assert lengths[0] == 10
    assert max(lengths[1:]) == 2


def test_a_row_wider_than_a_band_is_one() -> None:
    assert [len(band) for band in bands_of(np.zeros((3, 200), np.uint8), 2, BandLimits())] == [1, 1, 1]
