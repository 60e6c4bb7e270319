"""The files of a calibration: a table of thresholds, statistics of the probabilities to halt, reliability."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from terrazzo.storage import write_text

__all__ = ["Q_STATISTICS_FILE", "RELIABILITY_FILE", "SWEEP_FILE", "write_table"]

SWEEP_FILE = "tau_sweep.csv"
"""Of each threshold: mIoU, mean steps, risk, what the risk is bounded by."""
Q_STATISTICS_FILE = "q_statistics.csv"
"""Of each step: how the probabilities to halt are distributed."""
RELIABILITY_FILE = "reliability.json"
"""Before and after: confidence against how often it was right."""


def write_table(path: Path, rows: Sequence[Mapping[str, float | int | str | None]]) -> None:
    """Write rows as CSV; what does not exist is an empty cell.

    Args:
        path: The file.
        rows: With the same columns each; at least one.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(rows[0])
    writer.writerow(columns)
    writer.writerows(_cells(row[column] for column in columns) for row in rows)
    write_text(path, text.getvalue())


def _cells(values: Iterable[float | int | str | None]) -> list[object]:
    return ["" if value is None or (isinstance(value, float) and math.isnan(value)) else value for value in values]
