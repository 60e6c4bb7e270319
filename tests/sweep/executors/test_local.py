"""Trials as processes of this machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from terrazzo.sweep.executors.executor import Ended, Executor
from terrazzo.sweep.executors.local import LocalExecutor
from terrazzo.sweep.executors.process import OUTPUT_FILE
from terrazzo.sweep.executors.slots import Slot
from terrazzo.sweep.trial import Trial

MakeTrial = Callable[..., Trial]
Runs = Callable[[str], None]


def slots(count: int, *gpus: str) -> list[Slot]:
    core = min(os.sched_getaffinity(0))
    return [Slot(gpus[number : number + 1], (core,)) for number in range(count)]


def wait_for(found: Callable[[], object], seconds: float = 20.0) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError("nothing happened")


def is_alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_trials_run_side_by_side_each_with_its_share(make_trial: MakeTrial, runs: Runs) -> None:
    runs(
        "(folder / 'seen').write_text(f\"{os.environ.get('CUDA_VISIBLE_DEVICES')} {len(os.sched_getaffinity(0))} "
        "{sys.stdin.read()!r}\"); print('größe'); time.sleep(0.3)"
    )
    executor = LocalExecutor(slots(2, "5", "GPU-7"))
    assert isinstance(executor, Executor)
    assert executor.threads == 1
    assert executor.described == "2 at a time on 2 GPUs, 1 thread each"
    trials = [make_trial(0), make_trial(1)]
    ended: list[Ended] = []
    for trial in trials:
        assert executor.room()
        executor.start(trial)
    assert not executor.room()
    wait_for(lambda: ended.extend(executor.ended()) or len(ended) == 2)
    assert executor.room()
    assert {one.trial.number: (one.fault, one.stopped) for one in ended} == {0: ("", False), 1: ("", False)}
    assert [(trial.folder / "seen").read_text() for trial in trials] == ["5 1 ''", "GPU-7 1 ''"]
    assert (trials[0].folder / OUTPUT_FILE).read_text() == "größe\n"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(3)", "its process ended with status 3; see"),
        ("os.kill(os.getpid(), 9)", "was ended by SIGKILL, as the system does where memory runs out; see"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV; see"),
    ],
)
def test_a_bad_end_is_said(make_trial: MakeTrial, runs: Runs, code: str, said: str) -> None:
    runs(code)
    executor = LocalExecutor(slots(1))
    executor.start(make_trial())
    ended: list[Ended] = []
    wait_for(lambda: ended.extend(executor.ended()) or ended)
    assert said in ended[0].fault
    assert OUTPUT_FILE in ended[0].fault


WAITING = """
def leave(number, frame):
    (folder / 'left').touch()
    sys.exit(143)
signal.signal(signal.SIGTERM, leave)
(folder / 'pid').write_text(str(os.getpid()))
(folder / 'up').touch()
while True:
    time.sleep(0.01)
"""


def test_a_trial_is_asked_to_stop_and_the_others_go_on(make_trial: MakeTrial, runs: Runs) -> None:
    runs(WAITING)
    executor = LocalExecutor(slots(2))
    trials = [make_trial(0), make_trial(1)]
    try:
        for trial in trials:
            executor.start(trial)
        for trial in trials:
            wait_for((trial.folder / "up").exists)
        executor.stop(trials[1])
        ended: list[Ended] = []
        wait_for(lambda: ended.extend(executor.ended()) or ended)
        assert [(one.trial.number, one.stopped) for one in ended] == [(1, True)]
        assert (trials[1].folder / "left").exists()
        assert not (trials[0].folder / "left").exists()
    finally:
        executor.close()
    assert (trials[0].folder / "left").exists()
    assert not is_alive(int((trials[0].folder / "pid").read_text()))


def test_whoever_does_not_stop_is_killed(make_trial: MakeTrial, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.sweep.executors.process._PATIENCE_SECONDS", 0.2)
    runs(WAITING.replace("sys.exit(143)", "pass"))
    executor = LocalExecutor(slots(1))
    trial = make_trial()
    executor.start(trial)
    wait_for((trial.folder / "up").exists)
    executor.close()
    assert (trial.folder / "left").exists()
    assert not is_alive(int((trial.folder / "pid").read_text()))


STARTER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import conftest
from terrazzo.sweep.executors import process
from terrazzo.sweep.executors.local import LocalExecutor
from terrazzo.sweep.executors.slots import Slot
from terrazzo.sweep.trial import Trial
process.trial_command = lambda folder, *options: [
    sys.executable, "-P", "-c", conftest.BEGINNING + sys.argv[3], str(folder), *options
]
executor = LocalExecutor([Slot((), (0,))])
executor.start(Trial.load(Path(sys.argv[1])))
print("started", flush=True)
time.sleep(60)
"""

LOADING = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
other = os.fork()
(folder / f'pid {os.getpid()}').touch()
time.sleep(60)
"""


def test_a_killed_sweep_leaves_no_process(make_trial: MakeTrial) -> None:
    """Neither a trial nor what it started outlives a sweep that was killed, even if they hear no signal."""
    trial = make_trial()
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(trial.folder), str(Path(__file__).parent), LOADING],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: len(list(trial.folder.glob("pid *"))) == 2)
        processes = [int(path.name.removeprefix("pid ")) for path in trial.folder.glob("pid *")]
        assert all(map(is_alive, processes))
    finally:
        starter.kill()
        starter.communicate()
    wait_for(lambda: not any(map(is_alive, processes)), seconds=5.0)


def test_ctrl_c_on_the_terminal_is_for_the_sweep(make_trial: MakeTrial, runs: Runs) -> None:
    runs("signal.raise_signal(signal.SIGINT); print(os.getpgrp() == os.getpid())")
    executor = LocalExecutor(slots(1))
    trial = make_trial()
    executor.start(trial)
    ended: list[Ended] = []
    wait_for(lambda: ended.extend(executor.ended()) or ended)
    assert ended[0].fault == ""
    assert (trial.folder / OUTPUT_FILE).read_text() == "True\n"


def test_one_slot_leaves_threads_to_the_configuration() -> None:
    executor = LocalExecutor([Slot((), tuple(sorted(os.sched_getaffinity(0))))])
    assert executor.threads is None
    assert executor.described == "1 at a time on the processor"
