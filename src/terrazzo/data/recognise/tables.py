"""Tables that list images and labels: a CSV or Parquet file whose cells name files that exist."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.slots import IMAGE_WORDS, LABEL_WORDS
from terrazzo.data.recognise.view import View
from terrazzo.data.sources.pattern import RASTER_SUFFIXES
from terrazzo.data.sources.rows import read_rows
from terrazzo.data.sources.source import role_of
from terrazzo.errors import DataError

__all__ = ["bare_table_layouts", "table_layouts"]

ROWS = 50
"""Rows that are looked at."""
_SPLIT_COLUMNS = ("set", "subset", "role", "partition", "phase")


def table_layouts(view: View) -> Iterator[Layout]:
    """Yield a layout for each table whose first line names columns, two of which name rasters."""
    return _layouts(view, header=True)


def bare_table_layouts(view: View) -> Iterator[Layout]:
    """Yield a layout for each table without names of columns."""
    return _layouts(view, header=False)


def _layouts(view: View, *, header: bool) -> Iterator[Layout]:
    for path in sorted(view.ending(".csv", ".parquet"), key=lambda path: path.count("/"))[:5]:
        settings = _settings(view.folder / path, header=header)
        if settings is not None:
            yield Layout(f"the table {path}", {"name": "table", **settings})


def _settings(path: Path, *, header: bool) -> dict[str, object] | None:
    """Return the source's settings, or None where the cells name no files."""
    try:
        columns, _ = read_rows(path, (), header=header)
        _, rows = read_rows(path, columns, header=header)
    except DataError:
        return None
    if header and any(PurePosixPath(column).suffix.lower() in RASTER_SUFFIXES for column in columns):
        return None  # the first line names files already
    rows = rows[:ROWS]
    named = [column for column in columns if rows and _names_rasters(path, [row.cells[column] for row in rows])]
    if len(named) < 2:
        return None
    image, label = _image_and_label(named, [PurePosixPath(rows[0].cells[column] or "").stem for column in named])
    found: dict[str, object] = {"table": path, "image": image, "label": label}
    if not header:
        found["header"] = False
    split = next((column for column in columns if column.lower() in _SPLIT_COLUMNS), None)
    if split is not None and "split" not in columns and all(role_of(row.cells[split] or "") for row in rows):
        found["split"] = split
    return found


def _names_rasters(table: Path, cells: Sequence[str | None]) -> bool:
    """Return whether all cells of a column name raster files below the table's folder."""
    paths = [PurePosixPath(cell) for cell in cells if cell]
    return len(paths) == len(cells) and all(
        path.suffix.lower() in RASTER_SUFFIXES and not path.is_absolute() and (table.parent / path).is_file()
        for path in paths
    )


def _image_and_label(columns: Sequence[str], stems: Sequence[str]) -> tuple[str, str]:
    """Return the columns of images and labels: by their names, by their files' names, else the first two."""
    said = [
        f"{column} {stem}".lower().replace("_", " ").replace("-", " ").split()
        for column, stem in zip(columns, stems, strict=True)
    ]
    label = next((column for column, words in zip(columns, said, strict=True) if LABEL_WORDS & set(words)), None)
    others = [column for column in columns if column != label]
    image = next(
        (column for column, words in zip(columns, said, strict=True) if column in others and IMAGE_WORDS & set(words)),
        others[0],
    )
    return image, label or next(column for column in columns if column != image)
