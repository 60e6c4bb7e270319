"""A trial: one run of a sweep, known by what it varies."""

import hashlib
import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from terrazzo.record import Record
from terrazzo.storage import read_json, write_json

__all__ = ["OUTCOME_FILE", "TRIALS_FOLDER", "TRIAL_FILE", "Finished", "Trial", "TrialState", "trial_name", "trial_of"]

TRIALS_FOLDER = "trials"
"""Folder of a sweep in which each trial's run folder lies."""
TRIAL_FILE = "trial.json"
"""File of a run folder that says which trial it is."""

OUTCOME_FILE = "outcome.json"
"""File of a run folder that says how the trial ended; absent until it has."""

_UNSAFE = re.compile(r"[^\w.=,+-]+")
# File systems hold names of 255 bytes; some files of a run add a suffix to its name.
_LONGEST_NAME = 120
_DIGITS = 8


class TrialState(StrEnum):
    """How far a trial has come."""

    waiting = "waiting"
    running = "running"
    finished = "finished"
    failed = "failed"
    pruned = "pruned"


class Trial(Record):
    """One run of a sweep."""

    number: int
    """Place in the order in which a search asks for trials; from 0."""
    name: str
    """Name of its run folder, made of what it varies, such as `seed=1,model=smp`."""
    folder: Path
    """Its run folder."""
    varied: Mapping[str, Any]
    """What differs between trials: dotted key -> plain value."""

    def save(self) -> None:
        """Write `trial.json` into the run folder."""
        write_json(self.folder / TRIAL_FILE, self.model_dump(mode="json", exclude={"folder"}))

    @classmethod
    def load(cls, folder: Path) -> "Trial":
        """Read the trial that a run folder belongs to, wherever that folder lies now.

        Raises:
            StorageError: It has no `trial.json`, or one that cannot be read.
            ValidationError: The file holds something else.
        """
        return cls.model_validate({**read_json(folder / TRIAL_FILE), "folder": folder})


class Finished(Record):
    """A trial that has ended, one way or another."""

    trial: Trial
    """The trial."""
    state: TrialState
    """`finished`, `failed` or `pruned`."""
    value: float | None = None
    """Best value of the figure that its training watched; None where it has none."""
    seconds: float = 0.0
    """Wall time of its last start; what earlier ones took stands in `log.csv`."""
    reason: str = ""
    """Why it failed, or was pruned."""


def trial_of(number: int, varied: Mapping[str, Any], sweep_folder: Path) -> Trial:
    """Return a trial with its name and its run folder.

    Args:
        number: Its place in the order of trials.
        varied: Dotted key -> plain value.
        sweep_folder: The sweep's folder.
    """
    name = trial_name(varied)
    return Trial(number=number, name=name, folder=sweep_folder / TRIALS_FOLDER / name, varied=dict(varied))


def trial_name(varied: Mapping[str, Any]) -> str:
    """Return a folder's name that no other values share.

    >>> trial_name({"seed": 1, "model": "smp"})
    'seed=1,model=smp'
    >>> trial_name({"optimizer.lr": 1e-4, "data.split.regions": ["a/b", "c"]})
    'optimizer.lr=0.0001,data.split.regions=a-b-c~eb4e5908'
    >>> trial_name({})
    'only'
    """
    plain = ",".join(f"{key}={_spelled(value)}" for key, value in varied.items())
    name = _UNSAFE.sub("-", plain).strip("-. ")
    exact = ",".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in varied.items())
    simple = all(value is None or isinstance(value, bool | int | float | str) for value in varied.values())
    if not varied:
        return "only"
    if simple and name == plain and len(name) <= _LONGEST_NAME and _is_told_apart(varied):
        return name
    # What was left out or cut off of a name still tells trials apart.
    return f"{name[:_LONGEST_NAME]}~{hashlib.sha256(exact.encode()).hexdigest()[:_DIGITS]}"


def _spelled(value: object) -> str:
    """Return a value as it is typed; text that reads as something else is told apart by the digits at the end."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "-".join(_spelled(item) for item in value)
    if isinstance(value, Mapping):
        return "-".join(f"{key}-{_spelled(item)}" for key, item in value.items())
    return json.dumps(value)


def _is_told_apart(varied: Mapping[str, Any]) -> bool:
    """Whether no text among the values could be taken for a number, a word such as true, or several values."""
    for value in varied.values():
        if not isinstance(value, str):
            continue
        if not value or "," in value or "=" in value:
            return False
        try:
            json.loads(value)
        except ValueError:
            continue
        return False
    return True
