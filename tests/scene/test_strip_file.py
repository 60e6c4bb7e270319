"""A strip's file: what was written is what is read, or an error."""

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from terrazzo.errors import StorageError
from terrazzo.scene.strip_file import Block, StripFigures, StripRecord, StripWriter, read_block

KINDS = [np.uint8, np.uint16, np.float16, np.float32, np.bool_]


def written(folder: Path, blocks: list[tuple[str, int, np.ndarray]], strip: int = 3) -> StripRecord:
    writer = StripWriter(folder, strip)
    for name, y, values in blocks:
        writer.block(name, y, values)
    return writer.finish("key", StripFigures(windows=2))


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_come_back_as_they_were(kind: type[np.generic], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first = random.integers(0, 2, (2, 3, 5)).astype(kind)
    second = random.integers(0, 2, (4, 7)).astype(kind)[:, ::-1]
    record = written(tmp_path, [("class", 10, first), ("above_valid", 12, second)])
    for block, values in zip(record.blocks, (first, second), strict=True):
        found = read_block(tmp_path, record, block)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
    assert [(block.name, block.y) for block in record.blocks] == [("class", 10), ("above_valid", 12)]


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_every_bit_comes_back(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("strip")
    record = written(folder, [("below", 0, values)])
    assert read_block(folder, record, record.blocks[0]).tobytes() == values.tobytes()


def test_an_empty_array_takes_no_bytes(tmp_path: Path) -> None:
    record = written(tmp_path, [("class", 0, np.empty((1, 0, 5), np.uint8))])
    assert record.size == 0
    assert read_block(tmp_path, record, record.blocks[0]).shape == (1, 0, 5)


def test_a_record_says_what_the_file_holds(tmp_path: Path) -> None:
    record = written(tmp_path, [("class", 0, np.zeros((1, 2, 3), np.uint8)), ("margin", 0, np.ones((1, 2, 3), "<f4"))])
    assert (record.strip, record.key, record.figures.windows) == (3, "key", 2)
    assert record.size == (tmp_path / record.file).stat().st_size == 6 + 24
    assert [(block.offset, block.size, block.dtype) for block in record.blocks] == [(0, 6, "|u1"), (6, 24, "<f4")]
    assert StripRecord.model_validate_json(record.model_dump_json()) == record


def test_rows_of_all_products_are_blocks(tmp_path: Path) -> None:
    writer = StripWriter(tmp_path, 0)
    writer.rows(5, {"class": np.zeros((1, 2, 3), np.uint8), "entropy": np.ones((1, 2, 3), np.uint8)})
    record = writer.finish("key", StripFigures())
    assert [(block.name, block.y) for block in record.blocks] == [("class", 5), ("entropy", 5)]


def test_two_files_of_a_strip_never_meet(tmp_path: Path) -> None:
    first, second = (written(tmp_path, [("class", 0, np.full((1, 1, 1), value, np.uint8))]) for value in (1, 2))
    assert first.file != second.file
    assert read_block(tmp_path, first, first.blocks[0]).item() == 1
    assert read_block(tmp_path, second, second.blocks[0]).item() == 2


def test_the_file_is_on_the_disk_before_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: (flushed.append(os.fstat(descriptor).st_size), fsync(descriptor))
    )
    record = written(tmp_path, [("class", 0, np.zeros((1, 2, 3), np.uint8))])
    assert flushed == [record.size]


def test_what_was_begun_can_be_abandoned(tmp_path: Path) -> None:
    writer = StripWriter(tmp_path, 0)
    writer.block("class", 0, np.zeros((1, 2, 3), np.uint8))
    writer.abandon()
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_nothing_is_left(tmp_path: Path) -> None:
    writer = StripWriter(tmp_path, 0)
    writer.block("class", 0, np.zeros((1, 20, 30), np.uint8))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            writer.finish("key", StripFigures())
        writer.abandon()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_what_is_finished_is_not_abandoned(tmp_path: Path) -> None:
    writer = StripWriter(tmp_path, 0)
    writer.block("class", 0, np.zeros((1, 2, 3), np.uint8))
    record = writer.finish("key", StripFigures())
    writer.abandon()
    assert (tmp_path / record.file).exists()


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    record = written(tmp_path, [("class", 0, values), ("margin", 0, values)])
    path = tmp_path / record.file
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        hit, spared = (record.blocks[0], record.blocks[1]) if place < 12 else (record.blocks[1], record.blocks[0])
        with pytest.raises(StorageError, match="is the disk failing"):
            read_block(tmp_path, record, hit)
        np.testing.assert_array_equal(read_block(tmp_path, record, spared), values)


@pytest.mark.parametrize("left", [0, 1, 11])
def test_a_shorter_file_is_found(left: int, tmp_path: Path) -> None:
    record = written(tmp_path, [("class", 0, np.zeros((1, 3, 4), np.uint8))])
    os.truncate(tmp_path / record.file, left)
    with pytest.raises(StorageError, match="does not hold what was written"):
        read_block(tmp_path, record, record.blocks[0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    record = written(tmp_path, [("class", 0, np.zeros((1, 3, 4), np.uint8))])
    (tmp_path / record.file).unlink()
    with pytest.raises(StorageError, match=rf"{record.file} cannot be read"):
        read_block(tmp_path, record, record.blocks[0])


def test_the_size_of_a_block_does_not_overflow() -> None:
    block = Block(name="below", y=0, offset=0, dtype="<f4", shape=(100, 4096, 100_000), crc=0)
    assert block.size == 100 * 4096 * 100_000 * 4
