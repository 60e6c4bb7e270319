"""From strips to the map: seams are decided where both sides are there, and damage is found."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import StorageError
from terrazzo.scene import PredictSettings
from terrazzo.scene.assemble import Seam, finished_rows, join_strips
from terrazzo.scene.products import Products, products_of
from terrazzo.scene.strip_file import StripFigures, StripRecord, StripWriter
from terrazzo.scene.strips import Strip, strips_of
from terrazzo.scene.windows import Axis

ROWS = Axis(58, 16, 14)
WIDTH = 9
STRIPS = strips_of(ROWS, pixels=28)


def products(*layers: str) -> Products:
    return products_of(PredictSettings(layers=layers), classes=2, ignore=255)


def write(folder: Path, strip: Strip, wanted: Products, **edges: np.ndarray) -> StripRecord:
    """Write a strip whose own rows hold its number, and whose edges are as given."""
    writer = StripWriter(folder, strip.number)
    middle = (strip.decided.start + strip.decided.stop) // 2
    for top, bottom in ((strip.decided.start, middle), (middle, strip.decided.stop)):
        for product in wanted:
            writer.block(product.name, top, np.full((1, bottom - top, WIDTH), strip.number, dtype=np.uint8))
    for name, rows in (("above", strip.above), ("below", strip.below)):
        height = rows.stop - rows.start
        if height:
            writer.block(name, rows.start, edges.get(name, np.full((2, height, WIDTH), 0.25, dtype=np.float32)))
            writer.block(f"{name}_valid", rows.start, edges.get("valid", np.ones((height, WIDTH), dtype=bool)))
    return writer.finish(f"key {strip.number}", StripFigures())


@pytest.fixture
def wanted() -> Products:
    return products("confidence")


def test_strips_and_seams_come_from_top_to_bottom(wanted: Products, tmp_path: Path) -> None:
    assert [strip.decided for strip in STRIPS] == [slice(0, 28), slice(30, 58)]
    records = {strip.number: write(tmp_path, strip, wanted) for strip in STRIPS}
    parts = list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted))
    assert [part.y for part in parts] == [0, 14, 28, 30, 44]
    found = np.concatenate([part.products["class"] for part in parts], axis=1)[0]
    assert found[:, 0].tolist() == [0] * 28 + [0] * 2 + [1] * 28
    confidence = np.concatenate([part.products["confidence"] for part in parts], axis=1)[0]
    assert confidence[28:30].tolist() == [[127] * WIDTH] * 2


def test_a_seam_is_the_sum_of_both_shares(wanted: Products, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    below, above = (generator.random((2, 2, WIDTH), dtype=np.float32) / 2 for _ in range(2))
    valid = generator.random((2, WIDTH)) > 0.3
    records = {
        0: write(tmp_path, STRIPS[0], wanted, below=below, valid=valid),
        1: write(tmp_path, STRIPS[1], wanted, above=above, valid=valid),
    }
    seams: list[Seam] = []
    parts = list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted, seams=seams))
    (seam,) = [part for part in parts if part.y == 28]
    total = below + above
    np.testing.assert_array_equal(seam.products["class"][0], np.where(valid, total.argmax(0), 255))
    expected = np.where(valid, np.round(total.max(0) * np.float32(254)), 255)
    np.testing.assert_array_equal(seam.products["confidence"][0], expected)
    differing = int(((below.argmax(0) != above.argmax(0)) & valid).sum())
    assert 0 < differing < valid.sum()
    assert seams == [Seam(row=2, column=None, differing=differing, compared=int(valid.sum()))]


def test_what_one_side_could_not_read_is_missing_from_the_seam(wanted: Products, tmp_path: Path) -> None:
    masks = [np.ones((2, WIDTH), dtype=bool) for _ in range(2)]
    masks[0][0, 3], masks[1][1, 5] = False, False
    records = {number: write(tmp_path, STRIPS[number], wanted, valid=masks[number]) for number in range(2)}
    seams: list[Seam] = []
    parts = list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted, seams=seams))
    (seam,) = [part for part in parts if part.y == 28]
    for values in seam.products.values():
        np.testing.assert_array_equal(values[0] == 255, ~(masks[0] & masks[1]))
    assert seams[0].compared == 2 * WIDTH - 2


def test_seams_are_told_apart_by_the_columns_of_windows(wanted: Products, tmp_path: Path) -> None:
    below, above = (np.zeros((2, 2, WIDTH), dtype=np.float32) for _ in range(2))
    below[0], above[0] = 1, 1
    above[1, :, 5] = 2
    valid = np.ones((2, WIDTH), dtype=bool)
    valid[0, 0] = False
    records = {
        0: write(tmp_path, STRIPS[0], wanted, below=below, valid=valid),
        1: write(tmp_path, STRIPS[1], wanted, above=above, valid=valid),
    }
    columns = Axis(WIDTH, 5, 4)
    assert columns.used(1).start == 4
    seams: list[Seam] = []
    list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted, seams=seams, columns=columns))
    assert seams == [Seam(2, 0, differing=0, compared=7), Seam(2, 1, differing=2, compared=10)]


def test_a_deep_seam_is_decided_in_parts_but_counted_once(wanted: Products, tmp_path: Path) -> None:
    strips = strips_of(Axis(192, 128, 64), pixels=64)
    assert strips[0].below == slice(64, 128)
    generator = np.random.default_rng(0)
    below, above = (generator.random((2, 64, WIDTH), dtype=np.float32) / 2 for _ in range(2))
    records = {0: write(tmp_path, strips[0], wanted, below=below), 1: write(tmp_path, strips[1], wanted, above=above)}
    seams: list[Seam] = []
    parts = list(finished_rows(strips, records.__getitem__, tmp_path, wanted, seams=seams))
    deep = [part for part in parts if 64 <= part.y < 128]
    assert len(deep) > 1
    found = np.concatenate([part.products["class"] for part in deep], axis=1)[0]
    np.testing.assert_array_equal(found, (below + above).argmax(0))
    assert seams == [Seam(1, None, int((below.argmax(0) != above.argmax(0)).sum()), 64 * WIDTH)]


def test_without_overlap_there_are_no_seams(wanted: Products, tmp_path: Path) -> None:
    strips = strips_of(Axis(64, 16, 16), pixels=32)
    records = {strip.number: write(tmp_path, strip, wanted) for strip in strips}
    seams: list[Seam] = []
    parts = list(finished_rows(strips, records.__getitem__, tmp_path, wanted, seams=seams))
    assert [part.y for part in parts] == [0, 16, 32, 48]
    assert seams == []


def test_one_strip_can_be_joined_to_the_one_before(wanted: Products, tmp_path: Path) -> None:
    records = {strip.number: write(tmp_path, strip, wanted) for strip in STRIPS}
    alone = list(join_strips(STRIPS[1], records[0], records[1], tmp_path, wanted))
    assert [part.y for part in alone] == [28, 30, 44]
    assert [part.y for part in join_strips(STRIPS[0], None, records[0], tmp_path, wanted)] == [0, 14]


class TestDamage:
    @pytest.fixture
    def records(self, wanted: Products, tmp_path: Path) -> dict[int, StripRecord]:
        return {strip.number: write(tmp_path, strip, wanted) for strip in STRIPS}

    @pytest.mark.parametrize("name", ["class", "confidence", "above", "above_valid", "below", "below_valid"])
    def test_flipped_bytes_are_found_in_every_block_that_is_used(
        self, name: str, wanted: Products, records: dict[int, StripRecord], tmp_path: Path
    ) -> None:
        record = records[0 if name.startswith("below") else 1]
        block = next(block for block in record.blocks if block.name == name)
        path = tmp_path / record.file
        content = bytearray(path.read_bytes())
        content[block.offset + 3] ^= 1
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"\.strip does not hold what was written"):
            list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted))

    def test_a_short_file(self, wanted: Products, records: dict[int, StripRecord], tmp_path: Path) -> None:
        path = tmp_path / records[1].file
        path.write_bytes(path.read_bytes()[:-4])
        with pytest.raises(StorageError, match="does not hold what was written"):
            list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted))

    def test_a_missing_file(self, wanted: Products, records: dict[int, StripRecord], tmp_path: Path) -> None:
        (tmp_path / records[0].file).unlink()
        with pytest.raises(StorageError, match="cannot be read: No such file"):
            list(finished_rows(STRIPS, records.__getitem__, tmp_path, wanted))


class TestOrder:
    def test_rows_come_before_the_next_strip_is_read(
        self, wanted: Products, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        records = {strip.number: write(tmp_path, strip, wanted) for strip in STRIPS}
        read: list[str] = []
        from terrazzo.scene import assemble

        plain: Callable[..., np.ndarray] = assemble.read_block

        def note(folder: Path, record: StripRecord, block: object) -> np.ndarray:
            read.append(record.file)
            return plain(folder, record, block)

        monkeypatch.setattr(assemble, "read_block", note)
        rows = finished_rows(STRIPS, records.__getitem__, tmp_path, wanted)
        next(rows)
        assert read == [records[0].file] * 2
