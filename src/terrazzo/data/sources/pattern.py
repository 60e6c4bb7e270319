"""File names as patterns: which files they mean, and which part of a name makes two files a pair.

A pattern is a path below a folder. `*` stands for any part of one name, `**` for any folders, `{region}` for a part of
the path that names a place, and `{split}` for one that names a role (`train`, `val`, `valid`, `test`, ...).
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from terrazzo.data.sources.source import ROLE_FOLDERS
from terrazzo.errors import ConfigError, DataError

__all__ = ["RASTER_SUFFIXES", "Pattern", "raster_files"]

RASTER_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".vrt", ".img"})
"""Suffixes of files that are taken for images, in lower case; upper case counts too."""

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\{[^}]*\}")
_ROLES = "|".join(sorted(ROLE_FOLDERS, key=len, reverse=True))


def raster_files(folder: Path) -> list[str]:
    """Return the raster files below a folder as paths relative to it, sorted, with `/` between parts.

    Hidden files and folders, and side files such as `.aux.xml` and `Thumbs.db`, are left out. Linked folders are
    followed, each once.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; data.source.folder names where images and labels lie.")
    found: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(place).relative_to(folder)
        wanted = [
            name for name in files if not name.startswith(".") and PurePath(name).suffix.lower() in RASTER_SUFFIXES
        ]
        found.extend((base / name).as_posix() for name in wanted)
    return sorted(found)


@dataclass(frozen=True)
class Pattern:
    """One pattern.

    Attributes:
        text: As the user wrote it, such as "{region}/images/*.jpg".
        words: Words that may stand in braces.

    Raises:
        ConfigError: A word in braces is not known.
    """

    text: str
    words: tuple[str, ...] = ("split", "region")

    @cached_property
    def stars(self) -> int:
        """Number of `*` and `**`."""
        return sum(1 for token in _TOKEN.findall(self.text) if token.startswith("*"))

    @cached_property
    def names(self) -> frozenset[str]:
        """Words in braces."""
        return frozenset(token[1:-1] for token in _TOKEN.findall(self.text) if token.startswith("{"))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        if unknown := self.names - set(self.words):
            *others, last = (f"{{{word}}}" for word in self.words)
            raise ConfigError(
                f'data.source: "{self.text}" holds {{{min(unknown)}}}, but known are {", ".join(others)} and {last}.'
            )
        text = self.text.strip("/")
        suffix = PurePath(text).suffix
        body = text.removesuffix(suffix)
        open_end = suffix.lower() not in RASTER_SUFFIXES
        if open_end:
            # "images/*" and "images/*.*" mean any raster file; its suffix is no part of what makes a pair.
            body = text.removesuffix(".*")
        parts: list[str] = []
        position = 0
        seen: set[str] = set()
        for token in _TOKEN.finditer(body):
            parts.append(re.escape(body[position : token.start()]))
            parts.append(_group(token.group(), seen))
            position = token.end()
        parts.append(re.escape(body[position:]))
        parts.append(r"\.[^./]+" if open_end else f"(?i:{re.escape(suffix)})")
        return re.compile("".join(parts))

    def match(self, relative: str) -> Mapping[str, str] | None:
        """Return what the stars ("1", "2", ...) and words of a relative path stand for, or None where it does not fit.

        >>> dict(Pattern("{region}/images/*.jpg").match("Tile 1/images/part_2.JPG"))
        {'region': 'Tile 1', '1': 'part_2'}
        """
        found = self._expression.fullmatch(relative)
        if found is None:
            return None
        named = {name: text for name, text in found.groupdict().items() if text is not None}
        places = self._expression.groupindex.values()
        stars = [found.group(place) or "" for place in range(1, (found.re.groups) + 1) if place not in places]
        return {**named, **{str(number): text for number, text in enumerate(stars, 1)}}


def _group(sign: str, seen: set[str]) -> str:
    """Return the expression of one sign; a word that comes again must say the same again."""
    if sign == "**/":
        return "(?:(.+)/)?"
    if sign == "**":
        return "(.*)"
    if sign == "*":
        return "([^/]*)"
    name = sign[1:-1]
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<split>(?i:{_ROLES}))" if name == "split" else f"(?P<{name}>[^/]+?)"
