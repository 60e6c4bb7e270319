"""Run by test_killed_runs.py: trains in forks of this process, some of which kill themselves.

Takes the folder to work in and a JSON list of starts, each `[run folder, update]`; the training dies right after that
update's entries were told, and before its next checkpoint, or goes through where it is 0. The remote tracker writes to
a file beside the run folders, as a service would that keeps what it was sent.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import tiny_training
from terrazzo.data.prepared import load_prepared
from terrazzo.tracking import Csv, Entry, JsonLines, TensorBoard, Track, TrackedRun, Tracker
from terrazzo.training import loop
from terrazzo.training.settings import TrainSettings


class Remote(Tracker):
    """Keeps what it is told, at once."""

    name: Literal["remote"] = "remote"
    goal: ClassVar[Path]

    def open(self, run: TrackedRun) -> Track:
        return _Track(self.goal, run.identity)


class _Track(Track):
    def __init__(self, goal: Path, identity: str) -> None:
        self._goal, self._identity = goal, identity

    def write(self, entry: Entry) -> None:
        kept = {"run": self._identity, "number": entry.number, "entry": entry.identity, "values": dict(entry.values)}
        with self._goal.open("a") as file:
            file.write(json.dumps({**kept, "pictures": len(entry.pictures)}) + "\n")

    def close(self, status: str) -> None:
        del status


def deadly(update: Callable[..., float], last: int) -> Callable[..., float]:
    """Kill this process at the update after the given one, when everything told so far has been delivered."""

    def updated(session: Any, *rest: Any) -> float:
        if session.state.step == last:
            (courier,) = session.tracking._couriers
            while courier.waiting:
                pass
            os.kill(os.getpid(), signal.SIGKILL)
        return update(session, *rest)

    return updated


def train(data: Path, folder: Path, last: int) -> None:
    """Train, or go on, until the last update."""
    Remote.goal = folder.with_suffix(".service")
    if last:
        loop.update = deadly(loop.update, last)
    settings = TrainSettings(epochs=3, batch_size=4, log_every=2, worst_samples=1, checkpoint_every_steps=3)
    trackers = (TensorBoard(), Csv(), JsonLines(), Remote())
    loop.fit(tiny_training.tiny_job(folder, load_prepared(data)[0], settings=settings, trackers=trackers))


def forked(data: Path, folder: Path, last: int) -> int:
    """Train in a fork and return how it ended."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            train(data, folder, last)
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    work = Path(sys.argv[1])
    tiny_training.tiny_prepared(work / "data")
    ends = [forked(work / "data", work / name, last) for name, last in json.loads(sys.argv[2])]
    sys.stdout.write(json.dumps(ends))
