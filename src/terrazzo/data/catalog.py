"""The table of images: where each lies, which role it plays, and the grid it stands on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from affine import Affine
from rasterio.crs import CRS

from terrazzo.data.areas.area import AREAS, Area
from terrazzo.data.labels.label import LABELS, Label
from terrazzo.data.store.tile import Tiles
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.grid import Grid
from terrazzo.record import Component, Record, Table
from terrazzo.storage import atomic_path

__all__ = ["ROLES", "BandPlace", "Catalog", "ImageEntry", "split_order"]

ROLES = ("train", "val", "calibrate", "test")
"""Roles in their order; a named validation set is a role of its own, `val_<name>`."""

COLUMNS = (
    "image_id",
    "image",
    "label",
    "extra",
    "split",
    "fold",
    "region",
    "height",
    "width",
    "crs",
    "transform",
    "stack",
    "bytes",
    "modified_ns",
    "label_record",
    "area_record",
    "mask_record",
)
"""Columns of `Catalog.frame`."""


class BandPlace(NamedTuple):
    """Where one band of an image is stored.

    Attributes:
        name: Name of the band in `Bands`.
        file: 0 for the image itself, 1 for its first extra file, and so on.
        number: Position among that file's bands without transparency, from 0.
        gain: Factor that brings the file's raw values to those of `Bands`.
        bias: Added after `gain`; both differ from 1 and 0 where a file scales its values in another way than the first
            image, such as Sentinel-2 scenes of different processing baselines.
    """

    name: str
    file: int
    number: int
    gain: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class ImageEntry:
    """One image and all that belongs to it.

    Attributes:
        image_id: Name that is once in the catalog and does not change when images join.
        image: File of the image.
        label: How its classes are known; None where nothing is labelled.
        extra: Further band files; one on another grid is resampled onto this image's as it is read.
        split: "train", "val", "calibrate", "test", or "val_<name>" of a named validation set; None where no role is
            given yet.
        region: Place that the image belongs to; images of one region are neighbours.
        height: Rows.
        width: Columns.
        crs: Coordinate reference system as WKT; None where there is none.
        transform: The six numbers a, b, c, d, e, f of the affine map from (column, row).
        stack: Where each band is stored, in channel order.
        bytes: Size of all its files together.
        modified_ns: Latest modification time of its files.
        fold: Number of its fold, from 0; None where there are no folds.
        area: Part of the image that this entry stands for, where an image is divided; its label is ignored outside.
        mask: Raster that says which pixels were not measured.
        tiles: Where the image was written as tiles; that is known of prepared data, and no column of the catalog.
    """

    image_id: str
    image: Path
    label: Label | None
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
    fold: int | None = None
    area: Area | None = None
    mask: ValidityMask | None = None
    tiles: Tiles | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The image and its further band files."""
        return (self.image, *self.extra)

    @property
    def all_files(self) -> tuple[Path, ...]:
        """The image, its label, its area, further band files and its mask: all that it is read from."""
        others = [part.files for part in (self.label, self.area) if part is not None]
        mask = () if self.mask is None else (self.mask.file,)
        return (self.image, *(path for files in others for path in files), *self.extra, *mask)

    @cached_property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        crs = CRS.from_wkt(self.crs) if self.crs else None
        return Grid(crs, Affine(*self.transform), self.height, self.width)


class Catalog:
    """Images in the order of their names.

    Args:
        entries: Images, each name once.

    Attributes:
        frame: One row an image; paths are text, `extra` a list of text, `stack` a list of band places; label, area and
            mask also as JSON in `*_record`.

    Raises:
        DataError: Two images have one name.
    """

    def __init__(self, entries: Sequence[ImageEntry]) -> None:
        names = [entry.image_id for entry in entries]
        if len(set(names)) < len(names):
            twice = next(name for position, name in enumerate(names) if name in names[:position])
            raise DataError(f'two images are called "{twice}"; an image has one name and one role.')
        self._entries = {entry.image_id: entry for entry in sorted(entries, key=lambda entry: entry.image_id)}
        import pandas as pd  # takes a second, and most who name a catalog's types make no table

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
        """Roles that occur, in the order train, val, named validation sets, calibrate, test."""
        return tuple(sorted({entry.split for entry in self if entry.split is not None}, key=split_order))

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
            import pandas as pd  # takes a second, and most who name a catalog's types make no table

            frame = pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as a catalog: {error}.") from error
        if list(frame.columns) != list(COLUMNS):
            raise DataError(f"{path} is no catalog: its columns are {', '.join(frame.columns)}.")
        try:
            return cls([_entry(row) for row in frame.to_dict("records")])
        except (ConfigError, TypeError, ValueError) as error:
            raise DataError(f"{path} is a damaged catalog: {error}.") from error


def split_order(split: str) -> tuple[int, str]:
    """Return what sorts roles: train, val, named validation sets, calibrate, test.

    >>> sorted(["test", "val_sea", "val", "train"], key=split_order)
    ['train', 'val', 'val_sea', 'test']
    """
    role = "val" if split.startswith("val_") else split
    return (ROLES.index(role) if role in ROLES else len(ROLES), split)


def _row(entry: ImageEntry) -> dict[str, Any]:
    return {
        "image_id": entry.image_id,
        "image": str(entry.image),
        "label": None if entry.label is None else str(entry.label.file),
        "extra": [str(path) for path in entry.extra],
        "split": entry.split,
        "fold": entry.fold,
        "region": entry.region,
        "height": entry.height,
        "width": entry.width,
        "crs": entry.crs,
        "transform": list(entry.transform),
        "stack": [place._asdict() for place in entry.stack],
        "bytes": entry.bytes,
        "modified_ns": entry.modified_ns,
        "label_record": _dumped(entry.label),
        "area_record": _dumped(entry.area),
        "mask_record": _dumped(entry.mask),
    }


def _dumped(record: Record | None) -> str | None:
    return None if record is None else json.dumps(record.model_dump(mode="json"), ensure_ascii=False)


def _component(table: Table, text: object) -> Component | None:
    """Return the record that a cell holds."""
    return table.create(**json.loads(text)) if isinstance(text, str) else None


def _entry(row: Mapping[Any, Any]) -> ImageEntry:
    numbers = [float(number) for number in row["transform"]]
    from pandas import isna as is_missing

    return ImageEntry(
        image_id=row["image_id"],
        image=Path(row["image"]),
        label=label if isinstance(label := _component(LABELS, row["label_record"]), Label) else None,
        extra=tuple(Path(path) for path in row["extra"]),
        split=_text(row["split"]),
        region=_text(row["region"]),
        height=int(row["height"]),
        width=int(row["width"]),
        crs=_text(row["crs"]),
        transform=(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]),
        stack=tuple(BandPlace(**place) for place in row["stack"]),
        bytes=int(row["bytes"]),
        modified_ns=int(row["modified_ns"]),
        fold=None if is_missing(row["fold"]) else int(row["fold"]),
        area=area if isinstance(area := _component(AREAS, row["area_record"]), Area) else None,
        mask=ValidityMask.model_validate_json(mask) if (mask := _text(row["mask_record"])) else None,
    )


def _text(value: object) -> str | None:
    """Return text, or None for what a table holds where nothing stands (None or NaN)."""
    return value if isinstance(value, str) else None
