"""Tests of the step from raw values to what a network sees."""

import numpy as np
import pytest
from pydantic import ValidationError

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import ContractError


def test_values_become_distances_from_the_mean_in_deviations() -> None:
    normalisation = Normalisation(mean=(10.0, 100.0), std=(2.0, 50.0))
    values = np.array([[[12, 10]], [[50, 200]]], dtype=np.uint16)
    found = normalisation(values, np.ones((1, 2), dtype=bool))
    assert found.dtype == np.float32
    assert found.tolist() == [[[1.0, 0.0]], [[-1.0, 2.0]]]


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf, -9999.0])
def test_a_missing_pixel_is_the_mean_whatever_it_holds(hole: float) -> None:
    normalisation = Normalisation(mean=(10.0,), std=(2.0,))
    found = normalisation(np.array([[[hole, 14.0]]]), np.array([[False, True]]))
    assert found.tolist() == [[[0.0, 2.0]]]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint64", "float32", "float64"])
def test_a_missing_neighbour_moves_no_bit(dtype: str) -> None:
    """Whole windows go another way than windows with holes; both are the same arithmetic."""
    normalisation = Normalisation(mean=(10.1, 0.3), std=(2.3, 7.7))
    values = (np.random.default_rng(0).random((2, 5, 6)) * 100).astype(dtype)
    valid = np.ones((5, 6), dtype=bool)
    whole = normalisation(values, valid)
    valid[2, 3] = False
    holed = normalisation(values, valid)
    np.testing.assert_array_equal(whole[:, valid], holed[:, valid])
    assert (holed[:, 2, 3] == 0).all()


def test_a_raster_without_a_valid_pixel_is_all_mean() -> None:
    found = Normalisation(mean=(10.0,), std=(2.0,))(np.full((1, 3, 3), np.nan), np.zeros((3, 3), dtype=bool))
    assert (found == 0).all()


def test_the_raw_values_stay_as_they_were() -> None:
    values = np.array([[[1.0, 2.0]]], dtype=np.float32)
    Normalisation(mean=(5.0,), std=(2.0,))(values, np.array([[True, False]]))
    assert values.tolist() == [[[1.0, 2.0]]]


def test_another_number_of_bands_is_refused() -> None:
    with pytest.raises(ContractError, match="3 bands were given, but the normalisation knows 1"):
        Normalisation(mean=(0.0,), std=(1.0,))(np.zeros((3, 1, 1)), np.ones((1, 1), dtype=bool))


@pytest.mark.parametrize("std", [(0.0,), (-1.0,), (1.0, 1.0)])
def test_a_deviation_is_positive_and_one_a_band(std: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Normalisation(mean=(0.0,), std=std)
