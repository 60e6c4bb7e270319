"""How rows are dealt to threads."""

import pytest
from affine import Affine

from terrazzo.geo.grid import Grid
from terrazzo.scene.read_ahead import ReadAhead


def dealt(height: int, width: int, block: tuple[int, int], *, pixel_bytes: int = 3, readers: int = 1) -> ReadAhead:
    return ReadAhead.of(Grid(None, Affine.identity(), height, width), block, pixel_bytes=pixel_bytes, readers=readers)


@pytest.mark.parametrize("readers", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(1, 1), (1, 100_000), (9000, 9001), (50_000, 300)])
@pytest.mark.parametrize("block", [(1, 0), (7, 0), (256, 256), (512, 512), (1000, 0)])
def test_segments_cover_the_width_and_are_cut_between_blocks(
    block: tuple[int, int], shape: tuple[int, int], readers: int
) -> None:
    height, width = shape
    block = block[0], block[1] or width
    ahead = dealt(height, width, block, readers=readers)
    assert ahead.segments[0].start == 0
    assert ahead.segments[-1].stop == width
    assert all(before.stop == after.start for before, after in zip(ahead.segments, ahead.segments[1:], strict=False))
    assert all(segment.start % block[1] == 0 and segment.stop > segment.start for segment in ahead.segments)
    assert 1 <= ahead.rows <= height
    assert len(ahead.segments) * ahead.ahead >= readers
    assert ahead.readers == readers


@pytest.mark.parametrize(("block", "rows"), [(1, 128), (7, 126), (128, 128), (256, 256), (512, 512), (1000, 1000)])
def test_chunks_are_whole_rows_of_blocks(block: int, rows: int) -> None:
    assert dealt(5000, 4000, (block, 512)).rows == rows


def test_very_large_blocks_are_cut_evenly_so_that_memory_stays_bounded() -> None:
    ahead = dealt(100_000, 100_000, (4096, 4096), pixel_bytes=8)
    assert ahead.rows == 128
    assert ahead.memory_bytes == 3 * 128 * 100_000 * 9
    assert dealt(20_000, 20_000, (4096, 4096), pixel_bytes=8).rows == 512


def test_memory_does_not_depend_on_the_height() -> None:
    assert dealt(10**6, 5000, (512, 512)).memory_bytes == dealt(10**4, 5000, (512, 512)).memory_bytes


def test_what_is_small_is_not_divided() -> None:
    assert len(dealt(512, 512, (16, 16), readers=8).segments) == 1
    assert len(dealt(9000, 9000, (512, 512), readers=4).segments) == 4
