"""Pixels near a border between classes, against a search of every neighbourhood."""

import pytest
import torch

from terrazzo.calibration.boundary_band import boundary_band
from terrazzo.errors import ConfigError


def searched(target: torch.Tensor, ignored: torch.Tensor, width: int) -> torch.Tensor:
    """Look at every neighbour of every pixel."""
    height, across = target.shape
    found = torch.zeros_like(ignored)
    for y in range(height):
        for x in range(across):
            rows = slice(max(0, y - width), y + width + 1)
            columns = slice(max(0, x - width), x + width + 1)
            near = target[rows, columns][~ignored[rows, columns]]
            found[y, x] = not ignored[y, x] and bool((near != target[y, x]).any())
    return found


def label(height: int, width: int, *, classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a label of blocks, with some pixels ignored."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, classes, (height // 9 + 1, width // 9 + 1), generator=generator)
    target = blocks.repeat_interleave(9, 0).repeat_interleave(9, 1)[:height, :width]
    ignored = torch.rand((height, width), generator=generator) < 0.2
    return target.masked_fill(ignored, 255), ignored


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (29, 1), (23, 31)])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 40])
def test_equals_a_search(shape: tuple[int, int], width: int) -> None:
    target, ignored = label(*shape, seed=sum(shape))
    assert torch.equal(boundary_band(target, ignored, width), searched(target, ignored, width))


@pytest.mark.parametrize("classes", [253, 254, 255, 256, 60000])
def test_many_classes(classes: int) -> None:
    target, ignored = label(20, 20, classes=classes)
    target[0, :3] = torch.tensor([classes - 1, 0, classes - 2])
    ignored[0, :3] = False
    assert torch.equal(boundary_band(target, ignored, 2), searched(target, ignored, 2))


def test_small_types_give_the_same() -> None:
    target, ignored = label(20, 20)
    assert torch.equal(boundary_band(target.to(torch.uint8), ignored, 3), boundary_band(target, ignored, 3))


def test_so_many_pixels_on_both_sides_of_a_border() -> None:
    target = torch.zeros((4, 20), dtype=torch.int64)
    target[:, 12:] = 1
    found = boundary_band(target, torch.zeros_like(target, dtype=torch.bool))
    assert found.all(dim=0).nonzero()[:, 0].tolist() == list(range(7, 17))
    assert torch.equal(found, found[:1].expand(4, 20))


def test_a_border_within_ignored_pixels_counts_and_one_against_them_does_not() -> None:
    target = torch.tensor([[0, 0, 0, 255, 255, 1, 1, 1, 255, 255]])
    ignored = target == 255
    assert boundary_band(target, ignored, 3)[0].tolist() == [*[False] * 2, True, False, False, True, *[False] * 4]


def test_nothing_labelled_has_no_band() -> None:
    target = torch.full((6, 7), 255)
    assert not boundary_band(target, target == 255, 2).any()
    assert boundary_band(target[:0], target[:0] == 255).shape == (0, 7)


@pytest.mark.parametrize("rows", [1, 4, 10])
def test_pieces_with_rows_of_their_neighbours_give_the_whole(rows: int) -> None:
    target, ignored = label(33, 21)
    width = 5
    pieces = []
    for top in range(0, 33, rows):
        first, last = max(0, top - width), min(33, top + rows + width)
        found = boundary_band(target[first:last], ignored[first:last], width)
        pieces.append(found[top - first : top - first + rows])
    assert torch.equal(torch.cat(pieces)[:33], boundary_band(target, ignored, width))


def test_arguments_stay_as_they_were() -> None:
    target, ignored = label(12, 12)
    before = target.clone(), ignored.clone()
    boundary_band(target, ignored)
    assert torch.equal(target, before[0])
    assert torch.equal(ignored, before[1])


def test_a_width_of_nothing_is_refused() -> None:
    target, ignored = label(3, 3)
    with pytest.raises(ConfigError, match="at least 1 pixel, not 0"):
        boundary_band(target, ignored, 0)
