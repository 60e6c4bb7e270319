"""Jobs: large scenes, mapped one after the other in processes of their own; all that matters lies on the disk.

A job's folder holds its record, its scene and what `terrazzo predict` writes. A server that starts again finds them,
and has what was waiting or running done; the scene engine goes on inside the scene.
"""

import contextlib
import json
import logging
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.errors import StorageError
from terrazzo.serve.job_folder import folder_bytes, leave_record, map_summary, result_files, without_folder
from terrazzo.serve.job_process import STOPPED
from terrazzo.serve.job_record import ENDED, JobRecord, JobState, JobTask, load_record, save_record
from terrazzo.serve.problems import Problem

__all__ = ["Headway", "Jobs", "Kept"]

_LOG = logging.getLogger(__name__)

_MOST_STARTS_AFTER_CRASHES = 3
_SWEEP_SECONDS = 600.0
_GIB = 2**30


@dataclass(frozen=True)
class Kept:
    """How long and how much is kept.

    Attributes:
        days: Days after which an ended job is removed.
        gib: GiB of ended jobs above which the oldest are removed.
        waiting: Jobs that may wait.
    """

    days: float
    gib: float
    waiting: int


@dataclass(frozen=True)
class Headway:
    """How far a running job is.

    Attributes:
        done: Windows finished.
        total: Windows in all; None before that is known.
        unit: What is counted.
        message: What was said last.
        seconds: Since the process began with the scene.
        version: Grows with every change of the job.
    """

    done: int = 0
    total: int | None = None
    unit: str = "windows"
    message: str = ""
    seconds: float = 0.0
    version: int = 0


@dataclass
class _Job:
    """A job in memory."""

    folder: Path
    record: JobRecord
    headway: Headway = field(default_factory=Headway)
    process: "subprocess.Popen[bytes] | None" = None
    cancelled: bool = False


class Jobs:
    """All jobs of a server.

    Args:
        folder: Where they lie; held by one server.
        kept: How long and how much is kept.
        ended: Told the folder of a job that is finished.
        removed: Told the folder of a job before it is removed.
    """

    def __init__(
        self,
        folder: Path,
        kept: Kept,
        *,
        ended: Callable[[Path, str], None] = lambda _folder, _name: None,
        removed: Callable[[Path], None] = lambda _folder: None,
    ) -> None:
        self._folder = folder
        self._kept = kept
        self._ended = ended
        self._removed = removed
        self._changed = threading.Condition()
        self._jobs: dict[str, _Job] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="terrazzo-jobs", daemon=True)

    def start(self) -> None:
        """Find the jobs of earlier starts, and begin to work."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self._folder.iterdir()):
            try:
                record = load_record(folder)
            except StorageError as error:
                # A server that was killed while a scene came in leaves a folder without a record.
                _LOG.warning("%s is no job and is removed: %s", folder, error)
                shutil.rmtree(folder, ignore_errors=True)
                continue
            if record.state is JobState.RUNNING:
                record = record.now(JobState.WAITING)
            self._jobs[record.id] = _Job(folder, record)
            if record.state is JobState.FINISHED:
                self._ended(folder, record.scene)
        self._thread.start()

    def stop(self, *, seconds: float) -> None:
        """Have the running job stop after its strip, so that another start goes on with it.

        Args:
            seconds: After these its process is ended; what was finished stays.
        """
        with self._changed:
            self._stopping = True
            for job in self._jobs.values():
                _signal(job, signal.SIGTERM)
            self._changed.notify_all()
        self._thread.join(seconds)
        with self._changed:
            for job in self._jobs.values():
                _signal(job, signal.SIGKILL)
        self._thread.join(5)

    def new_folder(self) -> Path:
        """Make the folder of a job that is about to be asked for; its name is the job's.

        Raises:
            Problem: 503, as many jobs wait as may.
        """
        self.require_room()
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir(parents=True)
        return folder

    def require_room(self) -> None:
        """Refuse where as many jobs wait as may.

        Raises:
            Problem: 503.
        """
        with self._changed:
            waiting = sum(job.record.state is JobState.WAITING for job in self._jobs.values())
        if waiting >= self._kept.waiting:
            raise Problem(503, f"{waiting} jobs wait already, and no more are taken.", retry_after=60)

    def add(self, folder: Path, task: JobTask, *, model: str, scene: str) -> JobRecord:
        """Take a job whose scene lies in its folder.

        Args:
            folder: From `new_folder`.
            task: What is to be mapped.
            model: What the client calls the model.
            scene: What the client calls the scene.

        Raises:
            Problem: 503, as many jobs wait as may.
        """
        self.require_room()
        record = JobRecord(
            id=folder.name,
            state=JobState.WAITING,
            model=model,
            scene=scene,
            layers=task.settings.layers,
            created=time.time(),
        )
        save_record(folder, task)
        save_record(folder, record)
        with self._changed:
            self._jobs[record.id] = _Job(folder, record)
            self._changed.notify_all()
        return record

    def find(self, name: str) -> tuple[JobRecord, Headway, Path]:
        """Return a job, how far it is and its folder.

        Raises:
            Problem: 404, there is no such job.
        """
        with self._changed:
            job = self._found(name)
            return job.record, job.headway, job.folder

    def all(self) -> list[tuple[JobRecord, Headway]]:
        """Return all jobs, the newest first."""
        with self._changed:
            found = [(job.record, job.headway) for job in self._jobs.values()]
        return sorted(found, key=lambda one: one[0].created, reverse=True)

    def count(self, state: JobState) -> int:
        """Return how many jobs are in a state."""
        with self._changed:
            return sum(job.record.state is state for job in self._jobs.values())

    def cancel(self, name: str) -> bool:
        """Cancel a waiting or running job, or remove an ended one with its results; return whether it was removed.

        Raises:
            Problem: 404, there is no such job.
        """
        with self._changed:
            job = self._found(name)
            if job.record.state in ENDED:
                del self._jobs[name]
                removed = job.folder
            else:
                job.cancelled = True
                if job.record.state is JobState.WAITING:
                    self._turn(job, JobState.CANCELLED)
                _signal(job, signal.SIGTERM)
                return False
        self._remove(removed)
        return True

    def results(self, name: str) -> list[Path]:
        """Return the files of a finished job, by name.

        Raises:
            Problem: 404 there is no such job; 409 it is not finished.
        """
        record, _, folder = self.find(name)
        if record.state is not JobState.FINISHED:
            raise Problem(409, f"The job is {record.state}, and has no results.")
        return result_files(folder)

    def _found(self, name: str) -> _Job:
        if name not in self._jobs:
            raise Problem(404, f"There is no job {name}, or not any more.", advice="GET /v1/jobs lists them.")
        return self._jobs[name]

    def _work(self) -> None:
        """Do one job after the other."""
        swept = 0.0
        while True:
            if time.monotonic() - swept > _SWEEP_SECONDS:
                self._sweep()
                swept = time.monotonic()
            with self._changed:
                if self._stopping:
                    return
                waiting = [job for job in self._jobs.values() if job.record.state is JobState.WAITING]
                if not waiting:
                    self._changed.wait(_SWEEP_SECONDS)
                    continue
                job = min(waiting, key=lambda one: one.record.created)
                first = job.record.started or time.time()
                self._turn(job, JobState.RUNNING, started=first, starts=job.record.starts + 1)
            self._run(job)
            swept = 0.0

    def _run(self, job: _Job) -> None:
        """Have a process map the scene, and settle what became of the job."""
        error = ""
        log = job.folder / ".log.txt"
        try:
            with log.open("ab") as messages:
                process = subprocess.Popen(
                    [sys.executable, "-m", "terrazzo.serve.job_process", str(job.folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                )
        except OSError as failed:
            with self._changed:
                self._turn(job, JobState.FAILED, error=f"No process could be started: {failed.strerror}.")
            return
        with self._changed:
            job.process = process
            if job.cancelled or self._stopping:
                _signal(job, signal.SIGTERM)
        with process:
            for line in process.stdout or ():
                error = self._hear(job, line) or error
            status = process.wait()
        with self._changed:
            job.process = None
            self._settle(job, status, error)

    def _hear(self, job: _Job, line: bytes) -> str:
        """Take a line of progress; return the error that it tells of, if any."""
        try:
            said: Mapping[str, Any] = json.loads(line)
        except ValueError:
            return ""
        if "error" in said:
            return str(said["error"])
        with self._changed:
            before = job.headway
            job.headway = Headway(
                done=said["done"],
                total=said["total"],
                unit=said["unit"],
                message=said["message"] or before.message,
                seconds=said["seconds"],
                version=before.version + 1,
            )
        return ""

    def _settle(self, job: _Job, status: int, error: str) -> None:
        """Turn a job into what its process's end says."""
        if job.cancelled and status != 0:
            self._turn(job, JobState.CANCELLED)
            leave_record(job.folder)
        elif status == 0:
            self._turn(job, JobState.FINISHED, summary=map_summary(job.folder), error=None)
            self._ended(job.folder, job.record.scene)
        elif self._stopping or status == STOPPED:
            self._turn(job, JobState.WAITING)
        elif error:
            self._turn(job, JobState.FAILED, error=without_folder(job.folder, error))
        elif job.record.starts < _MOST_STARTS_AFTER_CRASHES:
            _LOG.warning("The process of job %s ended with status %d; it is begun again.", job.record.id, status)
            self._turn(job, JobState.WAITING)
        else:
            why = f"signal {-status}" if status < 0 else f"status {status}"
            self._turn(
                job,
                JobState.FAILED,
                error=f"The process that mapped it ended {job.record.starts} times, at last with {why}; signal 9 most "
                "often means that memory ran out.",
            )

    def _turn(self, job: _Job, state: JobState, **changes: object) -> None:
        """Change a job's record, on the disk first."""
        record = job.record.now(state, **changes)
        try:
            save_record(job.folder, record)
        except StorageError:
            # A full disk must not end the thread that works: memory holds the truth until the next start.
            _LOG.exception("The record of job %s cannot be written.", record.id)
        job.record = record
        version = job.headway.version + 1
        job.headway = Headway(version=version) if state is JobState.WAITING else _newer(job.headway, version)
        _LOG.info("Job %s (%s) is %s.", record.id, record.scene, state)
        self._changed.notify_all()

    def _sweep(self) -> None:
        """Remove jobs that ended long ago, and the oldest where they take too much room."""
        with self._changed:
            ended = [job for job in self._jobs.values() if job.record.state in ENDED]
        ended.sort(key=lambda job: job.record.ended or 0.0)
        sizes = {job.record.id: folder_bytes(job.folder) for job in ended}
        held = sum(sizes.values())
        for job in ended:
            old = time.time() - (job.record.ended or 0.0) > self._kept.days * 86_400
            if not old and held <= self._kept.gib * _GIB:
                continue
            held -= sizes[job.record.id]
            with self._changed:
                self._jobs.pop(job.record.id, None)
            _LOG.info("Job %s is removed: %s.", job.record.id, "its time is over" if old else "room is needed")
            self._remove(job.folder)

    def _remove(self, folder: Path) -> None:
        self._removed(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _newer(headway: Headway, version: int) -> Headway:
    return Headway(headway.done, headway.total, headway.unit, headway.message, headway.seconds, version)


def _signal(job: _Job, number: signal.Signals) -> None:
    if job.process is not None:
        with contextlib.suppress(ProcessLookupError):
            job.process.send_signal(number)
