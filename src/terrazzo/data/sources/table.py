"""A table of images: a CSV or Parquet file whose columns name images, labels, roles, folds and regions."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal

from pydantic import Field, model_validator

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.pattern import RASTER_SUFFIXES
from terrazzo.data.sources.rows import Row, read_rows
from terrazzo.data.sources.source import ROLE_FOLDERS, Listing, Pair, Source, role_of
from terrazzo.data.splitting.settings import Role
from terrazzo.errors import DataError
from terrazzo.record import nearest

__all__ = ["TableSource"]

_SHOWN = 5


class TableSource(Source):
    """Images that a table lists, one a row."""

    name: Literal["table"] = "table"
    """Name of this source."""
    table: Path
    """CSV file (UTF-8; commas, semicolons, tabs or bars) or Parquet file, by its suffix."""
    folder: Path | None = None
    """Folder that relative paths start from; the table's own if not given."""
    header: bool = True
    """Whether a CSV file's first line names the columns; without, they are called 1, 2, 3, ..."""
    image: str = "image"
    """Column of the images' paths."""
    label: str = "label"
    """Column of the labels' paths."""
    extra: tuple[str, ...] = ()
    """Columns of the paths of further band files, in order."""
    split: str | None = None
    """Column of the roles; the column `split`, where there is one, if not given. An empty cell says none."""
    fold: str | None = None
    """Column of the folds, whole numbers from 0; the column `fold`, where there is one, if not given."""
    region: str | None = None
    """Column of the regions; the column `region`, where there is one, if not given."""
    roles: dict[str, Role] = Field(default_factory=dict)
    """What words of the split column mean, such as {"1": train, "0": val}; train, val, valid, test, ... are known."""
    allow_outside: bool = False
    """Accept absolute paths, and paths that lead out of the folder by `..`."""
    unmatched: Literal["error", "skip"] = "error"
    """What to do with a row whose image, label or band file is not said or does not exist."""

    @model_validator(mode="after")
    def _columns_differ(self) -> "TableSource":
        named = (self.image, self.label, *self.extra, self.split, self.fold, self.region)
        given = [column for column in named if column is not None]
        double = sorted({column for column in given if given.count(column) > 1})
        if double:
            raise ValueError(f'column "{double[0]}" cannot be two things')
        return self

    def elsewhere(self, folder: Path) -> None:
        """Return None: another folder would need another table."""
        del folder

    def pairs(self) -> Listing:
        """Read the table and list its images, opening none of them.

        Raises:
            DataError: The table cannot be read or lacks a column, or a row names what is not there, a path out of the
                folder, what is no role or fold, or an image that another row names.
        """
        columns, rows = read_rows(self.table, self._wanted(), header=self.header)
        self._require(columns)
        found: dict[str, tuple[Pair, Row]] = {}
        problems: list[str] = []
        for row in rows:
            files = [self._file(row, column) for column in (self.image, self.label, *self.extra)]
            missing = [file for file in files if isinstance(file, str)]
            if missing:
                problems.append(f"{row.where}: {missing[0]}")
                continue
            pair = self._pair(row, [file for file in files if isinstance(file, Path)])
            if pair.image_id in found:
                raise DataError(
                    f"{row.where}: the image {pair.image_id} stands in {found[pair.image_id][1].where}, too."
                )
            found[pair.image_id] = (pair, row)
        if problems and (self.unmatched == "error" or not found):
            raise DataError(
                f"{'; '.join(_first(problems))}. Relative paths start from {self._start}; data.source.unmatched: skip "
                "leaves such rows out."
            )
        if not found:
            raise DataError(f"{self.table} lists no image.")
        return Listing(
            tuple(found[name][0] for name in sorted(found)),
            tuple(f"left out: {problem}" for problem in _first(problems)),
        )

    @property
    def _start(self) -> Path:
        return (self.folder or self.table.parent).absolute()

    def _wanted(self) -> set[str]:
        columns = (self.split or "split", self.fold or "fold", self.region or "region")
        return {self.image, self.label, *self.extra, *columns}

    def _require(self, columns: Sequence[str]) -> None:
        """Refuse a table that lacks a column which the settings name."""
        named = {"image": (self.image,), "label": (self.label,), "extra": self.extra}
        named |= {
            field: (column,)
            for field, column in (("split", self.split), ("fold", self.fold), ("region", self.region))
            if column is not None
        }
        for field, wanted in named.items():
            for column in wanted:
                if column not in columns:
                    raise DataError(
                        f'{self.table} has no column "{column}".{nearest(column, list(columns))} It has '
                        f"{', '.join(columns)}; data.source.{field} names the column."
                    )

    def _file(self, row: Row, column: str) -> Path | str:
        """Return a file that a row names, or why there is none.

        Raises:
            DataError: The path leads out of the folder.
        """
        text = row.cells[column]
        if not text:
            return f'"{column}" is empty'
        path = self._placed(text, row, column)
        if not path.is_file() and "\\" in text:
            path = self._placed(text.replace("\\", "/"), row, column)
        return path if path.is_file() else f"{path} does not exist"

    def _placed(self, text: str, row: Row, column: str) -> Path:
        # Taken together as text, so that `..` after a link cannot lead elsewhere than it is written.
        path = Path(os.path.normpath(text))
        if not self.allow_outside and (path.is_absolute() or path.parts[:1] == ("..",)):
            raise DataError(
                f'{row.where}: "{column}" is {text}, which leads out of {self._start}; set data.source.folder to the '
                "folder that paths start from, or data.source.allow_outside: true."
            )
        return Path(os.path.normpath(self._start / path))

    def _pair(self, row: Row, files: Sequence[Path]) -> Pair:
        image, label, *extra = files
        inside = (
            image.relative_to(self._start) if image.is_relative_to(self._start) else image.relative_to(image.anchor)
        )
        return Pair(
            image_id=_without_suffix(inside).as_posix(),
            image=image,
            label=RasterLabel(rasters=(label,)),
            extra=tuple(extra),
            split=self._role(row),
            fold=self._fold(row),
            region=row.cells.get(self.region or "region") or None,
        )

    def _role(self, row: Row) -> str | None:
        text = row.cells.get(self.split or "split", "")
        role = self.roles.get(text) or role_of(text)
        if text and role is None:
            raise DataError(
                f'{row.where}: "{text}" is no role; roles are {", ".join(ROLE_FOLDERS)}, and data.source.roles says '
                f'what other words mean, such as {{"{text}": train}}.'
            )
        return role

    def _fold(self, row: Row) -> int | None:
        text = row.cells.get(self.fold or "fold", "")
        if not text:
            return None
        # What pandas writes for a column of whole numbers with gaps is 2.0.
        digits = text.removesuffix(".0")
        if not (digits.isascii() and digits.isdigit()):
            raise DataError(f'{row.where}: "{text}" is no fold; expected a whole number from 0.')
        return int(digits)


def _without_suffix(path: PurePath) -> PurePath:
    """Return a path without the suffix of an image file; other dots belong to the name."""
    return path.with_suffix("") if path.suffix.lower() in RASTER_SUFFIXES else path


def _first(problems: Sequence[str]) -> list[str]:
    """Return the first few problems, and how many more there are."""
    more = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"{more} more rows"] if more > 0 else [])]
