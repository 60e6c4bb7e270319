"""The journal: what remote trackers are to be told, numbered, kept until it is delivered.

It is never cut. A run that is taken up after a kill makes the entries behind its checkpoint again, to the same bits;
those that the journal has already are passed over, so that nothing is told twice and curves need not wait for
checkpoints.
"""

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from terrazzo.tracking.entry import Entry

__all__ = ["Journal"]

Picture = UInt8[np.ndarray, "_ _ 3"]


class Journal:
    """Entries on the disk, numbered from 1; one thread adds, others read.

    Args:
        folder: Where it lies, with the pictures that wait.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures = folder / "pictures"
        self._pictures.mkdir(parents=True, exist_ok=True)
        self._path = folder / "journal.jsonl"
        self._starts: list[int] = []
        self._known: set[str] = set()
        self._end = self._read_all()
        self._file = self._path.open("ab")
        self.changed = threading.Condition()
        """Notified at each new entry, and by whoever wants its readers to look up."""

    def __len__(self) -> int:
        return len(self._starts)

    def _read_all(self) -> int:
        """Learn what is there, and cut off a line that a kill left unfinished; return the bytes that stay."""
        if not self._path.is_file():
            return 0
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            os.truncate(self._path, end)
        start = 0
        for line in content[:end].splitlines(keepends=True):
            self._starts.append(start)
            self._known.add(json.loads(line)["identity"])
            start += len(line)
        return end

    def add(self, entry: Entry) -> None:
        """Add an entry, unless it is there."""
        if entry.identity in self._known:
            return
        number = len(self._starts) + 1
        for position, picture in enumerate(entry.pictures):
            Image.fromarray(picture).save(self._picture(number, position))
        content = {"identity": entry.identity, **entry.plain(), "pictures": len(entry.pictures)}
        line = json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        with self.changed:
            self._known.add(entry.identity)
            self._starts.append(self._end)
            self._end += len(line)
            self.changed.notify_all()

    def entry(self, number: int) -> Entry:
        """Return an entry by its number, with the pictures that are still there."""
        with self._path.open("rb") as file:
            file.seek(self._starts[number - 1])
            content = json.loads(file.readline())
        del content["identity"]
        pictures = self._load(number, content.pop("pictures"))
        return replace(Entry(**content), number=number, pictures=pictures)

    def _load(self, number: int, count: int) -> Sequence[Picture]:
        paths = [self._picture(number, position) for position in range(count)]
        pictures = []
        for path in paths:
            if path.is_file():
                with Image.open(path) as image:
                    pictures.append(np.asarray(image.convert("RGB")))
        return pictures

    def _picture(self, number: int, position: int) -> Path:
        return self._pictures / f"{number:07d}-{position + 1}.png"

    def forget_pictures(self, delivered: int) -> None:
        """Remove the pictures of the entries up to a number."""
        for path in self._pictures.glob("*.png"):
            if int(path.name.partition("-")[0]) <= delivered:
                path.unlink()

    def secure(self) -> None:
        """Put everything on the disk, so that it outlives the machine's power."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
