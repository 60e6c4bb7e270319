"""Quantiles of bands: against numpy, whatever the strips, and in little room."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from terrazzo.data.distribution import (
    ATOMS,
    QUANTILE_SHARES,
    SAMPLED_PIXELS,
    Distribution,
    Sketch,
    SketchSum,
    distribution_of,
    weighted_quantiles,
)


def sketched(values, valid=None, cuts=()):
    bands, height, width = values.shape
    valid = np.ones((height, width), dtype=bool) if valid is None else valid
    found = SketchSum(bands, height, width)
    for top, bottom in itertools.pairwise([0, *cuts, height]):
        found.add(top, values[:, top:bottom], valid[top:bottom])
    return found.result()


def quantiles(*sketches, bands=1):
    found = distribution_of(sketches, (1.0,) * bands)
    assert found is not None
    return found.quantiles


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32"])
def test_few_values_are_counted_exactly(dtype):
    draw = np.random.default_rng(0)
    values = draw.integers(-100 if np.dtype(dtype).kind != "u" else 0, 128, (2, 200, 150)).astype(dtype)
    valid = draw.random((200, 150)) < 0.6
    found = quantiles(sketched(values, valid), bands=2)
    for band in range(2):
        expected = np.quantile(values[band][valid], QUANTILE_SHARES, method="inverted_cdf")
        assert found[band] == tuple(map(float, expected))


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
def test_many_values_keep_every_quantile_to_a_share_of_the_pixels(dtype):
    values = np.random.default_rng(1).gamma(3.0, 400.0, (1, 256, 256)).astype(dtype)
    sketch = sketched(values)
    assert len(sketch.values[0]) == ATOMS
    assert sum(sketch.counts[0]) == 256 * 256
    (found,) = quantiles(sketch)
    assert (found[0], found[-1]) == (values.min(), values.max())
    for share, value in zip(QUANTILE_SHARES, found, strict=True):
        assert (values <= value).mean() == pytest.approx(share, abs=0.5 / ATOMS + 1e-3)


@given(st.lists(st.integers(1, 699), max_size=4, unique=True))
def test_the_same_however_it_is_cut(cuts):
    draw = np.random.default_rng(2)
    values = draw.integers(0, 2**16, (2, 700, 300)).astype(np.uint16)
    valid = draw.random((700, 300)) < 0.5
    assert sketched(values, valid, sorted(cuts)) == sketched(values, valid)


def test_a_large_image_is_sampled_evenly_and_counts_for_all_its_pixels():
    rows, columns = np.mgrid[0:1000, 0:900]
    values = np.stack([rows, columns]).astype(np.uint16)
    sketch = sketched(values)
    assert sum(sketch.counts[0]) == pytest.approx(900_000, rel=0.01)
    down, across = quantiles(sketch, bands=2)
    assert down[4] == pytest.approx(500, abs=8)
    assert across[4] == pytest.approx(450, abs=8)
    parts = SketchSum(1, 1000, 900)
    parts.add(0, values[:1], np.ones((1000, 900), dtype=bool))
    assert sum(len(part) for part in parts._parts[0]) <= SAMPLED_PIXELS


def test_images_count_by_their_pixels_and_in_any_order():
    dark, bright = sketched(np.zeros((1, 30, 30), np.uint8)), sketched(np.full((1, 10, 10), 200, np.uint8))
    assert quantiles(dark, bright) == quantiles(bright, dark)
    assert quantiles(dark, bright)[0] == (0, 0, 0, 0, 0, 0, 200, 200, 200)


def test_without_a_valid_pixel_there_is_no_distribution():
    nothing = sketched(np.zeros((2, 5, 5), np.uint8), np.zeros((5, 5), bool))
    assert nothing == Sketch(((), ()), ((), ()))
    assert distribution_of([], (1.0,)) is None
    assert distribution_of([Sketch(), nothing], (1.0, 1.0)) is None
    assert quantiles(nothing, sketched(np.full((2, 2, 2), 7, np.uint8)), bands=2) == ((7.0,) * 9,) * 2


def test_one_value():
    assert weighted_quantiles(np.array([5]), np.array([1])) == (5.0,) * len(QUANTILE_SHARES)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantiles": ((1.0,) * 8,)},
        {"quantiles": ((1.0, 0.0) + (2.0,) * 7,)},
        {"quantiles": ()},
        {"deviation": (1.0, 1.0)},
        {"deviation": (0.0,)},
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes):
    with pytest.raises(ValidationError, match=r"quantiles|deviation"):
        Distribution(**{"quantiles": ((0.0,) * 9,), "deviation": (1.0,), **changes})
