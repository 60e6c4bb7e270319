"""What a tracker is told: one entry each update that is logged, epoch, set of pictures, confusion matrix and phase."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

__all__ = ["Entry", "Kind", "scalars"]

Kind = Literal["hyperparameters", "update", "epoch", "pictures", "confusion", "summary", "phase"]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Entry:
    """One thing that happened in a run.

    Attributes:
        kind: `hyperparameters`: the settings by dotted name. `update`: loss and rate. `epoch`: the figures of log.csv.
            `pictures`: worst samples. `confusion`: `classes` and `counts`, rows label and columns prediction, with a
            figure of it. `summary`: what the training came to. `phase`: seconds and scores of a phase of `run`.
        values: Plain data.
        name: Of the pictures, the split or the phase.
        epoch: Epochs done, the one under way included; 0 before the first.
        update: Updates done.
        time: When, in ISO 8601 with the zone.
        pictures: Red, green, blue, 0..255.
        number: Position among all entries that were told to remote trackers, from 1; 0 elsewhere.
    """

    kind: Kind
    values: Mapping[str, Any]
    name: str = ""
    epoch: int = 0
    update: int = 0
    time: str = field(default_factory=_now)
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]] = ()
    number: int = 0

    @property
    def identity(self) -> str:
        """What no two entries of a run have in common; an entry that training makes again has the same."""
        if self.kind == "phase":
            # A phase that is done again, with another result, is news.
            lasting = {name: value for name, value in self.values.items() if name != "seconds"}
            digest = hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:16]
            return f"phase:{self.name}:{digest}"
        place = {"hyperparameters": "", "update": self.update}.get(self.kind, self.epoch)
        return f"{self.kind}:{self.name}:{place}"

    @property
    def moment(self) -> datetime:
        """When, as a date."""
        return datetime.fromisoformat(self.time)

    def plain(self) -> dict[str, Any]:
        """Return the entry without its pictures, as JSON has it; `Entry(**plain)` gives it back."""
        named = {"name": self.name} if self.name else {}
        return {
            "kind": self.kind,
            **named,
            "epoch": self.epoch,
            "update": self.update,
            "time": self.time,
            "values": dict(self.values),
        }


def scalars(entry: Entry) -> dict[str, float]:
    """Return the figures of an entry under the names that they have in remote trackers; None is left out.

    Those of epochs are called as in log.csv, those of updates `step/...`.

    >>> scalars(Entry("update", {"loss": 0.5, "lr": 0.1}, update=50))
    {'step/loss': 0.5, 'step/lr': 0.1}
    >>> scalars(Entry("epoch", {"val_miou": 0.5, "val_loss": None}, epoch=1))
    {'val_miou': 0.5}
    >>> scalars(Entry("phase", {"seconds": 2.0, "evaluate/test_miou": 0.5}, name="evaluate test"))
    {'seconds/evaluate test': 2.0, 'evaluate/test_miou': 0.5}
    """
    if entry.kind not in {"update", "epoch", "summary", "phase"}:
        return {}

    def called(name: str) -> str:
        if entry.kind == "update":
            return f"step/{name}"
        return f"seconds/{entry.name}" if entry.kind == "phase" and name == "seconds" else name

    numbers = {name: value for name, value in entry.values.items() if isinstance(value, int | float)}
    return {called(name): float(value) for name, value in numbers.items()}
