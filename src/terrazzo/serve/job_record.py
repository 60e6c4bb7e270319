"""A job as it is kept on the disk: what was asked, how far it came, and what is needed to go on."""

import time
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from terrazzo.errors import StorageError
from terrazzo.machine import MachineSettings
from terrazzo.record import Record
from terrazzo.scene.settings import PredictSettings
from terrazzo.storage import read_json, write_json

__all__ = ["ENDED", "JobRecord", "JobState", "JobTask", "load_record", "load_task", "map_of", "save_record", "scene_of"]

_RECORD, _TASK = "job.json", "task.json"

_AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = frozenset({JobState.FINISHED, JobState.FAILED, JobState.CANCELLED})


class JobRecord(Record):
    """What a client is told of a job."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    """Its name."""
    state: JobState
    """Where it is."""
    model: str
    """Which model maps the scene."""
    scene: str
    """What the client calls the scene: the uploaded file's name, or the path below the server's root."""
    layers: tuple[str, ...] = ()
    """What else is written beside the map."""
    created: float
    """When it was asked for, in seconds since 1970-01-01 UTC."""
    started: float | None = None
    """When it was begun first."""
    ended: float | None = None
    """When it was finished, failed or was cancelled."""
    starts: int = 0
    """How often it was begun; more than once where the server or the job's process was stopped."""
    error: str | None = None
    """Why it failed."""
    summary: Mapping[str, Any] | None = None
    """What the map came to, once it is finished."""

    def now(self, state: JobState, **changes: object) -> "JobRecord":
        """Return the record in another state."""
        times: dict[str, object] = {"ended": time.time()} if state in ENDED else {}
        return self.model_copy(update={"state": state, **times, **changes})


class JobTask(Record):
    """What the process that maps the scene is told."""

    model: _AbsolutePath
    """The bundle or run folder."""
    backbone: _AbsolutePath | None = None
    """Frozen weights that it leans on."""
    fingerprint: str
    """Fingerprint of the bundle that was asked for; another is refused."""
    plugins: tuple[_AbsolutePath, ...] = ()
    """Python files that register what the bundle names."""
    scene: _AbsolutePath
    """What is mapped."""
    out: _AbsolutePath
    """The map."""
    settings: PredictSettings
    """How it is mapped."""
    machine: MachineSettings
    """What is computed on."""


def save_record(folder: Path, record: JobRecord | JobTask) -> None:
    """Write a record durably into its job's folder."""
    write_json(folder / (_RECORD if isinstance(record, JobRecord) else _TASK), record.model_dump(mode="json"))


def load_record(folder: Path) -> JobRecord:
    """Read a job's record.

    Raises:
        StorageError: It is missing or damaged.
    """
    try:
        return JobRecord.model_validate(read_json(folder / _RECORD))
    except ValidationError as error:
        raise StorageError(f"{folder / _RECORD} is no record of a job: {error}.") from error


def load_task(folder: Path) -> JobTask:
    """Read what a job's process is told.

    Raises:
        StorageError: It is missing or damaged.
    """
    try:
        return JobTask.model_validate(read_json(folder / _TASK))
    except ValidationError as error:
        raise StorageError(f"{folder / _TASK} says not what is to be mapped: {error}.") from error


def scene_of(folder: Path, suffix: str) -> Path:
    """Return where a job's scene lies."""
    return folder / f"scene{suffix}"


def map_of(folder: Path) -> Path:
    """Return where a job's map is written."""
    return folder / "map.tif"
