"""Overviews: the most frequent class and the mean, against slow definitions, and rows in any portions."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.scene.overviews import Pyramid, halved_by_mean, halved_by_mode, overview_shapes


def slow_mode(four: list[int], nodata: int | None) -> int:
    """Return the definition, word by word."""
    measured = [value for value in four if value != nodata]
    if len(measured) < 2:
        assert nodata is not None
        return nodata
    counts = Counter(measured)
    return min(value for value in counts if counts[value] == max(counts.values()))


def fours(pixels: np.ndarray) -> list[list[list[int]]]:
    height, width = pixels.shape
    return [[pixels[y : y + 2, x : x + 2].ravel().tolist() for x in range(0, width, 2)] for y in range(0, height, 2)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "int32"]),
    missing=st.sampled_from(["largest", "zero", "none", "negative"]),
)
def test_mode_is_the_most_frequent_value(seed: int, dtype: str, missing: str) -> None:
    kind = np.dtype(dtype)
    nodata = {"largest": int(np.iinfo(kind).max), "zero": 0, "none": None, "negative": -1}[missing]
    if missing == "negative" and kind.kind == "u":
        return
    values = np.array([1, 2, 3, 7, *([] if nodata is None else [nodata, nodata])], dtype=kind)
    pixels = np.random.default_rng(seed).choice(values, (6, 8))
    expected = [[slow_mode(four, nodata) for four in row] for row in fours(pixels)]
    found = halved_by_mode(pixels[None], nodata=nodata)
    assert found.dtype == kind
    np.testing.assert_array_equal(found[0], np.array(expected, dtype=kind))


def test_colours_are_one_value() -> None:
    table = np.array([[0, 0, 0, 0], [255, 0, 0, 255], [0, 255, 0, 255], [255, 255, 0, 255]], dtype=np.uint8)
    numbers = np.random.default_rng(0).integers(0, 4, (40, 60))
    found = halved_by_mode(np.moveaxis(table[numbers], -1, 0))
    packed = [int(entry.view("<u4")[0]) for entry in table]
    for y, row in enumerate(fours(numbers)):
        for x, four in enumerate(row):
            expected = slow_mode([packed[number] for number in four], 0)
            np.testing.assert_array_equal(found[:, y, x], np.array([expected], dtype="<u4").view(np.uint8))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), gaps=st.booleans(), channels=st.integers(1, 3))
def test_mean_of_what_was_measured(seed: int, gaps: bool, channels: int) -> None:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 255, (channels, 6, 8)).astype(np.uint8)
    if gaps:
        pixels[:, generator.random((6, 8)) < 0.5] = 255
    found = halved_by_mean(pixels, nodata=255)
    assert found.dtype == np.uint8
    for channel in range(channels):
        for y, row in enumerate(fours(pixels[channel])):
            for x, four in enumerate(row):
                measured = [value for value in four if value != 255]
                # Python, too, rounds halves to even.
                expected = round(sum(measured) / len(measured)) if len(measured) > 1 else 255
                assert found[channel, y, x] == expected, four


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_mean_of_numbers_with_fractions(dtype: type) -> None:
    pixels = np.array([[[0.5, 0.25, 1, np.nan], [0.75, 0.5, np.nan, np.nan]]], dtype=dtype)
    found = halved_by_mean(pixels, nodata=float("nan"))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.array([[[0.5, np.nan]]], dtype=dtype))


def test_every_layer_of_a_map_misses_the_same_pixels() -> None:
    missing = np.random.default_rng(0).random((64, 64)) < 0.5
    classes = np.where(missing, 255, 1).astype(np.uint8)[None]
    shares = np.where(missing, np.nan, 0.5).astype(np.float16)[None]
    gone = halved_by_mode(classes, nodata=255) == 255
    assert gone.any()
    np.testing.assert_array_equal(gone, halved_by_mean(classes, nodata=255) == 255)
    np.testing.assert_array_equal(gone, np.isnan(halved_by_mean(shares, nodata=float("nan"))))


@pytest.mark.parametrize("shape", [(1, 1), (1, 100), (100, 1), (63, 65), (64, 32), (513, 7)])
@pytest.mark.parametrize("step", [1, 3, 16, 1000])
def test_rows_may_come_in_any_portions(shape: tuple[int, int], step: int) -> None:
    pixels = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], dtype=np.uint8), (2, *shape))
    shapes = overview_shapes(*shape, largest=8)
    levels: list[list[np.ndarray]] = [[] for _ in shapes]
    pyramid = Pyramid(shapes, partial(halved_by_mode, nodata=255), [level.append for level in levels])
    buffer = np.empty_like(pixels)
    for top in range(0, shape[0], step):
        # The caller uses its memory again.
        height = min(step, shape[0] - top)
        buffer[:, :height] = pixels[:, top : top + height]
        pyramid.write(buffer[:, :height])
        buffer[:] = 99
    pyramid.close()
    expected = pixels
    for (height, width), found in zip(shapes, levels, strict=True):
        even = ((0, 0), (0, expected.shape[1] % 2), (0, expected.shape[2] % 2))
        expected = halved_by_mode(np.pad(expected, even, mode="edge"), nodata=255)
        assert expected.shape[1:] == (height, width)
        np.testing.assert_array_equal(np.concatenate(found, axis=1), expected)


def test_sizes_of_overviews() -> None:
    assert overview_shapes(512, 512, largest=512) == []
    assert overview_shapes(1, 100_000, largest=512)[-1] == (1, 391)
    assert overview_shapes(12_000, 12_000, largest=512) == [(side, side) for side in (6000, 3000, 1500, 750, 375)]
