"""A step computed only where cells still change: blocks of cells, each with as much around it as the step sees.

Masks of single cells save no time in dense convolutions; gathered blocks do.

Source: Li et al., Not All Pixels Are Equal (Deep Layer Cascade), CVPR 2017; SparseRefine, ECCV 2024.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch.nn import functional

__all__ = ["SIDES", "WORTH", "Block", "blocks_around", "refined_in_blocks"]

SIDES = (16, 32, 64)
"""Sides of blocks in cells; each tile takes those that cost it least."""
WORTH = 0.75
"""Largest share of a tile's cells, borders counted, for which blocks are gathered: gathering takes time too."""

Maps = Sequence[Float[torch.Tensor, "batch _ y x"]]
Answers = tuple[Float[torch.Tensor, "batch _ y x"], ...]


@dataclass(frozen=True)
class Block:
    """Cells of one tile that are computed together.

    Attributes:
        tile: Position of the tile.
        rows: The cells that are wanted.
        columns: Likewise.
        seen_rows: The same with what a step sees around them, as far as the tile goes.
        seen_columns: Likewise.
    """

    tile: int
    rows: slice
    columns: slice
    seen_rows: slice
    seen_columns: slice

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where the wanted cells lie among those seen."""
        return _within(self.rows, self.seen_rows), _within(self.columns, self.seen_columns)


def blocks_around(
    changing: Bool[torch.Tensor, "batch y x"], *, reach: int
) -> tuple[list[int], dict[tuple[int, int], list[Block]]]:
    """Return how a step is computed: the tiles that are computed as a whole, and blocks of the others.

    A tile of which no cell changes is in neither. What is returned for a tile depends on no other tile.

    Args:
        changing: Cells that have not settled.
        reach: Cells to each side that a step sees.

    Returns:
        Positions of whole tiles; blocks by the height and width of what they see.
    """
    height, width = changing.shape[1:]
    counted = torch.stack([_occupied(changing, side).flatten(1).sum(1) for side in SIDES], dim=1).tolist()
    whole: list[int] = []
    found: dict[tuple[int, int], list[Block]] = {}
    for tile, counts in enumerate(counted):
        if not counts[0]:
            continue
        shapes = [(min(side + 2 * reach, height), min(side + 2 * reach, width)) for side in SIDES]
        costs = [count * shape[0] * shape[1] for count, shape in zip(counts, shapes, strict=True)]
        best = costs.index(min(costs))
        if costs[best] > WORTH * height * width:
            whole.append(tile)
            continue
        side, shape = SIDES[best], shapes[best]
        for row, column in _occupied(changing[tile : tile + 1], side)[0].nonzero().tolist():
            rows, columns = _cells(row, side, height), _cells(column, side, width)
            seen = (_around(rows, shape[0], reach, height), _around(columns, shape[1], reach, width))
            found.setdefault(shape, []).append(Block(tile, rows, columns, *seen))
    return whole, found


def refined_in_blocks(
    maps: Maps,
    kept: Maps,
    frozen: Bool[torch.Tensor, "batch y x"],
    *,
    reach: int,
    refined: Callable[[Answers], Answers],
) -> Answers:
    """Return what a step answers where cells change; elsewhere what was there before, or anything.

    Args:
        maps: What a step sees, of every tile.
        kept: What was there before, in the order of the answer.
        frozen: Cells that have settled.
        reach: Cells to each side that a step sees; beyond the tile's own edge it sees the same as ever.
        refined: The step, on maps of any size.
    """
    whole, blocks = blocks_around(~frozen, reach=reach)
    if len(whole) == len(frozen):
        return refined(tuple(maps))
    answers: list[torch.Tensor] = []
    for some, place in _computed(maps, whole, blocks, refined):
        if not answers:
            # Under autocast the answer's type may be another than that of what was there.
            answers = [old.to(new.dtype, copy=True) for old, new in zip(kept, some, strict=True)]
        place(answers, some)
    return tuple(answers) or tuple(kept)


def _computed(
    maps: Maps,
    whole: list[int],
    blocks: dict[tuple[int, int], list[Block]],
    refined: Callable[[Answers], Answers],
) -> Iterator[tuple[Answers, Callable[[list[torch.Tensor], Answers], None]]]:
    """Yield what was computed at once, and what puts it in its places."""
    if whole:

        def place_tiles(answers: list[torch.Tensor], some: Answers) -> None:
            for answer, new in zip(answers, some, strict=True):
                answer[whole] = new

        yield refined(tuple(one[whole] for one in maps)), place_tiles
    for several in blocks.values():

        def place_blocks(answers: list[torch.Tensor], some: Answers, several: list[Block] = several) -> None:
            for answer, new in zip(answers, some, strict=True):
                for number, block in enumerate(several):
                    answer[block.tile, :, block.rows, block.columns] = new[number][:, *block.inside]

        yield refined(tuple(_gathered(one, several) for one in maps)), place_blocks


def _gathered(image: Float[torch.Tensor, "batch channel y x"], blocks: Sequence[Block]) -> torch.Tensor:
    """Return what blocks see as a batch, in the map's own order in memory."""
    parts = torch.stack([image[block.tile, :, block.seen_rows, block.seen_columns] for block in blocks])
    innermost = image.is_contiguous(memory_format=torch.channels_last)
    return parts.contiguous(memory_format=torch.channels_last if innermost else torch.contiguous_format)


def _occupied(changing: Bool[torch.Tensor, "batch y x"], side: int) -> Bool[torch.Tensor, "batch rows columns"]:
    """Tell of each block whether any of its cells changes."""
    found: torch.Tensor = functional.max_pool2d(changing[:, None].float(), side, ceil_mode=True)[:, 0] > 0
    return found


def _cells(number: int, side: int, size: int) -> slice:
    return slice(number * side, min((number + 1) * side, size))


def _around(cells: slice, seen: int, reach: int, size: int) -> slice:
    """Return so many cells around some; moved inward at an edge, so that all blocks have one size."""
    start = min(max(cells.start - reach, 0), size - seen)
    return slice(start, start + seen)


def _within(cells: slice, seen: slice) -> slice:
    return slice(cells.start - seen.start, cells.stop - seen.start)
