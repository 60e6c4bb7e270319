"""The verb `sweep` from end to end: trials as real processes, a kill, and the bits of trials that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import rasterio

from terrazzo.errors import ConfigError, LockedError, StoppedError, TerrazzoError
from terrazzo.phases.sweep import SweepPlan, collect_sweep, plan_sweep, sweep
from terrazzo.phases.sweep_trial import run_trial
from terrazzo.progress import Event
from terrazzo.record import load_plugin
from terrazzo.storage import locked, read_json
from terrazzo.sweep.executors.executor import Ended
from terrazzo.sweep.journal import claim, load_outcome, lock_folder
from terrazzo.sweep.settings import SlurmSettings, SweepSettings
from terrazzo.sweep.trial import Trial, TrialState

PLUGIN = Path(__file__).parents[2] / "benchmarks" / "tiny_training.py"
CONFIG = """
name: tiny
plugins: ["{plugin}"]
paths: {{data: "my dàta", prepared: prepared, runs: runs}}
data:
  source: {{name: geotiff, folder: "${{paths.data}}", images: "images/{{split}}_*.tif", labels: "gt/{{split}}_*.tif"}}
  classes: {{items: [wood, roof, water], ignore_values: [255]}}
  patch: {{size: 16}}
model: tiny
train: {{epochs: 2, batch_size: 4, checkpoint_every_steps: 1, worst_samples: 1}}
evaluate: {{splits: [val], boundaries: false, reliability: false, worst_samples: 0}}
machine: {{accelerator: cpu, precision: float32, threads: 1, workers: 0}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet_torch: None, own_plugins: None) -> Path:
    """A folder with three scenes and `terrazzo.yaml`, which is the working directory."""
    load_plugin(PLUGIN)
    module = next(module for name, module in sys.modules.items() if name.startswith("terrazzo_plugin_tiny_training"))
    write(tmp_path, module.write_scene)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERRAZZO_CONFIG", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def write(folder: Path, write_scene: Callable[..., tuple[Path, Path]]) -> None:
    for number, name in enumerate(("train_0", "train_1", "val_0")):
        image, label = write_scene(folder / "raw", name, seed=number, height=48, width=48)
        for path, place in ((image, "images"), (label, "gt")):
            goal = folder / "my dàta" / place / f"{name}.tif"
            goal.parent.mkdir(parents=True, exist_ok=True)
            path.rename(goal)
            with rasterio.open(goal, "r+") as file:
                file.transform = rasterio.Affine(1, 0, 1000 * number, 0, -1, 200)
    (folder / "terrazzo.yaml").write_text(CONFIG.format(plugin=PLUGIN), encoding="utf-8")


def plan(*arguments: str, **settings: object) -> SweepPlan:
    return plan_sweep(None, arguments, SweepSettings.model_validate(settings))


class HereExecutor:
    """Runs trials in this process, one after the other."""

    threads: int | None = None
    described = "here"

    def __init__(self) -> None:
        self.started: list[str] = []
        self._ended: list[Ended] = []

    def room(self) -> bool:
        return not self._ended

    def start(self, trial: Trial) -> None:
        self.started.append(trial.name)
        try:
            run_trial(trial.folder)
            self._ended.append(Ended(trial))
        except TerrazzoError as error:
            self._ended.append(Ended(trial, str(error)))

    def ended(self) -> list[Ended]:
        found, self._ended = self._ended, []
        return found

    def stop(self, trial: Trial) -> None:
        raise AssertionError(trial)

    def close(self) -> None:
        pass


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> HereExecutor:
    executor = HereExecutor()
    monkeypatch.setattr("terrazzo.phases.sweep._executor", lambda plan: executor)
    monkeypatch.setattr("terrazzo.sweep.running._GLANCE_SECONDS", 0.001)
    return executor


def test_a_sweep_runs_each_trial_once_and_grows(project: Path, here: HereExecutor) -> None:
    first = sweep(plan("seed=1,2"))
    assert dict(first.states) == {"waiting": 0, "running": 0, "finished": 2, "failed": 0, "pruned": 0}
    folder = project / "runs" / "tiny-sweep"
    for name in ("sweep.yaml", "sweep.json", "report.html", "results.csv"):
        assert (folder / name).is_file(), name
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/log.txt")}
    again = sweep(plan("seed=1,2,3"))
    assert again.states["finished"] == 3
    assert here.started == ["seed=1", "seed=2", "seed=3"]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    # All trials learned from one folder of prepared data, which one of them made.
    assert [path.name for path in project.iterdir() if path.name.startswith("prepared")] == ["prepared"]
    with pytest.raises(ConfigError, match=r"seed=1: optimizer.lr: 0.001 there, 0.5 given") as caught:
        plan("seed=1,2", "optimizer.lr=0.5")
    assert "another --name" in str(caught.value)
    with pytest.raises(ConfigError, match=r"over seed, and this one varies train\.epochs"):
        plan("train.epochs=1,2")
    assert collect_sweep(plan("seed=1,2,3,4")).states["waiting"] == 1


def test_a_trial_that_fails_is_tried_again(project: Path, here: HereExecutor) -> None:
    arguments = ["data.source.folder='my dàta',absent,${paths.data}", "train.epochs=1"]
    asked = plan(*arguments, name="größe")
    failed = sweep(asked)
    assert (failed.states["finished"], failed.states["failed"]) == (2, 1)
    broken = load_outcome(asked.trials[1])
    assert broken is not None
    assert (broken.state, broken.value) == (TrialState.failed, None)
    assert "absent" in broken.reason
    sweep(plan(*arguments, name="größe"))
    assert here.started == [trial.name for trial in (*asked.trials, asked.trials[1])]


def test_nobody_works_on_the_same_sweep(project: Path, here: HereExecutor) -> None:
    asked = plan("seed=1,2")
    with locked(asked.folder), pytest.raises(LockedError, match="in use by process"):
        sweep(asked)
    assert here.started == []


def test_a_trial_knows_its_place(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = plan("seed=1,2")
    trial = asked.trials[0]
    claim(trial, asked.placed(trial))
    monkeypatch.setattr("terrazzo.phases.sweep_trial._LOCK_PATIENCE_SECONDS", 0.0)
    with locked(lock_folder(trial.folder)), pytest.raises(LockedError):
        run_trial(trial.folder)
    monkeypatch.chdir(project / "runs")
    with pytest.raises(ConfigError, match="start it from the folder in which the sweep was started"):
        run_trial(project / trial.folder)
    assert load_outcome(Trial.load(project / trial.folder)) is None


def test_a_dry_run_says_what_would_be_done(project: Path) -> None:
    told = plan("data.patch.size=16,24", "seed=1,2").as_dict()
    assert [row["trial"] for row in told["trials"]][:2] == ["data.patch.size=16,seed=1", "data.patch.size=16,seed=2"]
    assert len({row["prepared"] for row in told["trials"]}) == 2
    assert {row["state"] for row in told["trials"]} == {"waiting"}
    assert not (project / "runs").exists()


def test_an_array_is_written_and_collected(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    events: list[Event] = []
    asked = plan("seed=1,2", executor="slurm", slurm=SlurmSettings(cpus=2))
    summary = sweep(asked, listener=events.append)
    assert summary.states["finished"] == 0
    script = project / "runs" / "tiny-sweep" / "slurm" / "array-1.sh"
    assert any(f"submit it with `sbatch {script}`" in event.message for event in events)
    listed = script.with_suffix(".txt").read_text().splitlines()
    assert listed == [str(trial.folder.absolute()) for trial in asked.trials]
    for line in listed:
        run_trial(Path(line))
    assert sweep(asked).states["finished"] == 2
    assert not script.with_name("array-2.sh").exists()
    with pytest.raises(ConfigError, match="no sbatch on this machine"):
        sweep(plan("seed=1,2,3", executor="slurm", slurm=SlurmSettings(submit=True)))


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_bits(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep is killed in the middle of the second of two trials, which run as real processes."""
    undisturbed = plan("seed=1,2", "train.epochs=12", name="undisturbed")
    for trial in undisturbed.trials:
        # The same name, so that everything is the same.
        run_trial(claim_in(undisturbed, trial))
    command = [sys.executable, "-m", "terrazzo.cli", "sweep", "seed=1,2", "train.epochs=12"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    second = project / "runs" / "tiny-sweep" / "trials" / "seed=2"
    try:
        wait_for(lambda: (second / "checkpoints" / "last.safetensors").is_file() or killed.poll() is not None)
        assert killed.poll() is None
        running = [int(pid) for pid in children(killed.pid)]
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in running))
    assert running
    first = second.with_name("seed=1")
    stamp = (first / "log.txt").stat().st_mtime_ns
    assert not (second / "outcome.json").exists()
    summary = sweep(plan("seed=1,2", "train.epochs=12"))
    assert summary.states["finished"] == 2
    assert (first / "log.txt").stat().st_mtime_ns == stamp
    assert len(read_json(second / "metadata.json")["resumed"]) == 1
    for name in ("seed=1", "seed=2"):
        for file in ("bundle.safetensors", "evaluate/val/confusion.csv"):
            there = undisturbed.folder / "trials" / name / file
            assert (second.with_name(name) / file).read_bytes() == there.read_bytes(), (name, file)


def claim_in(asked: SweepPlan, trial: Trial) -> Path:
    claim(trial, asked.placed(trial))
    return trial.folder


def children(pid: int) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += (task / "children").read_text().split()
    return found


def wait_for(come: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not come():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_stop_is_heard(project: Path, here: HereExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C during the first trial: the second is not begun, and the signal is the shell's again."""
    begin = here.start

    def interrupted(trial: Trial) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        begin(trial)

    monkeypatch.setattr(here, "start", interrupted)
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(StoppedError, match="the same command goes on"):
            sweep(plan("seed=1,2", "train.epochs=1"))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, heard)
    assert here.started == ["seed=1"]
