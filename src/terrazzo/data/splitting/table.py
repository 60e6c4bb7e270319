"""The table that records every image's role, and why it has it: splits.csv."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.settings import DataSettings
from terrazzo.storage import write_text

__all__ = ["SPLITS_FILE", "reason", "write_splits"]

SPLITS_FILE = "splits.csv"
COLUMNS = ("image_id", "region", "fold", "split", "why")


def write_splits(path: Path, entries: Sequence[ImageEntry], data: DataSettings, said: Mapping[str, str | None]) -> None:
    """Write one row an image, or part of one, whole or not at all.

    Args:
        path: Goal.
        entries: Images with their roles.
        data: Settings that gave them.
        said: Role that the layout says for each image, by its name; None where it says none.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in sorted(entries, key=lambda entry: entry.image_id):
        fold = "" if entry.fold is None else entry.fold
        # A part is called as its image with `#` and the part.
        name = entry.image_id if entry.image_id in said else entry.image_id.rpartition("#")[0]
        why = reason(entry, data, said.get(name))
        writer.writerow([entry.image_id, entry.region or "", fold, entry.split or "", why])
    write_text(path, text.getvalue())


def reason(entry: ImageEntry, data: DataSettings, said: str | None) -> str:
    """Return what gave an image its role, in a few words.

    Args:
        entry: The image, or part of one.
        data: Settings of the data.
        said: Role that the layout says; None where it says none.
    """
    split = data.split
    role = entry.split or "none"
    if role.startswith("val_"):
        return "a set of data.validation" if role.removeprefix("val_") in data.validation else "data.validation_list"
    if data.fold is not None and entry.fold is not None and role in {"train", "val"}:
        owner = f"data.split.folds by {split.folds.by}" if split.folds else "its fold in the source"
        return f"{owner}: fold {data.fold} selects"
    keeps = said not in {None, "train"}
    ways = {
        "data.split.lists": split.lists is not None,
        "its region in data.split.regions": split.regions is not None,
        "its place in data.split.polygons": split.polygons is not None,
        "the layout": (split.fractions or split.blocks) is not None and keeps,
        "drawn by data.split.fractions": split.fractions is not None,
        "drawn by data.split.blocks": split.blocks is not None,
        "drawn, since nothing says a role": said is None,
    }
    return next((way for way, holds in ways.items() if holds), "the layout")
