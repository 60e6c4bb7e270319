"""Which files go together by their names alone: groups of files that a pattern describes, and pairs of such groups."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from terrazzo.data.sources.source import ROLE_FOLDERS

__all__ = ["IMAGE_WORDS", "LABEL_WORDS", "Slot", "find_slots", "matching"]

# fmt: off
LABEL_WORDS = frozenset((
    "mask", "masks", "label", "labels", "gt", "annot", "annotation", "annotations", "target", "targets", "seg",
    "segmentation", "lbl", "truth", "groundtruth", "labelcol", "sem", "semantic", "y",
))
"""Words of names that mean a label."""
IMAGE_WORDS = frozenset((
    "image", "images", "img", "imgs", "sat", "rgb", "photo", "photos", "ortho", "orthophoto", "scene", "scenes",
    "input", "inputs", "picture", "pictures", "x", "top", "tile", "tiles",
))
"""Words of names that mean an image."""
# fmt: on

_ROLES = "|".join(sorted(ROLE_FOLDERS, key=len, reverse=True))
_ROLE = re.compile(
    rf"(?P<role>{_ROLES})(?P<rest>(?:[_\- .]?(?:{'|'.join(LABEL_WORDS | IMAGE_WORDS)}))?)", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+")

Key = tuple[str, str]


@dataclass(frozen=True)
class Slot:
    """Files that one pattern describes.

    Attributes:
        pattern: As `data.source.images` takes it, such as "{split}/*_sat.jpg".
        words: Words of its folders and of its fixed part, in lower case.
        files: By role folder and by place and what the star stands for.
    """

    pattern: str
    words: frozenset[str]
    files: dict[Key, str] = field(default_factory=dict)

    @property
    def says_label(self) -> bool:
        """Whether the name says that these are labels."""
        return bool(self.words & LABEL_WORDS) or any(word.endswith(("annot", "mask", "label")) for word in self.words)

    @property
    def says_image(self) -> bool:
        """Whether the name says that these are images."""
        return bool(self.words & IMAGE_WORDS) and not self.says_label


def find_slots(files: Sequence[str]) -> list[Slot]:
    """Group raster files by the pattern that describes them.

    Args:
        files: Relative paths with `/`.

    Returns:
        Slots in the order of their patterns.
    """
    found: dict[str, Slot] = {}
    by_stem: dict[tuple[str, str], set[str]] = defaultdict(set)
    paths = [PurePosixPath(path) for path in files]
    places = _places(paths)
    described = [(str(path), *_describe(path, places)) for path in paths]
    for _, folder, stem, suffix, _ in described:
        by_stem[folder, stem].add(suffix)
    for path, folder, stem, suffix, key in described:
        for open_end in (False, True):
            if open_end and len(by_stem[folder, stem]) < 2:
                continue
            pattern = f"{folder}{stem}{'' if open_end else suffix}"
            words = frozenset(
                word.lower()
                for word in _WORD.findall(f"{folder}{stem}".replace("{split}", " ").replace("{region}", " "))
            )
            found.setdefault(pattern, Slot(pattern, words)).files.setdefault(key, path)
    return [found[pattern] for pattern in sorted(found)]


def _places(paths: Sequence[PurePosixPath]) -> frozenset[str]:
    """Return the first folders, roles aside, that hold folders of the same names: places, as `Tile 1` and `Tile 2`."""
    above: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in paths:
        number = _first(path)
        below = path.parts[number + 1 : -1]
        if below:
            above[below].add(path.parts[number])
    return frozenset(top for tops in above.values() if len(tops) > 1 for top in tops)


def _first(path: PurePosixPath) -> int:
    """Return the number of the first folder that says no role."""
    return next((number for number, part in enumerate(path.parts[:-1]) if _ROLE.fullmatch(part) is None), 0)


def _describe(path: PurePosixPath, places: frozenset[str]) -> tuple[str, str, str, Key]:
    """Return the patterns of folder and stem, the suffix, and what makes the file one of its slot."""
    role = region = ""
    parts: list[str] = []
    first = _first(path)
    for number, part in enumerate(path.parts[:-1]):
        match = _ROLE.fullmatch(part)
        if number == first and part in places:
            region = part
            parts.append("{region}")
        elif match is not None and not role:
            role = match["role"].lower()
            parts.append("{split}" + match["rest"])
        else:
            parts.append(part)
    stem, star = _starred(path.stem)
    return (
        "".join(f"{part}/" for part in parts),
        stem,
        path.suffix.lower(),
        (role, f"{region}/{star}" if region else star),
    )


def _starred(stem: str) -> tuple[str, str]:
    """Return a stem with a star for what tells files apart, and what the star stands for.

    A word such as "mask" or "image" stays; without one, the star stands for everything.
    """
    for match in reversed(list(_WORD.finditer(stem))):
        if match.group().lower() in (LABEL_WORDS | IMAGE_WORDS) - {"x", "y", "top", "tile", "tiles"}:
            before, after = stem[: match.start()], stem[match.end() :]
            if before and not after:
                cut = len(before.rstrip("_-. "))
                return f"*{stem[cut:]}", stem[:cut]
            if after:
                return f"{stem[: match.end()]}{after[0]}*", after[1:]
    return "*", stem


def matching(slots: Sequence[Slot]) -> Iterator[tuple[Slot, Slot]]:
    """Yield pairs of slots of which at least half of the smaller has a partner, the largest first."""
    pairs = [
        (len(one.files.keys() & other.files.keys()), one, other)
        for number, one in enumerate(slots)
        for other in slots[number + 1 :]
        if not _overlap(one.files, other.files)
    ]
    wanted = [
        (common, one, other) for common, one, other in pairs if 2 * common >= min(len(one.files), len(other.files)) > 0
    ]
    for _, one, other in sorted(wanted, key=lambda entry: (-entry[0], entry[1].pattern, entry[2].pattern)):
        yield one, other


def _overlap(one: Mapping[Key, str], other: Mapping[Key, str]) -> bool:
    """Return whether two slots hold a file in common, as an open pattern and one of its suffixes do."""
    return not set(one.values()).isdisjoint(other.values())
