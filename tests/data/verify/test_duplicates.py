"""Copies are found however they are turned, mirrored, brightened or encoded; different pictures are not."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from terrazzo.data.verify import duplicates
from terrazzo.data.verify.duplicates import MOVES, find_twins, thumbnail
from terrazzo.data.verify.reduction import Reduced, Reduction

HOW = {"bits": 8, "correlation": 0.995}


def small(image: np.ndarray) -> np.ndarray | None:
    planes = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
    reduction = Reduction(*planes.shape[1:])
    reduction.add(0, planes, np.ones(planes.shape[1:], dtype=bool))
    return thumbnail(reduction.result())


def unit(picture: np.ndarray) -> np.ndarray:
    centred = picture - picture.mean()
    return (centred / np.linalg.norm(centred)).astype(np.float32)


def moved(picture: np.ndarray, move: int) -> np.ndarray:
    return np.rot90(np.fliplr(picture) if move >= 4 else picture, move % 4)


def signs(picture: np.ndarray) -> np.ndarray:
    return dctn(picture.astype(np.float64), norm="ortho")[:8, :8].ravel()[1:] > 0


def plainly(pictures: list[np.ndarray], bits: int, correlation: float) -> dict[tuple[int, int], tuple[str, float]]:
    """Compare every two pictures in every move."""
    found = {}
    for first, second in itertools.combinations(range(len(pictures)), 2):
        for move, name in enumerate(MOVES):
            copy = moved(pictures[first], move)
            alike = float(np.vdot(pictures[second].astype(np.float64), copy))
            near = int((signs(pictures[second]) != signs(copy)).sum()) <= bits
            if near and alike >= correlation and alike > found.get((second, first), ("", 0.0))[1]:
                found[second, first] = (name, alike)
    return found


def families(seed: int) -> list[np.ndarray]:
    """Return smooth pictures, each with moved copies under more and more noise, in a mixed order."""
    draw = np.random.default_rng(seed)
    pictures = []
    for _ in range(5):
        base = unit(gaussian_filter(draw.normal(size=(32, 32)), 2))
        noises = [draw.normal(size=(32, 32)) * level / 32 for level in (0, 0.1, 0.3, 0.6)]
        pictures += [unit(moved(base, int(draw.integers(8))) + noise) for noise in noises]
    return [pictures[number] for number in draw.permutation(len(pictures))]


@pytest.fixture
def photographs(real_data: Path) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted(real_data.glob("dubai/Tile [12]/images/*.jpg"))]


def test_different_photographs_are_no_twins(photographs: list[np.ndarray]) -> None:
    pictures = [picture for image in photographs if (picture := small(image)) is not None]
    assert len(pictures) == 18
    assert find_twins(pictures, **HOW) == []


@pytest.mark.parametrize("move", range(8))
def test_turned_and_mirrored_copies(photographs: list[np.ndarray], move: int) -> None:
    image = photographs[3]
    copy = np.rot90(image[:, ::-1] if move >= 4 else image, move % 4)
    twins = find_twins([small(image) for image in (photographs[0], image, copy)], **HOW)
    assert [(twin.first, twin.second, twin.move) for twin in twins] == [(1, 2, MOVES[move])]
    assert twins[0].correlation == pytest.approx(1, abs=1e-3)


def test_encoded_darkened_and_reduced_copies(photographs: list[np.ndarray]) -> None:
    image = photographs[5]
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="JPEG", quality=40)
    copies = [
        np.asarray(Image.open(encoded)),
        (image * 0.7 + 10).astype(np.uint8),
        np.asarray(Image.fromarray(image).resize((300, 240), Image.Resampling.BOX)),
    ]
    pictures = [small(picture) for picture in (image, *copies)]
    assert {twin.second for twin in find_twins(pictures, **HOW) if twin.first == 0} == {1, 2, 3}


def test_even_pictures_are_not_compared() -> None:
    assert small(np.full((50, 60), 9, dtype=np.uint8)) is None
    ramp = np.tile(np.arange(0, 240, 2, dtype=np.uint8), (90, 1))
    assert small(ramp) is None
    empty = Reduced(1, 5, 5, np.zeros((5, 5), np.float32), np.zeros((5, 5), np.float32), None)
    assert thumbnail(empty) is None


def test_few_pictures() -> None:
    assert find_twins([], **HOW) == []
    assert find_twins([np.eye(32, dtype=np.float32)], **HOW) == []


@pytest.mark.parametrize("bucketed_from", [2, 1000])
@pytest.mark.parametrize(("bits", "correlation"), [(0, 0.5), (3, 0.9), (8, 0.5), (8, 0.95), (10, 0.5), (16, 0.5)])
def test_the_pairs_of_a_plain_comparison(
    monkeypatch: pytest.MonkeyPatch, bucketed_from: int, bits: int, correlation: float
) -> None:
    monkeypatch.setattr(duplicates, "BUCKETED_FROM", bucketed_from)
    monkeypatch.setattr(duplicates, "AT_ONCE", 7)
    pictures = families(bits)
    expected = plainly(pictures, bits, correlation)
    assert 2 < len(expected) < 40
    # In a group of its own, each picture is told.
    found = find_twins(pictures, bits=bits, correlation=correlation, groups=[str(n) for n in range(len(pictures))])
    assert [(twin.second, twin.first) for twin in found] == sorted(expected)
    for twin in found:
        move, alike = expected[twin.second, twin.first]
        assert twin.move == move
        assert twin.correlation == pytest.approx(min(alike, 1), abs=1e-6)


def test_the_first_of_each_group_is_told() -> None:
    draw = np.random.default_rng(0)
    picture, other = (unit(draw.normal(size=(32, 32))) for _ in range(2))
    groups = ["train", "val", "train", None, "val", "train"]
    twins = find_twins([picture, picture, picture, other, picture, other], **HOW, groups=groups)
    assert [(twin.first, twin.second) for twin in twins] == [(0, 1), (0, 2), (1, 2), (0, 4), (1, 4), (3, 5)]
    alone = find_twins([picture, picture, picture, other, picture, other], **HOW)
    assert [(twin.first, twin.second) for twin in alone] == [(0, 1), (0, 2), (0, 4), (3, 5)]


def test_copies_of_one_picture_cost_no_more_than_their_count() -> None:
    picture = unit(np.random.default_rng(1).normal(size=(32, 32)))
    twins = find_twins([picture] * 600, **HOW)
    assert [(twin.first, twin.second, twin.move) for twin in twins] == [(0, second, "") for second in range(1, 600)]


def test_a_symmetrical_picture_lies_as_it_is() -> None:
    half = np.random.default_rng(2).normal(size=(32, 16))
    picture = unit(np.hstack([half, half[:, ::-1]]))
    assert [twin.move for twin in find_twins([picture, picture], **HOW)] == [""]
