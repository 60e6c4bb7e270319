"""Rows of CSV and Parquet files as text, each with the place that a message names."""

import csv
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from terrazzo.errors import DataError

__all__ = ["Row", "read_rows"]

_SEPARATORS = ",;\t|"
_PICKLES = {".pkl", ".pickle"}
_PARQUETS = {".parquet", ".pq"}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        where: File and line (CSV), or file and row from 1 (Parquet).
        cells: Text by column; empty where nothing stands.
    """

    where: str
    cells: Mapping[str, str]


def read_rows(path: Path, needed: Collection[str], *, header: bool = True) -> tuple[tuple[str, ...], list[Row]]:
    """Read a table.

    Args:
        path: Parquet by its suffix, else CSV in UTF-8: the sign among comma, semicolon, tab and bar that is most often
            in the first line separates cells; quotes and a byte order mark are understood.
        needed: Columns whose cells are wanted; those that are not there are left to the caller.
        header: Whether a CSV file's first line names the columns; without, they are called 1, 2, 3, ...

    Returns:
        The names of all columns, and the rows in which something stands.

    Raises:
        DataError: The file cannot be read, is a pickle, or a row has too many or too few cells.
    """
    suffix = path.suffix.lower()
    if suffix in _PICKLES:
        raise DataError(f"{path} is a pickle, which can run code when it is read; save it as CSV or Parquet.")
    try:
        columns, rows = _parquet(path, needed) if suffix in _PARQUETS else _csv(path, needed, header=header)
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a table: {error}.") from error
    double = sorted({column for column in columns if column in needed and columns.count(column) > 1})
    if double:
        raise DataError(f'{path}: two columns are called "{double[0]}".')
    return columns, [row for row in rows if any(row.cells.values())]


def _csv(path: Path, needed: Collection[str], *, header: bool) -> tuple[tuple[str, ...], list[Row]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        separator = _separator(next((line for line in file if line.strip()), ""))
        file.seek(0)
        lines = _lines(file, separator)
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path} is empty; expected a table with a column of images.")
        columns = first[1] if header else tuple(str(number) for number in range(1, len(first[1]) + 1))
        rows = []
        for number, cells in lines if header else (first, *lines):
            if len(cells) != len(columns):
                raise DataError(
                    f"{path}, line {number}: {len(cells)} cells, but the first line has {len(columns)}; put a text "
                    "that holds the separator in quotes."
                )
            known = {column: cell for column, cell in zip(columns, cells, strict=True) if column in needed}
            rows.append(Row(f"{path}, line {number}", known))
    return columns, rows


def _lines(file: Iterator[str], separator: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield lines that are not blank, with their numbers."""
    reader = csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, tuple(cell.strip() for cell in cells)


def _separator(line: str) -> str:
    """Return the separator that is most often in a line, outside of quotes; a comma where there is none.

    >>> _separator('"a,b;c",x;y;z')
    ';'
    """
    open_text = "".join(line.split('"')[::2])
    return max(_SEPARATORS, key=open_text.count)


def _parquet(path: Path, needed: Collection[str]) -> tuple[tuple[str, ...], list[Row]]:
    with parquet.ParquetFile(path) as file:
        columns = tuple(file.schema_arrow.names)
        records = file.read(columns=[column for column in columns if column in needed]).to_pylist()
    rows = []
    for number, record in enumerate(records, 1):
        where = f"{path}, row {number}"
        rows.append(Row(where, {column: _text(value, f'{where}, "{column}"') for column, value in record.items()}))
    return columns, rows


def _text(value: object, where: str) -> str:
    """Return a cell as CSV would have it; a whole number in a column of floats without its point."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise DataError(f"{where} holds {type(value).__name__}; expected text or a number.")
