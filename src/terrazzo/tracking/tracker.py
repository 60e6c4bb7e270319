"""The contract of trackers: a record of settings that opens a track, which takes entries."""

import importlib.util
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from terrazzo.errors import ConfigError
from terrazzo.logs import redact
from terrazzo.record import Component, Table
from terrazzo.tracking.entry import Entry

__all__ = ["TRACKERS", "RefusedEntryError", "Track", "TrackedRun", "Tracker", "hyperparameters", "require_trackers"]

TRACKERS = Table(
    "trackers",
    {
        "comet": "terrazzo.tracking.comet:Comet",
        "csv": "terrazzo.tracking.csv_files:Csv",
        "jsonl": "terrazzo.tracking.json_lines:JsonLines",
        "mlflow": "terrazzo.tracking.mlflow:MlFlow",
        "tensorboard": "terrazzo.tracking.tensorboard:TensorBoard",
        "wandb": "terrazzo.tracking.wandb:WeightsAndBiases",
    },
)

_SECRET_KEY = re.compile(r"(^|_)(key|token|secret|password|passwd|credentials?|api|private)($|_)", re.IGNORECASE)


class RefusedEntryError(Exception):
    """A service answered that it will never take this entry; the next ones may be right."""


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker must know of a run to open its track.

    Attributes:
        name: Of the run.
        folder: The run folder.
        config: The resolved configuration as plain data, environment references kept.
        monitor: The monitored figure.
        identity: 32 hexadecimal digits that this run keeps with one remote tracker, however often it is taken up;
            empty for local ones.
        known: Bytes of each file of local trackers that belong to the checkpoint that the run goes on from, by path in
            the run folder; what lies beyond is to be cut off.
    """

    name: str
    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    monitor: str = "val_miou"
    identity: str = ""
    known: Mapping[str, int] = field(default_factory=dict)


class Track(ABC):
    """A tracker at work on one run."""

    takes_pictures: ClassVar[bool] = True
    """Whether it shows pictures; where no tracker does, confusion matrices are not drawn."""

    @property
    def is_new(self) -> bool:
        """Whether a local tracker has no entry of this run yet; remote ones are asked by nobody."""
        return True

    @abstractmethod
    def write(self, entry: Entry) -> None:
        """Take one entry.

        Raises:
            RefusedEntryError: This entry can never be taken.
            Exception: Of a remote tracker: whatever its library raises; the entry is offered again later.
        """

    def secure(self) -> bool:
        """Make sure that what was written stays, though this process be killed; of remote trackers alone.

        Returns:
            False where entries stay only once `close` has returned: after a kill they are offered again.
        """
        return True

    def sizes(self) -> dict[str, int]:
        """Put everything on the disk and return the bytes of each file, by path in the run folder; remote: none."""
        return {}

    @abstractmethod
    def close(self, status: str) -> None:
        """End the track.

        Args:
            status: `finished`, `failed` or `stopped`; a stopped run may be taken up again.
        """


class Tracker(Component):
    """Where figures and pictures of a training go. Its verb is `open`."""

    model_config = ConfigDict(hide_input_in_errors=True)

    is_remote: ClassVar[bool] = True
    """Whether entries go to a service or library that may fail or be slow: then a thread delivers them, and a training
    never waits for it."""
    takes_phases: ClassVar[bool] = True
    """Whether it is told of the phases after training."""
    needs: ClassVar[str] = ""
    """Package that its extra brings; the extra has the tracker's name."""
    key_variable: ClassVar[str] = ""
    """Environment variable of its secret."""

    @model_validator(mode="before")
    @classmethod
    def _without_secrets(cls, value: object) -> object:
        """Refuse secrets with a sentence that says where they belong, and does not repeat them."""
        secret = [key for key in value if _SECRET_KEY.search(str(key))] if isinstance(value, Mapping) else []
        if secret:
            where = f"set {cls.key_variable} in the environment" if cls.key_variable else "it needs none"
            raise PydanticCustomError(
                "secret",
                "{message}",
                {"message": f"{secret[0]} must not stand in a configuration: {where}, and remove it here."},
            )
        return value

    def check(self) -> None:
        """Make sure, before any work, that the tracker can be used here.

        Raises:
            ConfigError: Its extra is not installed, or its key is not set.
        """
        if self.needs and importlib.util.find_spec(self.needs) is None:
            raise ConfigError(
                f'track: {self.name} needs the package {self.needs}: pip install "terrazzo[{self.name}]", or leave '
                f"{self.name} out."
            )

    def open(self, run: TrackedRun) -> Track:
        """Begin to track a run, or go on with it."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it is opened.")


def require_trackers(trackers: Sequence[Tracker]) -> None:
    """Check all trackers before any work.

    Raises:
        ConfigError: One cannot be used here.
    """
    for tracker in trackers:
        tracker.check()


def hyperparameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by dotted name, secrets taken out.

    >>> hyperparameters({"train": {"epochs": 3, "monitor": None}, "seed": 0, "data": {"classes": ["wood", "roof"]}})
    {'train.epochs': 3, 'train.monitor': None, 'seed': 0, 'data.classes': '["wood", "roof"]'}
    """
    return dict(_leaves(config, ""))


def _leaves(value: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping) and item:
            found += _leaves(item, f"{name}.")
        else:
            found.append((name, _plain(item)))
    return found


def _plain(value: object) -> object:
    import json

    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def quiet(**variables: str) -> None:
    """Set a library's documented environment variables, where the user has not set them."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)
