"""What the run folder of a trial says: scores of each judged split, the curve of training, and what is missing."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from pydantic import ValidationError

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, load_confusions
from terrazzo.errors import DataError, StorageError
from terrazzo.storage import fingerprint, read_json
from terrazzo.sweep.trial import TRIAL_FILE, TRIALS_FOLDER, Finished, Trial, TrialState

__all__ = ["FIGURES", "SplitResult", "TrialResult", "begun_trials", "read_curve", "read_trial", "read_trials"]

FIGURES: Mapping[str, bool] = {
    "miou": True,
    "accuracy": True,
    "mean_accuracy": True,
    "frequency_weighted_iou": True,
    "foreground_iou": True,
    "boundary_iou": True,
    "ece": False,
    "loss": False,
    "avg_steps": False,
}
"""Figures of a split, and whether more is better; the IoU of each class follows them."""
_SPLIT_ORDER = ("test", "val")


@dataclass(frozen=True, eq=False)
class SplitResult:
    """How a trial was judged on a split.

    Attributes:
        split: Role of the images.
        figures: Those of `FIGURES` that were measured, 0..1 but for loss and avg_steps.
        classes: IoU of each class, 0..1, in order; None for a class that is neither labelled nor predicted.
        confusion: Pixels, rows label, columns prediction.
        images: How many were judged.
        folder: Folder of the evaluation.
        whole: Whether whole images were judged, and the counts of each lie in the folder; else patch by patch.
        judged: Identity of the images and their labels: two trials with the same were judged by the same. Of patches
            only the labelled pixels of each class are known.
    """

    split: str
    figures: Mapping[str, float]
    classes: Mapping[str, float | None]
    confusion: Int64[np.ndarray, "class class"]
    images: int
    folder: Path
    whole: bool
    judged: str

    def value(self, figure: str) -> float | None:
        """Return a figure of the split, or `iou <class>`; None where there is none."""
        if figure.startswith("iou "):
            return self.classes.get(figure.removeprefix("iou "))
        return self.figures.get(figure)

    @property
    def names(self) -> tuple[str, ...]:
        """Every figure that `value` knows."""
        return (*(name for name in FIGURES if name in self.figures), *(f"iou {name}" for name in self.classes))


@dataclass(frozen=True)
class TrialResult:
    """What became of a trial.

    Attributes:
        trial: Which one.
        state: How far it came.
        reason: Why it failed or was pruned.
        splits: What it was judged on; empty where it has not finished.
        monitor: Figure that training watches, such as `val_miou`.
        more_is_better: Whether more of it is better.
        curve: Epoch and value of that figure, where it was measured.
        seconds: Time that its processes took; that of its epochs where it is not known; None without any.
        overlap: Images that judge while training over images that train; NaN where the folder does not say.
        data: Identity of the prepared data; empty where the folder does not say.
        problems: Files that exist but cannot be read, or are not there though the trial has finished.
    """

    trial: Trial
    state: TrialState
    reason: str = ""
    splits: Mapping[str, SplitResult] = field(default_factory=dict)
    monitor: str = "val_miou"
    more_is_better: bool = True
    curve: tuple[tuple[float, float], ...] = ()
    seconds: float | None = None
    overlap: float = math.nan
    data: str = ""
    problems: tuple[str, ...] = ()

    @property
    def best(self) -> float | None:
        """Best value of the watched figure."""
        values = [value for _, value in self.curve]
        return (max(values) if self.more_is_better else min(values)) if values else None

    @property
    def epochs(self) -> int:
        """The last epoch that was measured."""
        return round(self.curve[-1][0]) if self.curve else 0


def begun_trials(folder: Path) -> tuple[Trial, ...]:
    """Return the trials that have a run folder, in the order of their numbers: what a search has asked for so far.

    Args:
        folder: The sweep's.

    Raises:
        StorageError: A `trial.json` is damaged.
    """
    places = (folder / TRIALS_FOLDER).glob(f"*/{TRIAL_FILE}")
    try:
        return tuple(sorted((Trial.load(place.parent) for place in places), key=lambda trial: trial.number))
    except (ValidationError, TypeError) as error:
        raise StorageError(f"a {TRIAL_FILE} below {folder} is damaged: {error}") from error


def read_trials(trials: Sequence[Trial], done: Sequence[Finished]) -> tuple[TrialResult, ...]:
    """Read what every trial of a sweep came to, in the order of their numbers; none is left out.

    Args:
        trials: All that are known, those that wait included.
        done: Those that have ended.
    """
    ended = {one.trial.number: one for one in done}
    known = {one.number: one for one in (*trials, *(one.trial for one in done))}
    return tuple(read_trial(known[number], ended.get(number)) for number in sorted(known))


def read_trial(trial: Trial, ended: Finished | None) -> TrialResult:
    """Read what a trial came to.

    Args:
        trial: Its run folder may be missing.
        ended: How it ended; None where it has not, and then it counts as running once it has begun.
    """
    problems: list[str] = []
    begun = (trial.folder / TRIAL_FILE).is_file()
    state = ended.state if ended is not None else TrialState.running if begun else TrialState.waiting
    metadata = _mapping(_json(trial.folder / "metadata.json", problems))
    monitor, more_is_better = _monitor(metadata)
    rows = _history(trial.folder / "log.csv", problems)
    finished = state is TrialState.finished
    spent = math.fsum(row.get("seconds", 0.0) for row in rows)
    return TrialResult(
        trial=trial,
        state=state,
        reason=ended.reason if ended is not None else "",
        splits=_splits(trial.folder, problems) if finished else {},
        monitor=monitor,
        more_is_better=more_is_better,
        curve=_curve(rows, monitor),
        seconds=(ended.seconds if ended is not None else 0.0) or spent or None,
        overlap=_overlap(trial.folder, problems),
        data=str(_mapping(metadata.get("data")).get("fingerprint") or ""),
        problems=tuple(problems),
    )


def read_curve(folder: Path) -> tuple[tuple[float, float], ...]:
    """Return epoch and value of the figure that the training of a run folder watched, where it was measured."""
    metadata = _mapping(_json(folder / "metadata.json", []))
    return _curve(_history(folder / "log.csv", []), _monitor(metadata)[0])


def _curve(rows: Sequence[Mapping[str, float]], monitor: str) -> tuple[tuple[float, float], ...]:
    return tuple((row["epoch"], row[monitor]) for row in rows if monitor in row)


def _splits(folder: Path, problems: list[str]) -> dict[str, SplitResult]:
    """Read each evaluation; what no reader could use is named."""
    found: dict[str, SplitResult] = {}
    places = sorted((folder / "evaluate").glob("*/confusion.csv"), key=lambda path: _rank(path.parent.name))
    for place in places:
        path = place.with_name("summary.json")
        if not path.is_file():
            problems.append(f"{path} is missing: the evaluation did not end; evaluate this trial again.")
            continue
        try:
            split = _split(path.parent, _mapping(read_json(path)))
        except (StorageError, DataError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{path} cannot be read ({error}); evaluate this trial again.")
            continue
        found[split.split] = split
    return found


def _split(folder: Path, content: Mapping[str, Any]) -> SplitResult:
    """Return an evaluation.

    Raises:
        KeyError: Something is missing.
        TypeError: Something has another shape.
        ValueError: Likewise.
    """
    scores = _mapping(content["scores"])
    extra = {
        "boundary_iou": _mapping(content.get("boundary")).get("boundary_iou"),
        "ece": _mapping(content.get("reliability")).get("ece"),
        "loss": content.get("loss"),
        "avg_steps": content.get("avg_steps"),
    }
    values = {name: scores.get(name, extra.get(name)) for name in FIGURES}
    classes = {str(row["name"]): _number(row["iou"]) for row in scores["classes"]}
    confusion = np.array(content["confusion"], dtype=np.int64).reshape(len(classes), len(classes))
    whole = (folder / CONFUSIONS_FILE).is_file()
    return SplitResult(
        split=str(content["split"]),
        figures={name: value for name, given in values.items() if (value := _number(given)) is not None},
        classes=classes,
        confusion=confusion,
        images=int(content["images"]),
        folder=folder,
        whole=whole,
        judged=_judged(folder, confusion, list(classes), whole=whole),
    )


def _judged(folder: Path, confusion: Int64[np.ndarray, "class class"], classes: list[str], *, whole: bool) -> str:
    if not whole:
        return fingerprint([classes, confusion.sum(axis=1).tolist()])
    found = load_confusions(folder / CONFUSIONS_FILE)
    labels = found.counts.sum(axis=2).tolist()
    return fingerprint([classes, sorted(zip(found.images, labels, strict=True))])


def _rank(split: str) -> tuple[int, str]:
    """Place what was kept apart longest first."""
    return (_SPLIT_ORDER.index(split) if split in _SPLIT_ORDER else len(_SPLIT_ORDER), split)


def _monitor(metadata: Mapping[str, Any]) -> tuple[str, bool]:
    """Return the figure that training watches, and whether more is better, as `Monitor.sign` decides it."""
    train = _mapping(_mapping(metadata.get("config")).get("train"))
    settings = _mapping(train.get("monitor"))
    figure, mode = str(settings.get("figure", "val_miou")), settings.get("mode", "auto")
    return figure, mode == "max" or (mode != "min" and not figure.endswith("loss"))


def _overlap(folder: Path, problems: list[str]) -> float:
    images = _mapping(_mapping(_json(folder / "data.json", problems)).get("images"))
    train, val = images.get("train"), images.get("val")
    return val / train if isinstance(train, int) and isinstance(val, int) and train > 0 else math.nan


def _history(path: Path, problems: list[str]) -> list[dict[str, float]]:
    """Read the rows of log.csv; cells that hold no number are left out."""
    if not path.is_file():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{path} cannot be read: {error}.")
        return []
    read = [
        {column: value for column, cell in row.items() if column and (value := _cell(cell)) is not None} for row in rows
    ]
    return [row for row in read if "epoch" in row]


def _cell(text: object) -> float | None:
    try:
        return _number(float(text)) if isinstance(text, str) else None
    except ValueError:
        return None


def _number(value: object) -> float | None:
    """Return a finite number; None for null, which stands for a score that does not exist."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value) if math.isfinite(value) else None


def _json(path: Path, problems: list[str]) -> object:
    if not path.is_file():
        return {}
    try:
        return read_json(path)
    except StorageError as error:
        problems.append(str(error))
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
