"""A folder as it is seen at a glance: names of files, none of them opened."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from terrazzo.data.sources.pattern import RASTER_SUFFIXES
from terrazzo.errors import DataError

__all__ = ["MOST_FILES", "View", "evenly"]

MOST_FILES = 200_000
"""Files that are listed; where a folder holds more, it is said."""


@dataclass(frozen=True)
class View:
    """Names below a folder.

    Attributes:
        folder: Absolute.
        files: Paths below it with `/` between parts, sorted; hidden files are left out.
        complete: False where the folder holds more than `MOST_FILES`.
    """

    folder: Path
    files: tuple[str, ...]
    complete: bool = True

    @classmethod
    def of(cls, folder: Path) -> "View":
        """List a folder; linked folders are followed, each once.

        Raises:
            DataError: It is not a folder.
        """
        folder = folder.absolute()
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; name the folder in which images and labels lie.")
        found: list[str] = []
        seen: set[str] = set()
        for place, folders, files in os.walk(folder, followlinks=True):
            real = os.path.realpath(place)
            if real in seen or len(found) > MOST_FILES:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            base = Path(place).relative_to(folder)
            found.extend((base / name).as_posix() for name in files if not name.startswith("."))
        return cls(folder, tuple(sorted(found)[:MOST_FILES]), len(found) <= MOST_FILES)

    @cached_property
    def rasters(self) -> tuple[str, ...]:
        """Files that are images by their suffix."""
        return tuple(path for path in self.files if PurePosixPath(path).suffix.lower() in RASTER_SUFFIXES)

    def ending(self, *suffixes: str) -> list[str]:
        """Return files with one of these suffixes, given in lower case."""
        return [path for path in self.files if path.lower().endswith(suffixes)]

    def describe(self) -> str:
        """Return one clause about what lies there."""
        if not self.files:
            return "it is empty"
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in self.files)
        shown = ", ".join(f"{count} {suffix}" for suffix, count in kinds.most_common(5))
        count = f"{len(self.files)} file{'s' if len(self.files) > 1 else ''}"
        return (
            f"it holds {count if self.complete else f'more than {MOST_FILES} files'} ({shown}), such as {self.files[0]}"
        )


def evenly(items: Sequence[str], count: int) -> list[str]:
    """Return at most so many items, evenly spaced and the first among them.

    >>> evenly("abcdefg", 3)
    ['a', 'c', 'e']
    """
    return [items[number * len(items) // count] for number in range(count)] if len(items) > count else list(items)
