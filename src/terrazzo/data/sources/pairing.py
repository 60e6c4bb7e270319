"""Which image goes with which label: by patterns, or by the folder names that data sets commonly have."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import model_validator

from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.pattern import Pattern, raster_files
from terrazzo.data.sources.source import Listing, Pair, Source, role_of
from terrazzo.errors import DataError

__all__ = ["IMAGE_FOLDERS", "LABEL_FOLDERS", "Labeller", "PairedSource"]

IMAGE_FOLDERS = ("images", "image", "imgs", "img")
"""Names of folders that hold images, in lower case."""

COLOUR_FOLDER = "rgb"
"""Name of a folder that holds images where none of those lies beside it, in lower case."""

LABEL_FOLDERS = ("gt", "masks", "mask", "annotations", "labels", "label")
"""Names of folders beside them that hold labels, in lower case."""

Key = tuple[str, ...]

Labeller = Callable[[Path], Label | None]
"""Returns the label of an image; None where nothing labels it."""


@dataclass(frozen=True)
class _Found:
    """A file with what its path says."""

    path: str
    name: str
    split: str | None
    region: str | None


class PairedSource(Source):
    """Images and labels that pair by their paths; the base of the layouts made of files in folders."""

    folder: Path
    """Folder that holds everything."""
    images: str | None = None
    """Pattern of the images below the folder, such as "{split}/*.png" or "{region}/images/*.jpg"; if not given, folders
    called images are looked for, with gt, masks, annotations or labels beside them."""
    labels: str | None = None
    """Pattern of the labels, with as many stars as `images`, such as "{split}annot/*.png"."""
    extra: tuple[str, ...] = ()
    """Files with further bands of each image: patterns such as "nir/*.png", or names of folders beside images."""
    unmatched: Literal["error", "skip"] = "error"
    """What to do with an image without label or a label without image."""

    @model_validator(mode="after")
    def _both_patterns(self) -> "PairedSource":
        if self.images is None and self.labels is not None:
            raise ValueError("give both `images` and `labels`, or neither")
        if self.images is not None and self.labels is None and self.labelled_beside:
            raise ValueError("give both `images` and `labels`, or neither")
        for text in (self.labels, *(self.extra if self.images else ())):
            if text is not None and self.images and Pattern(text).stars != Pattern(self.images).stars:
                raise ValueError(f'"{text}" and "{self.images}" need equally many stars, since these make the pairs')
        return self

    @property
    @abstractmethod
    def georeferenced(self) -> bool:
        """Whether images and labels must have a coordinate reference system."""

    @property
    def labelled_beside(self) -> bool:
        """Whether each image must have a label file of its own."""
        return True

    def labeller(self) -> Labeller:
        """Return what finds labels that are no file of one image's own; it is asked with each image's absolute path.

        Raises:
            DataError: A label file does not exist.
        """
        return _nothing

    def pairs(self) -> Listing:
        """List images with their labels, opening none of them.

        Raises:
            DataError: Nothing is there, or images and labels do not match.
            ConfigError: A pattern holds an unknown word.
        """
        folder = self.folder.absolute()
        files = raster_files(folder)
        if self.images is not None:
            patterns = self.extra if self.labels is None else (self.labels, *self.extra)
            images, others = _by_patterns(files, self.images, patterns)
            if self.labels is None:
                others = [{}, *others]
        else:
            images, others = _by_folders(files, self.extra)
            if not self.labelled_beside and not images and not self.extra:
                images = {(path,): _Found(path, str(PurePosixPath(path).with_suffix("")), None, None) for path in files}
        if not images:
            raise DataError(self._nothing_found(files))
        return self._join(images, others)

    def _join(self, images: Mapping[Key, _Found], others: Sequence[Mapping[Key, _Found]]) -> Listing:
        folder = self.folder.absolute()
        find = self.labeller()
        elsewhere = {key: find(folder / image.path) for key, image in images.items()}
        # What labels all images may well lie in a folder called labels.
        own = {} if any(elsewhere.values()) else others[0]
        labels = {
            key: RasterLabel(rasters=(folder / own[key].path,)) if key in own else label
            for key, label in elsewhere.items()
        }
        bare = [image for key, image in images.items() if labels[key] is None]
        problems = _unmatched("no label", bare) if self.labelled_beside else []
        for text, other in zip(self.extra, others[1:], strict=True):
            problems += _unmatched(f'no file of "{text}"', [found for key, found in images.items() if key not in other])
        lonely = [found for key, found in own.items() if key not in images]
        problems += _unmatched("no image", lonely, what="label")
        if problems and self.unmatched == "error":
            raise DataError(
                f"{self.folder}: {'; '.join(problems)}. Check the names, the patterns (data.source.images, "
                "data.source.labels), or set data.source.unmatched: skip."
            )
        pairs = [
            Pair(
                image_id=found.name,
                image=folder / found.path,
                label=labels[key],
                extra=tuple(folder / other[key].path for other in others[1:]),
                split=found.split,
                region=found.region,
            )
            for key, found in images.items()
            if all(key in other for other in others[1:]) and not (self.labelled_beside and labels[key] is None)
        ]
        if not pairs:
            raise DataError(f"{self.folder}: no image has a label: {'; '.join(problems)}.")
        pairs.sort(key=lambda pair: pair.image_id)
        return Listing(tuple(pairs), tuple(f"left out: {problem}" for problem in problems))

    def _nothing_found(self, files: Sequence[str]) -> str:
        seen = f"{len(files)} raster files lie there, such as {files[0]}" if files else "it holds no raster file"
        if self.images is not None:
            return f'{self.folder}: no file matches data.source.images "{self.images}"; {seen}.'
        names = " or ".join((*IMAGE_FOLDERS, COLOUR_FOLDER))
        return (
            f"{self.folder}: no folder called {names} with {', '.join(LABEL_FOLDERS)} beside it; {seen}. Give the "
            "patterns data.source.images and data.source.labels."
        )


def _nothing(_: Path) -> None:
    """Find no label."""


def _by_patterns(
    files: Sequence[str], images: str, others: Sequence[str]
) -> tuple[dict[Key, _Found], list[dict[Key, _Found]]]:
    """Sort files by patterns; the key is what all patterns have in common."""
    patterns = [Pattern(text) for text in (images, *others)]
    shared = frozenset.intersection(*(pattern.names for pattern in patterns))
    tables: list[dict[Key, _Found]] = []
    for pattern in patterns:
        table: dict[Key, _Found] = {}
        for path in files:
            words = pattern.match(path)
            if words is not None:
                key = tuple(words.get(word, "") for word in (*sorted(shared), *map(str, range(1, pattern.stars + 1))))
                # A pattern without stars means one image, which is called after its file.
                name = _name_of(words) or PurePosixPath(path).stem
                _enter(table, key, _Found(path, name, role_of(words.get("split", "")), words.get("region")))
        tables.append(table)
    return tables[0], tables[1:]


def _name_of(words: Mapping[str, str]) -> str:
    """Return an image's name: what words and stars stand for, in a fixed order."""
    order = ["split", "region", *sorted((word for word in words if word.isdigit()), key=int)]
    return "/".join(words[word] for word in order if words.get(word))


def _by_folders(files: Sequence[str], extra: Sequence[str]) -> tuple[dict[Key, _Found], list[dict[Key, _Found]]]:
    """Sort files by the folder names that stand for images and labels; the key is the path around that folder."""
    images: dict[Key, _Found] = {}
    labels: dict[Key, _Found] = {}
    extras: list[dict[Key, _Found]] = [{} for _ in extra]
    tables = dict.fromkeys(LABEL_FOLDERS, labels) | dict.fromkeys((*IMAGE_FOLDERS, COLOUR_FOLDER), images)
    tables |= {name.lower(): table for name, table in zip(extra, extras, strict=True)}
    placed: list[tuple[PurePosixPath, int]] = []
    for path in map(PurePosixPath, files):
        place = next((number for number, part in enumerate(path.parts[:-1]) if part.lower() in tables), None)
        if place is not None:
            placed.append((path, place))
    _require_one_label_folder(placed)
    named = {path.parts[:place] for path, place in placed if path.parts[place].lower() in IMAGE_FOLDERS}
    for path, place in placed:
        folder = path.parts[place].lower()
        if folder == COLOUR_FOLDER and tables[folder] is images and path.parts[:place] in named:
            continue
        before, after = path.parts[:place], (*path.parts[place + 1 : -1], path.stem)
        split = next((role for part in (*before, *after[:-1]) if (role := role_of(part))), None)
        region = "/".join(part for part in before if role_of(part) is None) or None
        found = _Found(str(path), "/".join((*before, *after)), split, region)
        _enter(tables[folder], (*before, "", *after), found)
    return images, [labels, *extras]


def _require_one_label_folder(placed: Sequence[tuple[PurePosixPath, int]]) -> None:
    """Refuse a place with, say, both `gt` and `masks`: nothing says which of them is meant."""
    kinds: dict[tuple[str, ...], set[str]] = {}
    for path, place in placed:
        if path.parts[place].lower() in LABEL_FOLDERS:
            kinds.setdefault(path.parts[:place], set()).add(path.parts[place])
    for before, names in kinds.items():
        if len(names) > 1:
            raise DataError(
                f"{'/'.join(before) or 'the folder'} holds {' and '.join(sorted(names))}, which could all be labels; "
                "give the patterns data.source.images and data.source.labels."
            )


def _enter(table: dict[Key, _Found], key: Key, found: _Found) -> None:
    if key in table:
        raise DataError(f"{table[key].path} and {found.path} have one stem, so that a pair is not certain; rename one.")
    table[key] = found


def _unmatched(kind: str, found: Sequence[_Found], *, what: str = "image") -> list[str]:
    if not found:
        return []
    shown = ", ".join(entry.path for entry in found[:5]) + (" ..." if len(found) > 5 else "")
    return [f"{len(found)} {what}{'s' if len(found) > 1 else ''} with {kind} ({shown})"]
