"""Cells hold the means of their pixels, however an image is cut into strips."""

import numpy as np
import pytest

from terrazzo.data.verify.reduction import LONGEST_SIDE, Reduction

GENERATOR = np.random.default_rng(0)


def cell_sums(plane: np.ndarray, factor: int) -> np.ndarray:
    """Sum a plane into cells, one by one."""
    height, width = plane.shape
    sums = np.zeros((-(-height // factor), -(-width // factor)))
    for y in range(height):
        for x in range(width):
            sums[y // factor, x // factor] += plane[y, x]
    return sums


def strips(height: int, cut: int) -> list[slice]:
    return [slice(y, min(y + cut, height)) for y in range(0, height, cut)]


@pytest.mark.parametrize(
    ("bands", "dtype", "cut"), [(3, np.uint8, 1000), (1, np.uint8, 7), (4, np.uint16, 5), (2, np.float32, 3)]
)
def test_brightness_and_validity(bands: int, dtype: type, cut: int) -> None:
    height, width = 11, LONGEST_SIDE * 2 + 1
    top = 255 if dtype == np.uint8 else 60_000
    values = GENERATOR.integers(0, top, (bands, height, width)).astype(dtype)
    valid = GENERATOR.random((height, width)) < 0.8
    valid[:4] = True
    valid[6:9, :3] = False
    reduction = Reduction(height, width)
    for rows in strips(height, cut):
        reduction.add(rows.start, values[:, rows], valid[rows])
    view = reduction.result()
    assert view.factor == 3
    assert view.borders is None
    pixels = cell_sums(np.ones((height, width)), 3)
    counted = cell_sums(valid, 3)
    used = min(bands, 3)
    total = cell_sums(np.where(valid, values[:used].astype(np.float64), 0).sum(axis=0), 3)
    np.testing.assert_allclose(view.valid, counted / pixels, rtol=1e-6)
    np.testing.assert_allclose(view.brightness, total / np.maximum(counted, 1) / used, rtol=1e-5)
    assert view.brightness[2, 0] == 0


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_borders_count_each_neighbour_once_and_none_beside_ignored(cut: int) -> None:
    height, width = 9, LONGEST_SIDE + 5
    target = GENERATOR.integers(0, 3, (height, width)).astype(np.uint8)
    target[GENERATOR.random((height, width)) < 0.1] = 255
    reduction = Reduction(height, width)
    for rows in strips(height, cut):
        reduction.add(
            rows.start, np.zeros((1, rows.stop - rows.start, width), np.uint8), np.ones(target[rows].shape, bool)
        )
        reduction.add_label(rows.start, target[rows], 255)
    expected = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            for other in ((y, x + 1), (y + 1, x)):
                if other[0] < height and other[1] < width and 255 not in (target[y, x], target[other]):
                    expected[y, x] += target[y, x] != target[other]
    found = reduction.result().borders
    assert found is not None
    np.testing.assert_allclose(found, cell_sums(expected, 2) / cell_sums(np.ones((height, width)), 2), rtol=1e-6)


def test_a_single_pixel() -> None:
    reduction = Reduction(1, 1)
    reduction.add(0, np.full((1, 1, 1), 7, np.uint8), np.ones((1, 1), bool))
    reduction.add_label(0, np.zeros((1, 1), np.uint8), 255)
    view = reduction.result()
    assert (view.factor, view.brightness.item(), view.valid.item()) == (1, 7.0, 1.0)
