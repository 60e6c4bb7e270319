"""Where an evaluation is written: its summary, tables, and the counts that another is compared with."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, ImageConfusions, save_confusions
from terrazzo.phases.summary import EvaluateSummary, plain
from terrazzo.storage import write_json, write_text

__all__ = ["PER_IMAGE_FILE", "REGIONS_FILE", "RELIABILITY_FILE", "clear_samples", "write_evaluation"]

PER_IMAGE_FILE = "per_image.csv"
REGIONS_FILE = "regions.csv"
RELIABILITY_FILE = "reliability.json"
"""Names of files that not every evaluation writes; what an earlier one left is removed."""


def clear_samples(folder: Path) -> None:
    """Remove pictures of an earlier evaluation, which may have drawn more: they must not stand among this one's."""
    for stale in (folder / "samples").glob("*.png"):
        stale.unlink()


def write_evaluation(
    folder: Path,
    summary: EvaluateSummary,
    names: Sequence[str],
    *,
    images: Sequence[Mapping[str, Any]] = (),
    counts: Int64[np.ndarray, "image class class"] | None = None,
    trust: Mapping[str, Any] | None = None,
) -> None:
    """Write the scores for programs (JSON) and for tables (CSV), the summary last.

    Args:
        folder: Created if missing.
        summary: What was found.
        names: Of the classes.
        images: A row for each image; no table is written without any.
        counts: The confusion matrix of each of these images.
        trust: How far confidence can be believed; None where it was not measured.
    """
    for name in (PER_IMAGE_FILE, REGIONS_FILE, RELIABILITY_FILE, CONFUSIONS_FILE, "summary.json"):
        (folder / name).unlink(missing_ok=True)
    rows = zip(names, np.asarray(summary.confusion).tolist(), strict=True)
    _write_table(folder / "confusion.csv", ["label \\ prediction", *names], [[name, *row] for name, row in rows])
    if images:
        _write_rows(folder / PER_IMAGE_FILE, images)
    if summary.regions:
        _write_rows(folder / REGIONS_FILE, summary.regions)
    if trust is not None:
        write_json(folder / RELIABILITY_FILE, plain(trust))
    if counts is not None:
        found = ImageConfusions(tuple(row["image"] for row in images), tuple(names), counts, summary.split)
        save_confusions(folder / CONFUSIONS_FILE, found)
    scores = {key: value for key, value in summary.scores.items() if key != "miou"}
    write_json(folder / "summary.json", plain({**summary.as_dict(), **scores}))


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    heads = list(rows[0])
    _write_table(path, heads, [[_cell(row[head]) for head in heads] for row in rows])


def _write_table(path: Path, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    write_text(path, text.getvalue())


def _cell(value: object) -> object:
    """Return what a cell shows: nothing for what does not exist, six decimals of a share."""
    if value is None:
        return ""
    return f"{value:.6f}" if isinstance(value, float) else value
