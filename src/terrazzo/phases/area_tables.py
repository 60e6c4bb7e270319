"""Tables of estimated areas, for spreadsheets."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrazzo.storage import write_text

__all__ = ["AREAS_FILE", "MATRIX_FILE", "write_tables"]

AREAS_FILE, MATRIX_FILE = "areas.csv", "error_matrix.csv"
_AREAS = ("mapped", "adjusted", "standard_error", "low", "high")
_FIGURES = ("value", "standard_error", "low", "high")


def write_tables(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write `areas.csv` (a row a class) and `error_matrix.csv` (shares of the area, then points) into a folder.

    Args:
        folder: Made if missing.
        summary: As `summary.json` holds it; what does not exist leaves its cell empty.

    Raises:
        StorageError: A file cannot be written.
    """
    rows = summary["classes"]
    units = list(summary["total"])
    heads: list[object] = ["class", "points", "unfilled", "found"]
    heads += [f"{name}_{unit}" for unit in units for name in _AREAS]
    heads += [f"{name}_accuracy_{part}" for name in ("user", "producer") for part in _FIGURES]
    table: list[list[object]] = [
        [
            row["name"], row["points"], row["unfilled"], row["found"],
            *(row[name][unit] for unit in units for name in _AREAS),
            *(row[name][part] for name in ("user", "producer") for part in _FIGURES),
        ]
        for row in rows
    ]  # fmt: skip
    write_text(folder / AREAS_FILE, _csv([heads, *table]))
    names = [row["name"] for row in rows]
    matrix: list[list[object]] = []
    for title, cells in (("share of the area", summary["shares"]), ("points", summary["counts"])):
        matrix.append([f"{title}: map \\ reference", *names])
        matrix += [[name, *row] for name, row in zip(names, cells, strict=True)]
    write_text(folder / MATRIX_FILE, _csv(matrix))


def _csv(rows: list[list[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(["" if cell is None else cell for cell in row] for row in rows)
    return text.getvalue()
