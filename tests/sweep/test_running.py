"""The story of a sweep, with an executor that runs nothing."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from terrazzo.config import RunConfig
from terrazzo.errors import ConfigError, StoppedError
from terrazzo.progress import Event
from terrazzo.sweep.executors.executor import Ended
from terrazzo.sweep.journal import load_outcome, save_outcome
from terrazzo.sweep.running import Sweeping
from terrazzo.sweep.trial import Finished, Trial, TrialState, trial_of
from terrazzo.training.settings import Monitor, TrainSettings

LOG = "epoch,lr,train_loss,val_miou,seconds\n"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.sweep.running._GLANCE_SECONDS", 0.001)


@dataclass
class Machine:
    """Ends each trial as it is told to, after some glances."""

    ends: dict[int, str] = field(default_factory=dict)
    slots: int = 1
    started: list[int] = field(default_factory=list)
    most: int = 0
    closed: int = 0
    threads: int | None = None
    described: str = "here"
    glance: Callable[[Trial, int], None] = lambda trial, glances: None
    _running: dict[int, Trial] = field(default_factory=dict)
    _glances: dict[int, int] = field(default_factory=dict)
    _stopped: set[int] = field(default_factory=set)

    def room(self) -> bool:
        return len(self._running) < self.slots

    def start(self, trial: Trial) -> None:
        self.started.append(trial.number)
        self._running[trial.number] = trial
        self._glances[trial.number] = 0
        self.most = max(self.most, len(self._running))

    def ended(self) -> Sequence[Ended]:
        found = []
        for number, trial in list(self._running.items()):
            self._glances[number] += 1
            self.glance(trial, self._glances[number])
            if self._glances[number] < 4 and number not in self._stopped:
                continue
            end = self.ends.get(number, "finished")
            del self._running[number]
            if end == "finished" and number not in self._stopped:
                save_outcome(Finished(trial=trial, state=TrialState.finished, value=0.5 + number / 100))
                found.append(Ended(trial))
            else:
                found.append(Ended(trial, "" if number in self._stopped else end, number in self._stopped))
        return found

    def stop(self, trial: Trial) -> None:
        self._stopped.add(trial.number)

    def close(self) -> None:
        self.closed += 1


@dataclass
class Choice:
    """Asks for so many trials, and notes what it hears."""

    folder: Path
    count: int = 3
    told: list[tuple[int, str, float | None]] = field(default_factory=list)
    seen: list[tuple[int, int, float]] = field(default_factory=list)
    asked: int = 0
    waits_for: int | None = None
    stops: Callable[[int, int, float], bool] = lambda number, epoch, value: False

    def ask(self, done: Sequence[Finished]) -> Trial | None:
        assert [one.trial.number for one in done] == sorted(number for number, _, _ in self.told)
        if self.asked >= self.count or (self.waits_for == self.asked and len(done) < self.asked):
            return None
        self.asked += 1
        return trial_of(self.asked - 1, {"seed": self.asked - 1}, self.folder)

    def tell(self, trial: Trial, state: TrialState, value: float | None) -> None:
        self.told.append((trial.number, str(state), value))

    def prune(self, trial: Trial, epoch: int, value: float) -> bool:
        self.seen.append((trial.number, epoch, value))
        return self.stops(trial.number, epoch, value)


def begin(trial: Trial) -> RunConfig:
    trial.folder.mkdir(parents=True, exist_ok=True)
    train = TrainSettings(epochs=5, monitor=Monitor(figure="val_miou"))
    config: Any = RunConfig.model_construct(train=train)
    return config


def sweeping(search: Choice, machine: Machine, **changes: Any) -> Sweeping:
    settings = {"begin": begin, "stop": threading.Event(), "total": search.count} | changes
    return Sweeping(search, machine, settings.pop("begin"), **settings)


def test_every_trial_runs_once_side_by_side(tmp_path: Path) -> None:
    search, machine = Choice(tmp_path, 5), Machine(slots=2)
    sweep = sweeping(search, machine)
    sweep.run()
    assert machine.started == [0, 1, 2, 3, 4]
    assert machine.most == 2
    assert machine.closed == 1
    assert [one.trial.number for one in sweep.done] == [0, 1, 2, 3, 4]
    assert sorted(search.told) == [(number, "finished", 0.5 + number / 100) for number in range(5)]
    assert [trial.number for trial in sweep.trials] == [0, 1, 2, 3, 4]


def test_what_is_over_is_told_and_not_run_again(tmp_path: Path) -> None:
    for number, state in ((0, "finished"), (1, "pruned"), (2, "failed")):
        trial = trial_of(number, {"seed": number}, tmp_path)
        begin(trial)
        save_outcome(Finished(trial=trial, state=TrialState(state), value=0.25))
    search, machine = Choice(tmp_path), Machine()
    sweep = sweeping(search, machine)
    sweep.run()
    assert machine.started == [2]
    assert search.told == [(0, "finished", 0.25), (1, "pruned", 0.25), (2, "finished", 0.52)]


def test_a_failure_ends_no_other(tmp_path: Path) -> None:
    search, machine = Choice(tmp_path), Machine(ends={1: "its process ended with status 3"})
    events: list[Event] = []
    sweep = sweeping(search, machine, listener=events.append)
    sweep.run()
    assert [str(one.state) for one in sweep.done] == ["finished", "failed", "finished"]
    assert sweep.done[1].reason == "its process ended with status 3"
    assert load_outcome(sweep.trials[1]) == sweep.done[1]
    notes = [event.message for event in events if event.kind == "note"]
    assert "seed=1: failed, its process ended with status 3" in notes
    assert "seed=0: finished, best value 0.5000" in notes


def test_settings_that_do_not_go_together_are_a_failure(tmp_path: Path) -> None:
    def refuse(trial: Trial) -> RunConfig:
        if trial.number == 1:
            raise ConfigError("width is 3")
        return begin(trial)

    search, machine = Choice(tmp_path), Machine()
    sweep = sweeping(search, machine, begin=refuse)
    sweep.run()
    assert machine.started == [0, 2]
    assert [(str(one.state), one.reason) for one in sweep.done][1] == ("failed", "width is 3")
    assert load_outcome(sweep.trials[1]) is None


def write_epoch(trial: Trial, epoch: int) -> None:
    path = trial.folder / "log.csv"
    rows = path.read_text().removeprefix(LOG) if path.is_file() else ""
    new = path.with_suffix(".new")
    value = "" if epoch == 2 else f"{epoch / 10 + trial.number / 100}"
    new.write_text(f"{LOG}{rows}{epoch},0.1,0.5,{value},1\n")
    new.replace(path)


def test_epochs_are_told_as_they_come_and_may_stop_a_trial(tmp_path: Path) -> None:
    search = Choice(tmp_path, 2, stops=lambda number, epoch, value: number == 1 and epoch == 1)
    machine = Machine(glance=write_epoch)
    events: list[Event] = []
    sweep = sweeping(search, machine, listener=events.append)
    sweep.run()
    # Epoch 2 was not measured; the last is read after the process has ended.
    assert search.seen[:3] == [(0, 1, 0.1), (0, 3, 0.3), (0, 4, 0.4)]
    assert search.seen[3] == (1, 1, 0.11)
    assert [str(one.state) for one in sweep.done] == ["finished", "pruned"]
    assert sweep.done[1].reason == "stopped after epoch 1, whose val_miou was 0.11"
    assert sweep.done[1].value == 0.11
    assert load_outcome(sweep.trials[1]) == sweep.done[1]
    advances = [(event.job, event.done, dict(event.figures)) for event in events if event.kind == "advance"]
    assert ("seed=0", 3, {"val_miou": 0.3}) in advances
    assert [event.total for event in events if event.kind == "start" and event.job == "seed=0"] == [5]


def test_a_search_may_wait_for_results(tmp_path: Path) -> None:
    search, machine = Choice(tmp_path, 4, waits_for=2), Machine(slots=4)
    sweeping(search, machine).run()
    assert machine.started == [0, 1, 2, 3]
    assert machine.most == 2


def test_a_stop_ends_it_and_leaves_the_rest_for_later(tmp_path: Path) -> None:
    stop = threading.Event()
    machine = Machine(glance=lambda trial, glances: stop.set() if trial.number == 1 else None)
    search = Choice(tmp_path)
    sweep = sweeping(search, machine, stop=stop)
    with pytest.raises(StoppedError, match="stopped after 1 trials; the same command goes on"):
        sweep.run()
    assert machine.closed == 1
    assert [load_outcome(trial) is not None for trial in sweep.trials] == [True, False]


class Broken(Machine):
    def start(self, trial: Trial) -> None:
        raise OSError("no process")


def test_what_an_executor_raises_closes_it(tmp_path: Path) -> None:
    machine = Broken()
    with pytest.raises(OSError, match="no process"):
        sweeping(Choice(tmp_path), machine).run()
    assert machine.closed == 1
