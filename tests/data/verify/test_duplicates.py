"""Copies are found however they are turned, mirrored, brightened or encoded; different pictures are not."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.verify.duplicates import MOVES, find_twins, thumbnail
from terrazzo.data.verify.reduction import Reduced, Reduction

HOW = {"bits": 8, "correlation": 0.995}


def small(image: np.ndarray) -> np.ndarray | None:
    planes = image.transpose(2, 0, 1) if image.ndim == 3 else image[None]
    reduction = Reduction(*planes.shape[1:])
    reduction.add(0, planes, np.ones(planes.shape[1:], dtype=bool))
    return thumbnail(reduction.result())


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
