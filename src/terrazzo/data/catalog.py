"""The table of images: where each lies, which role it plays, and the grid it stands on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from affine import Affine
from rasterio.crs import CRS

from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid
from terrazzo.storage import atomic_path

__all__ = ["BandPlace", "Catalog", "ImageEntry"]

COLUMNS = (
    "image_id",
    "image",
    "label",
    "extra",
    "split",
    "region",
    "height",
    "width",
    "crs",
    "transform",
    "stack",
    "bytes",
    "modified_ns",
)
"""Columns of `Catalog.frame`."""


class BandPlace(NamedTuple):
    """Where one band of an image is stored.

    Attributes:
        name: Name of the band in `Bands`.
        file: 0 for the image itself, 1 for its first extra file, and so on.
        number: Position among that file's bands without transparency, from 0.
    """

    name: str
    file: int
    number: int


@dataclass(frozen=True)
class ImageEntry:
    """One image and all that belongs to it.

    Attributes:
        image_id: Name that is once in the catalog and does not change when images join.
        image: File of the image.
        label: File of the label; None where nothing is labelled.
        extra: Further band files on the same grid.
        split: "train", "val", "calibrate" or "test"; None where no role is given yet.
        region: Place that the image belongs to; images of one region are neighbours.
        height: Rows.
        width: Columns.
        crs: Coordinate reference system as WKT; None where there is none.
        transform: The six numbers a, b, c, d, e, f of the affine map from (column, row).
        stack: Where each band is stored, in channel order.
        bytes: Size of all its files together.
        modified_ns: Latest modification time of its files.
    """

    image_id: str
    image: Path
    label: Path | None
    extra: tuple[Path, ...]
    split: str | None
    region: str | None
    height: int
    width: int
    crs: str | None = None
    transform: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    stack: tuple[BandPlace, ...] = ()
    bytes: int = 0
    modified_ns: int = 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and its further band files."""
        return (self.image, *self.extra)

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        crs = CRS.from_wkt(self.crs) if self.crs else None
        return Grid(crs, Affine(*self.transform), self.height, self.width)


class Catalog:
    """Images in the order of their names.

    Args:
        entries: Images, each name once.

    Attributes:
        frame: One row an image; paths are text, `extra` a list of text, `stack` a list of [name, file, number].

    Raises:
        DataError: Two images have one name.
    """

    def __init__(self, entries: Sequence[ImageEntry]) -> None:
        names = [entry.image_id for entry in entries]
        if len(set(names)) < len(names):
            twice = next(name for position, name in enumerate(names) if name in names[:position])
            raise DataError(f'two images are called "{twice}"; an image has one name and one role.')
        self._entries = {entry.image_id: entry for entry in sorted(entries, key=lambda entry: entry.image_id)}
        self.frame = pd.DataFrame([_row(entry) for entry in self._entries.values()], columns=list(COLUMNS))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[ImageEntry]:
        return iter(self._entries.values())

    def entry(self, image_id: str) -> ImageEntry:
        """Return the image of that name.

        Raises:
            DataError: No image is called so.
        """
        if image_id not in self._entries:
            raise DataError(f'no image is called "{image_id}" among the {len(self)} of the catalog.')
        return self._entries[image_id]

    def entries(self, split: str | None = None) -> list[ImageEntry]:
        """Return all images, or those of one role, in the order of their names."""
        return [entry for entry in self if split is None or entry.split == split]

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Roles that occur, in the order train, val, calibrate, test."""
        present = {entry.split for entry in self}
        return tuple(role for role in ("train", "val", "calibrate", "test") if role in present)

    def save(self, path: Path) -> None:
        """Write Parquet, or CSV where the path ends so; whole or not at all."""
        with atomic_path(path) as temporary:
            if path.suffix == ".csv":
                self.frame.to_csv(temporary, index=False)
            else:
                self.frame.to_parquet(temporary, index=False)

    @classmethod
    def load(cls, path: Path) -> "Catalog":
        """Read what `save` wrote as Parquet.

        Raises:
            DataError: The file is missing, damaged or no catalog.
        """
        try:
            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as a catalog: {error}.") from error
        if list(frame.columns) != list(COLUMNS):
            raise DataError(f"{path} is no catalog: its columns are {', '.join(frame.columns)}.")
        return cls([_entry(row) for row in frame.to_dict("records")])


def _row(entry: ImageEntry) -> dict[str, Any]:
    return {
        "image_id": entry.image_id,
        "image": str(entry.image),
        "label": None if entry.label is None else str(entry.label),
        "extra": [str(path) for path in entry.extra],
        "split": entry.split,
        "region": entry.region,
        "height": entry.height,
        "width": entry.width,
        "crs": entry.crs,
        "transform": list(entry.transform),
        "stack": [{"name": place.name, "file": place.file, "number": place.number} for place in entry.stack],
        "bytes": entry.bytes,
        "modified_ns": entry.modified_ns,
    }


def _entry(row: Mapping[Any, Any]) -> ImageEntry:
    numbers = [float(number) for number in row["transform"]]
    return ImageEntry(
        image_id=row["image_id"],
        image=Path(row["image"]),
        label=Path(label) if (label := _text(row["label"])) else None,
        extra=tuple(Path(path) for path in row["extra"]),
        split=_text(row["split"]),
        region=_text(row["region"]),
        height=int(row["height"]),
        width=int(row["width"]),
        crs=_text(row["crs"]),
        transform=(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]),
        stack=tuple(BandPlace(place["name"], int(place["file"]), int(place["number"])) for place in row["stack"]),
        bytes=int(row["bytes"]),
        modified_ns=int(row["modified_ns"]),
    )


def _text(value: object) -> str | None:
    """Return text, or None for what a table holds where nothing stands (None or NaN)."""
    return value if isinstance(value, str) else None
