"""What `terrazzo compare` kept beside a run's evaluations: two systems on the same images, pair by pair."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import quantity, score

__all__ = ["TITLE", "comparisons_section", "kept_comparisons"]

TITLE = "Comparisons"
_HEADS = ("", "this", "other", "difference", "95 % interval", "p")
_FIGURES = ("first", "second", "value", "low", "high", "p_value")


def kept_comparisons(folder: Path) -> list[Path]:
    """Return the files that `terrazzo compare` kept in a run folder."""
    return sorted((folder / "evaluate" / "compare").glob("*/compare.json"))


def comparisons_section(folder: Path) -> Markup:
    """Return a table for each comparison; nothing where none was kept."""
    files = kept_comparisons(folder)
    if not files:
        return Markup("")
    note = (
        "A difference is the first system's score less the second's, on the same images. Its interval comes from "
        "resampled images; p is the chance of a difference at least as large if it did not matter, image by image, "
        "which of the two answered."
    )
    parts = [tag("p", note, class_="note")]
    for file in files:
        parts += _one(file)
    return section(TITLE, *parts)


def _one(file: Path) -> list[Markup]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        compared = content["comparison"]
        rows = [("mIoU", compared["miou"]), ("accuracy", compared["accuracy"])]
        rows += [(f"IoU {one['name']}", one["iou"]) for one in compared["classes"]]
        title = f"{Path(content['first']).name} less {Path(content['second']).name}, {content['split']}"
        told = f"{quantity(content['images'])} images, {quantity(compared['draws'])} resamples."
        shown = [_row(name, found) for name, found in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [missing(f"{file} cannot be read: {type(error).__name__}: {error}.")]
    return [tag("h3", title), tag("p", told, class_="note"), table(f"Comparison: {title}", _HEADS, shown)]


def _row(name: str, found: Mapping[str, Any]) -> Markup:
    first, second, value, low, high, chance = (found.get(key) for key in _FIGURES)
    signed = score(None) if value is None else f"{value:+.3f}"
    between = score(None) if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    cells = [score(first), score(second), signed, between, score(None) if chance is None else f"{chance:.4f}"]
    return tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells))
