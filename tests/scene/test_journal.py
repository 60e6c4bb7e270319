"""The journal: what it says is so, whatever happened to its folder."""

import errno
import json
import os
from collections.abc import Callable
from io import RawIOBase
from pathlib import Path

import numpy as np
import pytest

from terrazzo.scene import journal as room
from terrazzo.scene.header import Decisions, Header, Request
from terrazzo.scene.journal import HEADER_FILE, JOURNAL_FILE, Journal, journal_folder
from terrazzo.scene.strip_file import StripFigures, StripRecord, StripWriter


def header(**changes: object) -> Header:
    request = Request(weights="w", code="c", settings="s", scene="ö", device="cpu")
    decisions = {
        "device": "cpu",
        "precision": "float32",
        "compiled": False,
        "threads": 1,
        "batch_size": 4,
        "group_size": 4,
        "strip_pixels": 2048,
    }
    return Header(request=request, decisions=Decisions(**{**decisions, **changes}))


def strip(folder: Path, number: int) -> StripRecord:
    writer = StripWriter(folder, number)
    writer.block("class", 10 * number, np.full((1, 2, 5), number, np.uint8))
    writer.block("below", 10 * number + 2, np.full((3, 1, 5), number / 3, np.float32))
    return writer.finish(f"key {number}", StripFigures(windows=number, unreadable=((1, 2, 3, 4, "träge"),)))


@pytest.fixture
def begun(tmp_path: Path) -> Journal:
    """A journal of three strips."""
    folder = tmp_path / ".a map.tif.strips"
    folder.mkdir()
    found = Journal(folder)
    found.begin(header())
    for number in (0, 2, 1):
        found.append(strip(folder, number))
    return found


def test_the_folder_lies_beside_the_map() -> None:
    assert journal_folder(Path("maps/a b.tif")) == Path("maps/.a b.tif.strips")


def test_nothing_is_nothing(tmp_path: Path) -> None:
    found = Journal(tmp_path / "none")
    assert (found.header, found.records, found.damaged) == (None, {}, 0)
    assert not found.goes_on(header().request)
    assert not (tmp_path / "none").exists()


def test_what_was_noted_is_found_again(begun: Journal) -> None:
    found = Journal(begun.folder)
    assert found.header == header()
    assert found.records == begun.records
    assert sorted(found.records) == [0, 1, 2]
    assert found.damaged == 0
    assert all(found.is_whole(record) for record in found.records.values())


def test_only_the_same_request_goes_on(begun: Journal) -> None:
    assert begun.goes_on(header().request)
    for name in Request.model_fields:
        assert not begun.goes_on(header().request.model_copy(update={name: "another"}))


def test_beginning_anew_forgets_all_but_the_lock(begun: Journal) -> None:
    (begun.folder / ".lock").touch()
    (begun.folder / "litter").mkdir()
    begun.begin(header(batch_size=2, group_size=2))
    assert begun.records == {}
    assert sorted(path.name for path in begun.folder.iterdir()) == [".lock", HEADER_FILE]
    assert Journal(begun.folder).header == header(batch_size=2, group_size=2)


def test_keeping_some_forgets_the_others(begun: Journal) -> None:
    begun.keep([1, 7])
    assert list(begun.records) == [1]
    assert Journal(begun.folder).records == begun.records
    assert [path.name for path in begun.folder.glob("*.strip")] == [begun.records[1].file]


def test_a_later_line_of_a_strip_counts(begun: Journal) -> None:
    again = strip(begun.folder, 2)
    begun.append(again)
    assert Journal(begun.folder).records[2] == again


class TestDamage:
    @pytest.mark.parametrize("mask", [0x01, 0x20])
    def test_no_flipped_byte_of_the_journal_is_believed(self, mask: int, begun: Journal) -> None:
        path = begun.folder / JOURNAL_FILE
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            found = Journal(begun.folder)
            # A checksum's letter may change its case, which is no damage.
            assert found.damaged >= 1 or found.records == begun.records
            assert all(begun.records[number] == record for number, record in found.records.items())
            # A flipped end of a line takes the next line with it, and no more.
            assert len(found.records) >= 1

    def test_no_cut_of_the_journal_is_believed(self, begun: Journal) -> None:
        path = begun.folder / JOURNAL_FILE
        whole = path.read_bytes()
        ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            found = Journal(begun.folder)
            assert len(found.records) == sum(end <= length for end in ends)
            assert found.damaged == (length not in (0, *ends))

    @pytest.mark.parametrize("mask", [0x01, 0xFF])
    def test_no_flipped_byte_of_the_header_is_believed(self, mask: int, begun: Journal) -> None:
        path = begun.folder / HEADER_FILE
        whole = path.read_bytes()
        believed = 0
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            found = Journal(begun.folder)
            assert found.header in (None, header())
            assert found.header is not None or found.records == {}
            believed += found.header is not None
        # Only blanks between JSON's words may change.
        assert believed <= whole.count(b" ") + whole.count(b"\n")

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"key": 1}'])
    def test_a_header_that_is_none_is_none(self, content: bytes, begun: Journal) -> None:
        (begun.folder / HEADER_FILE).write_bytes(content)
        assert Journal(begun.folder).header is None

    def test_a_header_with_other_decisions_and_an_old_key_is_none(self, begun: Journal) -> None:
        path = begun.folder / HEADER_FILE
        content = json.loads(path.read_text(encoding="utf-8"))
        content["decisions"]["batch_size"] = 5
        path.write_text(json.dumps(content), encoding="utf-8")
        assert Journal(begun.folder).header is None

    def test_no_flipped_byte_of_a_strip_is_whole(self, begun: Journal) -> None:
        record = begun.records[1]
        path = begun.folder / record.file
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            assert not begun.is_whole(record)
        for wrong in (whole[:-1], whole + b"\0", b""):
            path.write_bytes(wrong)
            assert not begun.is_whole(record)
        path.unlink()
        assert not begun.is_whole(record)

    def test_a_record_that_leaves_bytes_unsaid_is_not_whole(self, begun: Journal) -> None:
        record = begun.records[1]
        assert not begun.is_whole(record.model_copy(update={"blocks": record.blocks[:1]}))

    def test_after_a_torn_line_a_new_one_stands_for_itself(self, begun: Journal) -> None:
        path = begun.folder / JOURNAL_FILE
        whole = path.read_bytes()
        path.write_bytes(whole[:-5])
        found = Journal(begun.folder)
        assert (sorted(found.records), found.damaged) == ([0, 2], 1)
        again = strip(begun.folder, 1)
        found.append(again)
        assert Journal(begun.folder).records == {**found.records, 1: again}
        assert Journal(begun.folder).damaged == 0


class TestFailingDisk:
    """Whatever fails while a line is written, the lines before it count, and so does the next one."""

    @pytest.fixture
    def failing(self, begun: Journal, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
        def fail(name: str, number: int) -> None:
            def raised(*_: object) -> None:
                raise OSError(number, os.strerror(number))

            monkeypatch.setattr(room.os, name, raised)

        return fail

    def test_half_a_line_is_taken_back(self, begun: Journal, failing: Callable[[str, int], None]) -> None:
        before = (begun.folder / JOURNAL_FILE).read_bytes()
        record = strip(begun.folder, 3)
        failing("fsync", errno.EIO)
        with pytest.raises(OSError, match="Input/output error"):
            begun.append(record)
        assert 3 not in begun.records
        assert (begun.folder / JOURNAL_FILE).read_bytes() == before

    def test_half_a_line_that_stays_hurts_nobody(self, begun: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        def half(file: object, content: bytes) -> None:
            file.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        record = strip(begun.folder, 3)
        with monkeypatch.context() as context:
            context.setattr(room, "_write_all", half)
            context.setattr(room.os, "ftruncate", failing_call)
            with pytest.raises(OSError, match="No space"):
                begun.append(record)
        assert Journal(begun.folder).damaged == 1
        begun.append(record)
        found = Journal(begun.folder)
        assert found.damaged == 0
        assert sorted(found.records) == [0, 1, 2, 3]

    def test_a_system_that_takes_few_bytes_at_once_gets_them_all(self) -> None:
        class Slow(RawIOBase):
            content = b""

            def write(self, content: memoryview) -> int:
                self.content += bytes(content[:3])
                return min(len(content), 3)

        file = Slow()
        room._write_all(file, b"0123456789")
        assert file.content == b"0123456789"


def failing_call(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_line_is_on_the_disk_after_the_names_it_speaks_of(begun: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    record = strip(begun.folder, 5)
    monkeypatch.setattr(room.os, "fsync", note)
    begun.append(record)
    assert flushed == [begun.folder.name, JOURNAL_FILE]
