"""Raw labels to codes: tables, search, matching."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.data.label_lookup import ColourLookup, ValueLookup, pack_colours
from terrazzo.errors import LabelError

OPEN = 254
RED, GREEN = (255, 0, 0), (0, 255, 0)


def colour_lookup(colours=(RED, GREEN), match="exact", tolerance=0.0):
    return ColourLookup(colours, range(len(colours)), open_code=OPEN, dtype=np.uint8, match=match, tolerance=tolerance)


def value_lookup(values, match="exact", tolerance=0.0):
    return ValueLookup(values, range(len(values)), open_code=OPEN, dtype=np.uint8, match=match, tolerance=tolerance)


def mask(*colours):
    return np.array(colours, dtype=np.uint8).T[:, None]


def test_packed_colour_holds_red_first_and_leaves_out_alpha():
    assert pack_colours(np.array([[1], [2], [3], [4]], dtype=np.uint8)).tolist() == [0x010203]


def test_exact_colours_are_found_and_others_counted_by_name():
    codes, unlisted = colour_lookup()(mask(RED, GREEN, (255, 0, 1), (255, 0, 1)))
    assert codes.tolist() == [[0, 1, OPEN, OPEN]]
    assert unlisted == {"#FF0001": 2}


def test_a_grey_label_counts_as_grey_colour():
    codes, _ = colour_lookup(((0, 0, 0), (255, 255, 255)))(np.array([[[0, 255]]], dtype=np.uint8))
    assert codes.tolist() == [[0, 1]]


def test_binarise_splits_at_128_per_channel():
    codes, unlisted = colour_lookup(match="binarise")(mask((128, 127, 0), (0, 200, 127), (128, 128, 0)))
    assert codes.tolist() == [[0, 1, OPEN]]
    assert unlisted == {"#808000": 1}


def test_nearest_takes_the_first_of_equally_far_colours_and_keeps_to_its_tolerance():
    lookup = colour_lookup(((10, 0, 0), (20, 0, 0)), match="nearest", tolerance=5.0)
    codes, unlisted = lookup(mask((15, 0, 0), (16, 0, 0), (20, 3, 4), (20, 4, 4)))
    assert codes.tolist() == [[0, 1, 1, OPEN]]
    assert unlisted == {"#140404": 1}


def test_nearest_answers_alike_when_asked_again():
    lookup = colour_lookup(match="nearest", tolerance=100.0)
    labels = np.random.default_rng(0).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    first, unlisted = lookup(labels)
    again, unlisted_again = lookup(labels)
    assert np.array_equal(first, again)
    assert unlisted == unlisted_again


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_nearest_agrees_with_a_direct_search(colours):
    listed = np.array([(0, 0, 0), (200, 50, 30), (20, 20, 220)])
    codes, _ = NEAREST(np.array(colours, dtype=np.uint8).T[:, None])
    for colour, code in zip(colours, codes[0], strict=True):
        distances = np.sqrt(((listed - np.array(colour)) ** 2).sum(axis=1))
        expected = distances.argmin() if distances.min() <= 60 else OPEN
        assert code == expected


NEAREST = colour_lookup(((0, 0, 0), (200, 50, 30), (20, 20, 220)), match="nearest", tolerance=60.0)


def test_colours_need_8_bit_labels():
    with pytest.raises(LabelError, match="uint16"):
        colour_lookup()(np.zeros((3, 1, 1), dtype=np.uint16))


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
)
def test_values_of_every_type_are_found(dtype):
    codes, unlisted = value_lookup((7, 3))(np.array([[[3, 7, 9, 3]]], dtype=dtype))
    assert codes.tolist() == [[1, 0, OPEN, 1]]
    assert unlisted == {"9": 1}


def test_negative_large_and_fractional_values():
    codes, unlisted = value_lookup((-9999, 100_000))(np.array([[[-9999, 100_000, 0.5, np.nan]]]))
    assert codes.tolist() == [[0, 1, OPEN, OPEN]]
    assert unlisted == {"0.5": 1, "nan": 1}


def test_a_value_beyond_the_label_type_is_no_error():
    codes, _ = value_lookup((-1, 300, 5))(np.array([[[5, 44]]], dtype=np.uint8))
    assert codes.tolist() == [[2, OPEN]]


def test_values_binarised_and_nearest():
    codes, _ = value_lookup((0, 255), match="binarise")(np.array([[[0, 127, 128, 250]]], dtype=np.uint8))
    assert codes.tolist() == [[0, 0, 1, 1]]
    codes, unlisted = value_lookup((10, 20), match="nearest", tolerance=4.0)(
        np.array([[[6, 14, 15, 16]]], dtype=np.uint8)
    )
    assert codes.tolist() == [[0, 0, OPEN, 1]]
    assert unlisted == {"15": 1}


def test_nearest_value_at_exactly_the_middle_is_the_lower():
    codes, _ = value_lookup((10, 20), match="nearest", tolerance=9.0)(np.array([[[15]]], dtype=np.int32))
    assert codes.tolist() == [[0]]


def test_values_need_one_band_and_binarise_needs_8_bit():
    with pytest.raises(LabelError, match="3 bands"):
        value_lookup((0, 1))(np.zeros((3, 1, 1), dtype=np.uint8))
    with pytest.raises(LabelError, match="8-bit"):
        value_lookup((0, 255), match="binarise")(np.zeros((1, 1, 1), dtype=np.uint16))


def test_an_empty_window_is_empty():
    codes, unlisted = value_lookup((0, 1))(np.zeros((1, 0, 5), dtype=np.uint8))
    assert codes.shape == (0, 5)
    assert unlisted == {}


def test_a_large_colour_mask_is_fast():
    lookup = colour_lookup()
    labels = np.zeros((3, 2448, 2448), dtype=np.uint8)
    labels[0, ::2] = 255
    labels[1, 1::2] = 255
    lookup(labels)
    best = min(_seconds(lookup, labels) for _ in range(5))
    # 0.02 s alone on a core; the limit leaves room for a busy machine and still catches a search per pixel.
    assert best < 0.3


def _seconds(lookup, labels):
    begun = time.perf_counter()
    lookup(labels)
    return time.perf_counter() - begun
