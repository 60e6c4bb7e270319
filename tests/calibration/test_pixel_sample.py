"""Sampled pixels: the same in whatever pieces they come, never an ignored one, and sums that stay right."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.calibration.pixel_sample import LEAST_OF_A_CLASS, PixelSample, SampledPixels

SHAPE = (60, 47)


def labels(shape: tuple[int, int] = SHAPE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Four classes, the last one rare, and a third of the pixels ignored (255)."""
    draw = np.random.default_rng(seed)
    target = draw.choice(4, shape, p=[0.6, 0.29, 0.1, 0.01]).astype(np.uint8)
    ignored = draw.random(shape) < 0.33
    target[ignored] = 255
    return target, ignored


def drawn(
    target: np.ndarray,
    ignored: np.ndarray,
    *,
    name: str = "Bild ä",
    pixels: int = 300,
    cuts: Sequence[int] = (),
    columns: Sequence[int] = (),
    backwards: bool = False,
    **more: int,
) -> SampledPixels:
    """Sample an image cut into pieces; each pixel's value is its own position."""
    height, width = target.shape
    plane = np.arange(height * width, dtype=np.float32).reshape(target.shape)
    sample = PixelSample(name, pixels=pixels, classes=4, width=width, **more)
    ys, xs = [0, *sorted(cuts), height], [0, *sorted(columns), width]
    pieces = [
        (slice(y, below), slice(x, right)) for y, below in itertools.pairwise(ys) for x, right in itertools.pairwise(xs)
    ]
    for rows, across in reversed(pieces) if backwards else pieces:
        part = plane[rows, across]
        sample.add(
            target[rows, across],
            ignored[rows, across],
            lambda y, x, part=part: part[y, x][:, None],
            y=rows.start,
            x=across.start,
        )
    return sample.result()


def same(one: SampledPixels, other: SampledPixels) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("y", "x", "target", "weight", "values")
    )


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, SHAPE[0]), max_size=6),
    columns=st.lists(st.integers(0, SHAPE[1]), max_size=4),
    pixels=st.integers(1, 4000),
    backwards=st.booleans(),
)
def test_pieces_and_their_order_make_no_difference(
    cuts: list[int], columns: list[int], pixels: int, backwards: bool
) -> None:
    target, ignored = labels()
    whole = drawn(target, ignored, pixels=pixels)
    assert same(whole, drawn(target, ignored, pixels=pixels, cuts=cuts, columns=columns, backwards=backwards))


def test_pixels_are_their_own_and_never_ignored() -> None:
    target, ignored = labels()
    found = drawn(target, ignored)
    assert 300 <= len(found) <= 300 + 4 * LEAST_OF_A_CLASS
    assert len(set(zip(found.y.tolist(), found.x.tolist(), strict=True))) == len(found)
    assert not ignored[found.y, found.x].any()
    np.testing.assert_array_equal(target[found.y, found.x], found.target)
    np.testing.assert_array_equal(found.values[:, 0], found.y * SHAPE[1] + found.x)


def test_rare_classes_are_there_and_weights_count_every_class() -> None:
    target, ignored = labels()
    found = drawn(target, ignored)
    for number in range(4):
        of_class = found.target == number
        pixels = int((target == number).sum())
        assert of_class.sum() >= min(LEAST_OF_A_CLASS, pixels)
        assert found.weight[of_class].sum() == pytest.approx(pixels)


def test_estimates_of_sums_have_no_bias() -> None:
    target, ignored = labels()
    # What is estimated depends on class and place, as a loss does.
    loss = np.random.default_rng(9).random(SHAPE) * (1 + target.astype(float))
    truth = loss[~ignored].sum()
    estimates = []
    for number in range(600):
        found = drawn(target, ignored, name=f"image {number}", pixels=60, least=8)
        estimates.append((loss[found.y, found.x] * found.weight).sum())
    error = np.mean(estimates) - truth
    assert abs(error) < 3 * np.std(estimates) / 600**0.5
    assert np.std(estimates) < 0.2 * truth


def test_other_names_draw_others_and_seeds_do_not_line_up() -> None:
    target, ignored = labels()
    one, other = (drawn(target, ignored, name=name, pixels=100, least=1) for name in ("a", "b"))
    common = set(zip(one.y, one.x, strict=True)) & set(zip(other.y, other.x, strict=True))
    assert len(common) < 20


def test_small_images_give_all_their_pixels() -> None:
    target, ignored = labels((3, 5))
    found = drawn(target, ignored, pixels=100)
    assert len(found) == (~ignored).sum()
    assert (found.weight == 1).all()


@pytest.mark.parametrize("shape", [(1, 1), (4, 3)])
def test_images_without_a_labelled_pixel_give_none(shape: tuple[int, int]) -> None:
    found = drawn(np.full(shape, 255, np.uint8), np.ones(shape, dtype=bool))
    assert len(found) == 0


def test_a_single_pixel() -> None:
    found = drawn(np.array([[2]], np.uint8), np.array([[False]]))
    assert (found.y.tolist(), found.x.tolist(), found.target.tolist(), found.weight.tolist()) == ([0], [0], [2], [1.0])


def test_values_are_asked_of_few_pixels_only() -> None:
    asked = []
    sample = PixelSample("large", pixels=50, classes=1, width=1000)
    nothing = np.zeros((100, 1000), dtype=bool)

    def values(y: np.ndarray, _x: np.ndarray) -> np.ndarray:
        asked.append(len(y))
        return np.zeros((len(y), 1), np.float32)

    for y in range(0, 2000, 100):
        sample.add(nothing.astype(np.uint8), nothing, values, y=y)
    assert sum(asked) < 50 * 8
    assert sample.result().weight.sum() == pytest.approx(2_000_000)
