"""DeepGlobe 2018, land cover and roads: `104_sat.jpg` with `104_mask.png` beside it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.pattern import raster_files
from terrazzo.data.sources.source import Listing, Pair, Source, role_of
from terrazzo.data.splitting.splits import drawn_role
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile

__all__ = ["LAND_COVER", "ROADS", "DeepglobeSource", "published_split"]

LAND_COVER = Classes(
    items=(
        Class(name="urban", colour=(0, 255, 255)),
        Class(name="agriculture", colour=(255, 255, 0)),
        Class(name="rangeland", colour=(255, 0, 255)),
        Class(name="forest", colour=(0, 255, 0)),
        Class(name="water", colour=(0, 0, 255)),
        Class(name="barren", colour=(255, 255, 255)),
    ),
    labels="colour",
    ignore_colours=((0, 0, 0),),
    unlisted="ignore",
    match="binarise",
)
"""The six classes that are judged; black is unknown and ignored, and so is red, which no class has.

Source: Demir et al., DeepGlobe 2018, arXiv 1805.06561, section 3.3; masks are binarised at 128 as its authors advise.
"""

ROADS = Classes(
    items=(Class(name="background", colour=(0, 0, 0)), Class(name="road", colour=(255, 255, 255))),
    labels="colour",
    match="binarise",
)
"""Road masks: white is road."""

LOOKED_AT = 16
"""Masks that are looked at, where nobody has said what they show."""
ROWS = 1024
"""Rows of a mask that are looked at together."""

_IMAGE = re.compile(r"(.+)_sat", re.IGNORECASE)
_LABEL = re.compile(r"(.+)_mask", re.IGNORECASE)
_ARCHIVE = re.compile(r"(?:land|road)[-_](.+)", re.IGNORECASE)


def published_split() -> dict[str, tuple[str, ...]]:
    """Return the ids of each role in the split that papers since GLNet report on: 454 train, 207 val, 142 test.

    Source: Chen et al., GLNet, CVPR 2019; Huynh et al., MagNet, CVPR 2021, has the same lists.

    >>> {role: len(ids) for role, ids in published_split().items()}
    {'train': 454, 'val': 207, 'test': 142}
    """
    lists = files("terrazzo.data.sources").joinpath("deepglobe_split")
    return {
        role: tuple(lists.joinpath(f"{role}.txt").read_text(encoding="ascii").split())
        for role in ("train", "val", "test")
    }


@dataclass(frozen=True)
class _Found:
    """Files of one place and stem.

    Attributes:
        place: Folder below the source's.
        number: The id, such as "104".
        image: Path of `*_sat`.
        label: Path of `*_mask`; None where there is none.
    """

    place: PurePosixPath
    number: str
    image: PurePosixPath
    label: PurePosixPath | None

    @property
    def name(self) -> str:
        return str(self.place / self.number)

    @property
    def role(self) -> str | None:
        """Role that a folder above says; the archives' own names, such as land-train, count."""
        for part in self.place.parts:
            archive = _ARCHIVE.fullmatch(part)
            role = role_of(archive.group(1) if archive else part)
            if role is not None:
                return role
        return None


class DeepglobeSource(Source):
    """DeepGlobe images with masks, in `train/`, `val/` or `valid/`, `test/`, or all in one folder."""

    name: Literal["deepglobe"] = "deepglobe"
    """Name of this source."""
    folder: Path
    """Folder that holds everything."""
    masks: Literal["land_cover", "roads"] | None = None
    """What masks show, which decides the classes where `data.classes` lists none: the six colours of land cover, or
    roads in white. Land cover if not given; then black and white masks are refused, since roads would become barren."""
    split: Literal["folders", "published"] = "folders"
    """Where roles come from: the folders, or the published lists of 454 training, 207 validation and 142 test ids,
    wherever the files lie."""
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the training images that selects where no validation image has a mask, drawn by a hash of each id; 0
    leaves roles to `data.split`. Not used by the published lists."""

    def known_classes(self) -> Classes:
        """Return the classes of the masks."""
        return ROADS if self.masks == "roads" else LAND_COVER

    def check_labels(self, pairs: Sequence[Pair], classes: Classes) -> None:
        """Refuse road masks where nobody has said what masks show, since white would be read as barren.

        Land cover is hardly ever unknown, and has other colours than white somewhere; road masks are mostly black. So
        masks are those of roads if none of several, spread over all images, holds any other colour, and black is more
        frequent than white.

        Raises:
            DataError: They are, or a mask is damaged.
        """
        if self.masks is not None or classes.items != LAND_COVER.items:
            return
        labels = [pair.label for pair in pairs if pair.label is not None]
        count = min(LOOKED_AT, len(labels))
        looked_at = [labels[number * len(labels) // count] for number in range(count)]
        black = white = 0
        for label in looked_at:
            found = _black_and_white(label)
            if found is None:
                return
            black, white = black + found[0], white + found[1]
        if black > white > 0:
            raise DataError(
                f"{self.folder}: {_count(len(looked_at), 'mask')} of {len(labels)}, such as {looked_at[0].file}, "
                f"{'holds' if len(looked_at) == 1 else 'hold'} nothing but black and white, and more black than white, "
                "as masks of roads do; read as land cover, roads would be barren and all else unknown. Set "
                "data.source.masks: roads, or data.source.masks: land_cover if that is what they show."
            )

    def pairs(self) -> Listing:
        """List images with masks, opening none of them; images without mask are left out and counted.

        Raises:
            DataError: Nothing is there, or a mask has no image.
        """
        found = self._found()
        labelled = [entry for entry in found if entry.label is not None]
        if not labelled:
            raise DataError(
                f"{self.folder}: {_count(len(found), 'image')} called *_sat and no *_mask.png beside "
                f"{'them' if len(found) > 1 else 'it'}; without masks there is nothing to learn from."
            )
        notes = _without_mask(found)
        roles, more = self._published(labelled) if self.split == "published" else self._by_folders(labelled)
        folder = self.folder.absolute()
        pairs = [
            Pair(
                image_id=entry.name,
                image=folder / entry.image,
                label=RasterLabel(rasters=(folder / entry.label,)),
                split=roles[entry.name],
            )
            for entry in labelled
            if entry.label is not None and entry.name in roles
        ]
        return Listing(tuple(sorted(pairs, key=lambda pair: pair.image_id)), (*notes, *more))

    def _found(self) -> list[_Found]:
        """Return every image with its mask."""
        images: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
        masks: dict[tuple[PurePosixPath, str], PurePosixPath] = {}
        paths = [PurePosixPath(text) for text in raster_files(self.folder.absolute())]
        for path in paths:
            for table, expression in ((images, _IMAGE), (masks, _LABEL)):
                if match := expression.fullmatch(path.stem):
                    key = (path.parent, match.group(1))
                    if key in table:
                        raise DataError(f"{self.folder}: {table[key]} and {path} have one id; remove one.")
                    table[key] = path
        if not images:
            seen = f"{len(paths)} raster files lie there, such as {paths[0]}" if paths else "it holds no raster file"
            raise DataError(f"{self.folder}: no file is called <id>_sat; {seen}.")
        lonely = [str(path) for key, path in masks.items() if key not in images]
        if lonely:
            raise DataError(f"{self.folder}: {_count(len(lonely), 'mask')} without image: {_some(lonely)}.")
        return [_Found(*key, image, masks.get(key)) for key, image in sorted(images.items())]

    def _by_folders(self, labelled: Sequence[_Found]) -> tuple[dict[str, str | None], list[str]]:
        roles = {entry.name: entry.role for entry in labelled}
        if "val" in roles.values() or not self.val_share:
            return roles, []
        shares: dict[Literal["train", "val", "calibrate", "test"], float]
        shares = {"train": 1 - self.val_share, "val": self.val_share}
        # The id alone decides, so that an image keeps its role in another copy of the data.
        drawn = {
            entry.name: drawn_role(entry.number, shares, 0) if entry.role in {None, "train"} else entry.role
            for entry in labelled
        }
        count = Counter(drawn.values())
        note = (
            f"no validation image has a mask, so {count['val']} of {count['train'] + count['val']} training images "
            f"select (data.source.val_share: {self.val_share:g})"
        )
        return dict(drawn), [note]

    def _published(self, labelled: Sequence[_Found]) -> tuple[dict[str, str | None], list[str]]:
        by_number: dict[str, _Found] = {}
        for entry in labelled:
            if entry.number in by_number:
                raise DataError(
                    f"{self.folder}: {by_number[entry.number].image} and {entry.image} have one id, so the published "
                    "lists cannot tell them apart; remove one."
                )
            by_number[entry.number] = entry
        roles: dict[str, str | None] = {}
        notes: list[str] = []
        for role, numbers in published_split().items():
            missing = [number for number in numbers if number not in by_number]
            roles |= {by_number[number].name: role for number in numbers if number in by_number}
            if missing:
                notes.append(
                    f"{len(missing)} of the {len(numbers)} published {role} ids have no image with a mask here: "
                    f"{_some(missing)}"
                )
        if not roles:
            raise DataError(f"{self.folder}: no image stands in the published lists; set data.source.split: folders.")
        if len(roles) < len(by_number):
            left = [number for number, entry in by_number.items() if entry.name not in roles]
            notes.append(f"{_count(len(left), 'image')} in no published list, left out: {_some(left)}")
        return roles, notes


def _black_and_white(label: Label) -> tuple[int, int] | None:
    """Return the black and the white pixels of a mask, or None where it has any other colour."""
    barren = LAND_COVER.names.index("barren")
    black = white = 0
    with RasterFile(label.file) as file:
        grid = file.grid
    with label.open(grid) as reader:
        for y in range(0, grid.height, ROWS):
            decoded = reader.decode(Window(y, 0, min(ROWS, grid.height - y), grid.width), LAND_COVER)
            counts = np.bincount(decoded.target.ravel(), minlength=LAND_COVER.ignore + 1)
            black, white = black + int(counts[LAND_COVER.ignore]), white + int(counts[barren])
            if decoded.unlisted or int(counts[[barren, LAND_COVER.ignore]].sum()) < decoded.target.size:
                return None
    return black, white


def _without_mask(found: Sequence[_Found]) -> list[str]:
    """Return a sentence for each folder with images that have no mask."""
    bare = Counter(str(entry.place) for entry in found if entry.label is None)
    return [
        f"{'the folder' if place == '.' else place}: {_count(count, 'image')} without mask, left out"
        for place, count in sorted(bare.items())
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
