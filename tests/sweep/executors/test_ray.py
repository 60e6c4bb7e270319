"""Trials as tasks of a Ray cluster: what one needs, what its task does, and a real cluster of this machine."""

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.sweep.executors.executor import Ended, Executor
from terrazzo.sweep.executors.ray import RayExecutor, connected, needs_of, run_task
from terrazzo.sweep.trial import Trial

MakeTrial = Callable[..., Trial]
Runs = Callable[[str], None]

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed")
CPU, AUTO = MachineSettings(accelerator="cpu"), MachineSettings()


@pytest.mark.parametrize(
    ("machines", "machine", "cpus", "found"),
    [
        ([{"CPU": 8.0}], CPU, None, (8, 0, 1)),
        ([{"CPU": 8.0}, {"CPU": 16.0}], CPU, None, (8, 0, 3)),
        ([{"CPU": 8.0}, {"CPU": 16.0}], CPU, 4, (4, 0, 6)),
        ([{"CPU": 16.0, "GPU": 4.0}], AUTO, None, (4, 1, 4)),
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 64.0}], AUTO, 8, (8, 1, 2)),
        ([{"CPU": 16.0, "GPU": 4.0}], MachineSettings(devices=2), None, (8, 2, 2)),
        ([{"CPU": 16.0, "GPU": 4.0}], CPU, 2, (2, 0, 8)),
        ([{"CPU": 2.0, "GPU": 4.0}], AUTO, None, (1, 1, 2)),
        ([{"memory": 5.0}, {"CPU": 2.0}], AUTO, None, (2, 0, 1)),
    ],
)
def test_what_a_trial_needs(
    machines: Sequence[Mapping[str, float]], machine: MachineSettings, cpus: int | None, found: tuple[int, int, int]
) -> None:
    assert needs_of(machines, machine, cpus) == found


@pytest.mark.parametrize(
    ("machines", "machine", "cpus", "said"),
    [
        ([{"CPU": 8.0}], MachineSettings(accelerator="cuda"), None, "has 1 GPUs"),
        ([{"CPU": 8.0, "GPU": 1.0}], MachineSettings(devices=2), None, "has 2 GPUs"),
        ([{"CPU": 8.0}], CPU, 16, "has 16 cores for a trial"),
        ([{"memory": 5.0}], CPU, None, "no machine"),
    ],
)
def test_what_no_machine_has(
    machines: Sequence[Mapping[str, float]], machine: MachineSettings, cpus: int | None, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        needs_of(machines, machine, cpus)


def test_a_task_runs_a_trial_where_the_sweep_was_started(make_trial: MakeTrial, runs: Runs, tmp_path: Path) -> None:
    runs("(folder / 'seen').write_text(os.getcwd()); sys.exit(len(options) - 1)")
    here = Path.cwd()
    trial = make_trial()
    try:
        assert run_task(str(trial.folder.relative_to(tmp_path)), str(tmp_path)) == ""
        assert (trial.folder / "seen").read_text() == str(tmp_path.resolve())
        assert "does not see" in run_task("absent", str(tmp_path))
        assert "share the storage" in run_task("absent", str(tmp_path / "elsewhere"))
    finally:
        os.chdir(here)


def test_a_task_tells_a_bad_end(make_trial: MakeTrial, runs: Runs) -> None:
    runs("sys.exit(3)")
    assert "ended with status 3" in run_task(str(make_trial().folder), str(Path.cwd()))


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'terrazzo\[ray\]'"):
        connected()


@pytest.fixture
def cluster() -> Iterator[None]:
    """A cluster of two cores, with little memory of its own."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    heard = signal.getsignal(signal.SIGTERM)
    ray.init(
        num_cpus=2,
        num_gpus=0,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, heard)


@needs_ray
@pytest.mark.slow
def test_a_cluster_runs_trials_and_stops_them(
    cluster: None, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def task(folder: str, home: str) -> str:
        """Stand in for a trial's process: the first ends, the second fails, the third waits, the fourth is lost."""
        import os
        import pathlib
        import time

        number = folder.rpartition("=")[2]
        place = pathlib.Path(folder)
        (place / "began").write_text(home)
        if number == "3":
            os._exit(1)
        try:
            while number == "2":
                time.sleep(0.05)
        except KeyboardInterrupt:
            (place / "left").touch()
        return "it failed" if number == "1" else ""

    monkeypatch.setattr("terrazzo.sweep.executors.ray.run_task", task)
    executor = RayExecutor(CPU, cpus=1)
    assert isinstance(executor, Executor)
    assert executor.threads == 1
    assert executor.described == "2 at a time in a Ray cluster, 1 core each"
    trials = [make_trial(number) for number in range(4)]
    waiting, ended, most = list(trials), dict[int, Ended](), 0
    deadline = time.monotonic() + 240
    while len(ended) < 3 or waiting:
        assert time.monotonic() < deadline
        while waiting and executor.room():
            executor.start(waiting.pop(0))
        ended |= {one.trial.number: one for one in executor.ended()}
        most = max(most, 4 - len(waiting) - len(ended))
        time.sleep(0.02)
    assert most == 2
    assert (ended[0].fault, ended[1].fault) == ("", "it failed")
    assert "its task in the cluster was lost" in ended[3].fault
    assert (trials[0].folder / "began").read_text() == str(Path.cwd())
    executor.close()
    assert (trials[2].folder / "left").exists()
    assert executor.ended() == []
