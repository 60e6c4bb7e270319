"""Means, deviations and class weights, against numpy and by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from terrazzo.data.statistics import Moments, MomentSum, class_weights, constant_bands, merge, normalisation_of
from terrazzo.errors import DataError


def moments(values, valid=None, cuts=()):
    total = MomentSum(len(values))
    valid = np.ones(values.shape[1:], dtype=bool) if valid is None else valid
    edges = [0, *cuts, values.shape[1]]
    for begin, end in itertools.pairwise(edges):
        total.add(values[:, begin:end], valid[begin:end])
    return total.result()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_agrees_with_numpy_for_every_type(dtype):
    draw = np.random.default_rng(0)
    values = (draw.random((3, 20, 30)) * 100).astype(dtype)
    if dtype.startswith("int"):
        values -= np.array(50, dtype=dtype)
    valid = draw.random((20, 30)) < 0.7
    found = moments(values, valid, cuts=(3, 11))
    kept = values[:, valid].astype(np.float64)
    assert found.pixels == valid.sum()
    assert found.mean == pytest.approx(kept.mean(axis=1), rel=1e-12)
    assert found.squares == pytest.approx(((kept - kept.mean(axis=1, keepdims=True)) ** 2).sum(axis=1), rel=1e-10)


@given(arrays.arrays(np.uint16, (2, 9, 4)), st.lists(st.integers(1, 8), max_size=3))
def test_small_integers_are_exact_however_they_are_cut(values, cuts):
    assert moments(values, cuts=sorted(set(cuts))) == moments(values)


def test_nan_at_invalid_pixels_never_enters():
    values = np.array([[[1.0, np.nan, 3.0]]])
    assert moments(values, np.array([[True, False, True]])) == Moments(2, (2.0,), (2.0,))


def test_a_large_offset_does_not_drown_the_deviation():
    values = np.array([[[1e9, 1e9 + 1, 1e9 + 2]]])
    assert moments(values).squares == pytest.approx((2.0,))


def test_no_valid_pixel():
    found = moments(np.zeros((2, 3, 3), dtype=np.uint8), np.zeros((3, 3), dtype=bool))
    assert found == Moments(0, (0.0, 0.0), (0.0, 0.0))
    with pytest.raises(DataError, match="no pixel of the training images is valid"):
        normalisation_of(found)


def test_merging_in_order_equals_all_at_once():
    values = np.random.default_rng(1).random((2, 30, 8))
    parts = [moments(values[:, :7]), moments(values[:, 7:8]), moments(values[:, 8:])]
    whole = moments(values)
    merged = merge(parts)
    assert merged.pixels == whole.pixels
    assert merged.mean == pytest.approx(whole.mean, rel=1e-12)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-12)


def test_an_empty_part_changes_nothing():
    empty, part = Moments(0, (0.0,), (0.0,)), Moments(3, (5.0,), (1.0,))
    assert merge([empty, part, empty]) == part
    with pytest.raises(DataError):
        merge([])


def test_normalisation_by_hand_and_constant_band():
    found = normalisation_of(Moments(4, (3.0, 9.0), (16.0, 0.0)))
    assert found.mean == (3.0, 9.0)
    assert found.std == (2.0, 1.0)
    assert constant_bands(Moments(4, (3.0, 9.0), (16.0, 0.0))) == [1]


def test_rounding_of_a_constant_band_is_no_signal():
    values = np.full((1, 100, 100), 0.1)
    found = moments(values, cuts=(33, 66))
    assert constant_bands(found) == [0]
    assert normalisation_of(found).std == (1.0,)


def test_no_pixel_makes_no_band_constant():
    assert constant_bands(Moments(0, (0.0,), (0.0,))) == []


def test_inverse_weights_by_hand():
    assert class_weights([75, 25], "inverse") == pytest.approx((100 / (2 * 75), 100 / (2 * 25)))


def test_inverse_weights_average_to_one_over_pixels():
    counts = [1000, 10, 300, 7]
    weights = class_weights(counts, "inverse")
    assert sum(weight * count for weight, count in zip(weights, counts, strict=True)) / sum(counts) == pytest.approx(1)


def test_median_weights_by_hand():
    assert class_weights([100, 50, 25], "median") == pytest.approx((0.5, 1.0, 2.0))
    assert class_weights([100, 50], "median") == pytest.approx((0.75, 1.5))


@pytest.mark.parametrize("kind", ["inverse", "median"])
def test_a_class_without_pixels_weighs_one_and_does_not_shift_the_others(kind):
    weights = class_weights([30, 0, 10], kind)
    assert weights[1] == 1.0
    assert (weights[0], weights[2]) == class_weights([30, 10], kind)


def test_no_weights():
    assert class_weights([3, 0, 9], "none") == (1.0, 1.0, 1.0)
    with pytest.raises(DataError, match="no pixel is labelled"):
        class_weights([0, 0], "inverse")
