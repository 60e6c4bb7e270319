"""Which strips of a scene are finished and on the disk: what a killed job finds when it is started again.

A folder beside the map holds the header (what was asked and decided), one file a finished strip, and the journal: a
line a strip with its own checksum, appended and flushed after the strip's file is. A line that is torn or altered
counts for nothing, and its strip is computed again.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterable
from io import RawIOBase
from pathlib import Path

from pydantic import ValidationError

from terrazzo.errors import StorageError
from terrazzo.scene.header import Header, Request
from terrazzo.scene.strip_file import StripRecord, read_block
from terrazzo.storage import read_json, write_bytes, write_json

__all__ = ["Journal", "journal_folder"]

HEADER_FILE = "header.json"
JOURNAL_FILE = "journal"


def journal_folder(out: Path) -> Path:
    """Return where a map's finished strips lie until it is complete.

    >>> journal_folder(Path("maps/a.tif")).name
    '.a.tif.strips'
    """
    return out.with_name(f".{out.name}.strips")


class Journal:
    """The journal of one map; its folder is locked by whoever opens it.

    Args:
        folder: Its folder; what an earlier start has left there is read, nothing is changed yet.

    Attributes:
        folder: As given.
        header: What an earlier start was asked and decided; None where there is none or it is damaged.
        records: Strips that its lines call finished, by number; not checked against their files.
        damaged: Lines that are torn or altered.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = _read_header(folder / HEADER_FILE)
        self.records: dict[int, StripRecord] = {}
        self.damaged = 0
        if self.header is not None:
            self._read_lines()

    def begin(self, header: Header) -> None:
        """Begin anew: whatever lies in the folder is removed but its lock."""
        self.clear()
        self.records, self.damaged = {}, 0
        write_json(self.folder / HEADER_FILE, {**header.model_dump(mode="json"), "key": header.key})
        self.header = header

    def goes_on(self, request: Request) -> bool:
        """Whether an earlier start was asked the same."""
        return self.header is not None and self.header.request == request

    def keep(self, strips: Iterable[int]) -> None:
        """Forget every other strip, damaged lines, and files that belong to none."""
        kept = set(strips)
        self.records = {number: record for number, record in self.records.items() if number in kept}
        lines = [_line(record) for _, record in sorted(self.records.items())]
        write_bytes(self.folder / JOURNAL_FILE, b"".join(lines))
        self.damaged = 0
        files = {record.file for record in self.records.values()}
        for path in self.folder.glob("*.strip"):
            if path.name not in files:
                path.unlink(missing_ok=True)

    def append(self, record: StripRecord) -> None:
        """Note that a strip is finished; on return that is on the disk.

        Raises:
            OSError: The disk is full or fails; the strip does not count, and the lines before do.
        """
        if self.damaged:
            # What follows a torn line would be taken for its end.
            self.keep(self.records)
        path = self.folder / JOURNAL_FILE
        path.touch()
        # The names of the strip's file and of the journal, before a line speaks of them.
        _flush_folder(self.folder)
        with path.open("ab", buffering=0) as file:
            begun = file.tell()
            try:
                _write_all(file, _line(record))
                os.fsync(file.fileno())
            except OSError:
                self._cut(file.fileno(), begun)
                raise
        self.records[record.strip] = record

    def is_whole(self, record: StripRecord) -> bool:
        """Whether a strip's file holds what was written to it, to the last byte."""
        if record.size != sum(block.size for block in record.blocks):
            return False
        try:
            if (self.folder / record.file).stat().st_size != record.size:
                return False
            for block in record.blocks:
                read_block(self.folder, record, block)
        except (OSError, StorageError):
            return False
        return True

    def clear(self) -> None:
        """Remove everything but the lock."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name == ".lock":
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _cut(self, descriptor: int, length: int) -> None:
        """Take half a line away again, or remember that it is there."""
        try:
            os.ftruncate(descriptor, length)
        except OSError:
            self.damaged += 1

    def _read_lines(self) -> None:
        try:
            content = (self.folder / JOURNAL_FILE).read_bytes()
        except OSError:
            return
        for line in content.splitlines(keepends=True):
            record = _parsed(line)
            if record is None:
                self.damaged += 1
            else:
                self.records[record.strip] = record


def _line(record: StripRecord) -> bytes:
    body = json.dumps(record.model_dump(mode="json"), separators=(",", ":")).encode()
    return b"%08x " % zlib.crc32(body) + body + b"\n"


def _parsed(line: bytes) -> StripRecord | None:
    """Return the record of a line, or None where the line is not what was written."""
    checksum, _, body = line.partition(b" ")
    if not body.endswith(b"\n"):
        return None
    body = body[:-1]
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        return StripRecord.model_validate(json.loads(body))
    except (ValueError, ValidationError):
        return None


def _read_header(path: Path) -> Header | None:
    """Return the header of an earlier start, or None where there is none or it is not what was written."""
    try:
        content = read_json(path)
        key = content.pop("key")
        header = Header.model_validate(content)
    except (AttributeError, KeyError, StorageError, TypeError, ValidationError):
        return None
    return header if header.key == key else None


def _write_all(file: RawIOBase, content: bytes) -> None:
    """Write all bytes: without a buffer the system may take fewer at once, on a nearly full disk say."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) or 0 :]


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
