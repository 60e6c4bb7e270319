"""Tests of samples and batches."""

import dataclasses

import pytest
import torch
from jaxtyping import TypeCheckError

from terrazzo.data.sample import Sample, collate
from terrazzo.geo.grid import Window


def sample(row: int, target: list[list[int]], valid: list[list[bool]]) -> Sample:
    labels = torch.tensor(target)
    image = torch.full((2, *labels.shape), float(row))
    return Sample(image, labels, torch.tensor(valid), row, Window(0, 0, *labels.shape))


def test_a_batch_stacks_its_samples_in_order() -> None:
    batch = collate([sample(7, [[0, 1]], [[True, True]]), sample(3, [[1, 255]], [[True, False]])])
    assert len(batch) == 2
    assert batch.rows == (7, 3)
    assert batch.cores == (Window(0, 0, 1, 2),) * 2
    assert batch.image[:, 0, 0, 0].tolist() == [7.0, 3.0]
    assert batch.target.tolist() == [[[0, 1]], [[1, 255]]]


def test_a_pixel_is_ignored_without_a_label_or_without_a_measurement() -> None:
    batch = collate([sample(0, [[0, 255], [1, 255]], [[True, True], [False, False]])])
    assert batch.ignored(255).tolist() == [[[False, True], [True, True]]]


def test_the_ignore_value_is_the_one_given() -> None:
    batch = collate([sample(0, [[255, 65535]], [[True, True]])])
    assert batch.ignored(65535).tolist() == [[[False, True]]]


def test_moving_a_batch_keeps_rows_and_cores() -> None:
    batch = collate([sample(5, [[0]], [[True]])])
    moved = batch.to(torch.device("cpu"))
    assert (moved.rows, moved.cores) == (batch.rows, batch.cores)
    assert torch.equal(moved.image, batch.image)


def test_other_pixels_leave_the_origin() -> None:
    first = sample(5, [[0]], [[True]])
    changed = first.with_pixels(first.image + 1, first.target + 1, ~first.valid)
    assert (changed.row, changed.core) == (5, first.core)
    assert (changed.image.mean().item(), changed.target.item(), changed.valid.item()) == (6.0, 1, False)
    assert first.target.item() == 0


def test_a_sample_is_not_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        sample(0, [[0]], [[True]]).row = 1  # type: ignore[misc]


def test_shapes_must_agree() -> None:
    with pytest.raises(TypeCheckError):
        Sample(
            torch.zeros(2, 3, 3),
            torch.zeros(2, 2, dtype=torch.int64),
            torch.ones(3, 3, dtype=torch.bool),
            0,
            Window(0, 0, 3, 3),
        )


def test_samples_of_different_size_do_not_stack() -> None:
    with pytest.raises(RuntimeError, match="equal size"):
        collate([sample(0, [[0]], [[True]]), sample(1, [[0, 1]], [[True, True]])])
