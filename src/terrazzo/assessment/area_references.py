"""From labelled points, or from an evaluated split, to the counts of an error matrix."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from terrazzo.assessment.class_map import Legend
from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, load_confusions
from terrazzo.assessment.sample_file import LabelledPoints
from terrazzo.errors import DataError, LabelError, StorageError
from terrazzo.record import nearest
from terrazzo.storage import read_json

__all__ = ["References", "count_references", "read_split"]

_SHOWN = 5
"""Unknown words that a message names."""


@dataclass(frozen=True)
class References:
    """How often each map class was found to be each class.

    Attributes:
        names: The maps' classes, then those that only the reference has.
        counts: Points; rows map class, columns reference class, in the order of the names.
        unfilled: Points of each map class without a reference class.
        images: Images behind the counts where these are pixels of an evaluated split; None for a sample's points.
        per_image: The counts of each of these images; None where the evaluation kept none.
    """

    names: tuple[str, ...]
    counts: Int64[np.ndarray, "class class"]
    unfilled: Int64[np.ndarray, " class"]
    images: int | None = None
    per_image: Int64[np.ndarray, "image class class"] | None = None


def count_references(points: LabelledPoints, legend: Legend, *, also: Sequence[str] = (), name: str) -> References:
    """Count a sample's points by map class and reference class.

    Args:
        points: As the sample file holds them; a class stands there by its name or by its value in the maps.
        legend: The maps' classes.
        also: Further reference classes, which no map has.
        name: Of the file, for messages.

    Raises:
        LabelError: A map class or a reference class is unknown; the nearest right one is named.
    """
    extra = [word for word in dict.fromkeys(also) if legend.position(word) is None]
    names = (*legend.names, *extra)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    unfilled = np.zeros(len(names), dtype=np.int64)
    unknown: dict[str, str] = {}
    for number, mapped, reference in zip(points.ids, points.map_classes, points.references, strict=True):
        row = legend.position(mapped)
        if row is None:
            raise LabelError(
                f'{name}: point {number} has the map class "{mapped}", which is no class of the design.'
                f"{nearest(mapped, list(legend.names))} Leave the column `map_class` as it was written."
            )
        if not reference:
            unfilled[row] += 1
            continue
        column = names.index(reference) if reference in names else legend.position(reference)
        if column is None:
            unknown.setdefault(reference, number)
            continue
        counts[row, column] += 1
    if unknown:
        told = "; ".join(
            f'"{word}" (point {number}){nearest(word, list(names))}' for word, number in list(unknown.items())[:_SHOWN]
        )
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        raise LabelError(
            f"{name} has reference classes that no map has: {told}{more}. Classes are {', '.join(names)}. Correct the "
            "points, or name a class that only the reference has with --also."
        )
    return References(names, counts, unfilled)


def read_split(folder: Path, legend: Legend) -> References:
    """Read the confusion of an evaluated split.

    Args:
        folder: `evaluate/<split>` of a run folder, with `confusion.csv` (rows label, columns prediction),
            `summary.json` and, where the evaluation kept it, the counts of each image.
        legend: The maps' classes, which must be those of the evaluation.

    Raises:
        DataError: The split was not evaluated, its files are damaged, or its classes are not the maps'.
    """
    path = folder / "confusion.csv"
    if not path.is_file():
        raise DataError(
            f"{path} does not exist; `terrazzo evaluate` on the run, with --split {folder.name}, writes it."
        )
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        table = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]], dtype=np.int64)
        names = rows[0][1:]
        images = int(read_json(folder / "summary.json")["images"])
    except (OSError, ValueError, IndexError, KeyError, TypeError, csv.Error, StorageError) as error:
        raise DataError(f"{folder} does not hold a whole evaluation ({error}); evaluate the run again.") from error
    if table.shape != (len(names), len(names)) or sorted(names) != sorted(legend.names):
        raise DataError(
            f"{path} has the classes {', '.join(names)}, but the maps have {', '.join(legend.names)}; estimate from "
            "maps of the model that was evaluated."
        )
    order = [names.index(name) for name in legend.names]
    # What the model says stands for the map; what the label says for the reference.
    counts = np.ascontiguousarray(table.T[np.ix_(order, order)])
    kept = folder / CONFUSIONS_FILE
    per_image = None
    if kept.is_file():
        found = load_confusions(kept)
        if list(found.classes) != names or not np.array_equal(found.counts.sum(axis=0), table):
            raise DataError(f"{kept} and {path} are of two evaluations; evaluate the run again.")
        per_image = np.ascontiguousarray(found.counts.transpose(0, 2, 1)[:, order][:, :, order])
    return References(legend.names, counts, np.zeros(len(names), dtype=np.int64), images, per_image)
