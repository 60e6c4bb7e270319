"""Trials as tasks of a Ray cluster, whose machines share the storage."""

import importlib
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.sweep.executors.executor import Ended
from terrazzo.sweep.executors.process import TrialProcess
from terrazzo.sweep.trial import TRIAL_FILE, Trial

__all__ = ["RayExecutor", "connected", "needs_of", "run_task"]

_GLANCE_SECONDS = 0.2
_STOP_SECONDS = 60.0


def needs_of(
    machines: Sequence[Mapping[str, float]], machine: MachineSettings, cpus: int | None
) -> tuple[int, int, int]:
    """Return cores and GPUs of a trial, and how many trials find room in a cluster.

    Args:
        machines: `CPU` and `GPU` of each machine, as Ray counts them.
        machine: What trials ask for.
        cpus: Cores of a trial; all of the smallest machine, divided by its GPUs, if None.

    Raises:
        ConfigError: No machine has as much.

    >>> needs_of([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 8.0}], MachineSettings(), None)
    (4, 1, 4)
    >>> needs_of([{"CPU": 16.0}, {"CPU": 8.0}], MachineSettings(accelerator="cpu"), None)
    (8, 0, 3)
    """
    equipped = [one for one in machines if one.get("GPU", 0) >= 1]
    gpus = 0
    if machine.accelerator == "cuda" or (machine.accelerator == "auto" and equipped):
        gpus = 1 if machine.devices == "auto" else machine.devices
    able = [one for one in machines if one.get("GPU", 0) >= gpus and one.get("CPU", 0) >= 1]
    if not able:
        raise ConfigError(f"no machine of the Ray cluster has {gpus or 'no'} GPUs and a core; see `ray status`.")
    cores = cpus or min(max(int(one["CPU"] // (one["GPU"] // gpus if gpus else 1)), 1) for one in able)
    fit = sum(
        min(int(one["CPU"] // cores), int(one["GPU"] // gpus) if gpus else int(one["CPU"] // cores)) for one in able
    )
    if not fit:
        raise ConfigError(f"no machine of the Ray cluster has {cores} cores for a trial; ask for fewer with --cpus.")
    return cores, gpus, fit


class RayExecutor:
    """Hands trials to a cluster: the one that `RAY_ADDRESS` names, the one that runs here, or one of its own.

    Args:
        machine: What trials ask for.
        jobs: Trials at a time; as many as find room if None.
        cpus: Cores of a trial; see `needs_of`.

    Raises:
        ConfigError: Ray is not installed, or the cluster lacks what is asked for.
    """

    def __init__(self, machine: MachineSettings, *, jobs: int | None = None, cpus: int | None = None) -> None:
        self._ray = connected()
        machines = [one["Resources"] for one in self._ray.nodes() if one["Alive"]]
        self._cores, gpus, fit = needs_of(machines, machine, cpus)
        self._jobs = min(jobs or fit, fit)
        # What is lost is told, and started again by whoever types the command again.
        self._task = self._ray.remote(num_cpus=self._cores, num_gpus=gpus, max_retries=0)(run_task)
        self._calls: dict[Any, Trial] = {}
        self._stopped: set[int] = set()

    @property
    def threads(self) -> int | None:
        """Cores of a trial: Ray counts them and keeps nobody from using more."""
        return self._cores

    @property
    def described(self) -> str:
        """How many run at a time."""
        return f"{self._jobs} at a time in a Ray cluster, {self._cores} core{'s' if self._cores > 1 else ''} each"

    def room(self) -> bool:
        """Whether the cluster has room for another."""
        return len(self._calls) < self._jobs

    def start(self, trial: Trial) -> None:
        """Hand a trial to the cluster."""
        self._calls[self._task.remote(str(trial.folder), str(Path.cwd()))] = trial

    def ended(self) -> Sequence[Ended]:
        """Return the trials whose tasks have ended."""
        calls = list(self._calls)
        if not calls:
            return []
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        found = []
        for call in ready:
            trial = self._calls.pop(call)
            found.append(Ended(trial, self._fault(call), trial.number in self._stopped))
        return found

    def stop(self, trial: Trial) -> None:
        """Ask a trial's task to stop."""
        self._stopped.add(trial.number)
        for call, known in self._calls.items():
            if known.number == trial.number:
                self._ray.cancel(call, force=False)

    def close(self) -> None:
        """Stop all tasks and wait for them."""
        for trial in list(self._calls.values()):
            self.stop(trial)
        if self._calls:
            self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=_STOP_SECONDS)
        self._calls.clear()

    def _fault(self, call: Any) -> str:  # noqa: ANN401 - a reference of an extra's
        try:
            fault: str = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            return f"its task in the cluster was lost: {str(error).strip().splitlines()[0].rstrip('.')}"
        return fault


def run_task(folder: str, home: str) -> str:
    """Run a trial's process on a machine of the cluster, and return how it failed; runs there.

    Args:
        folder: Run folder.
        home: Working directory of the sweep, from which paths of the configuration count.
    """
    machine = socket.gethostname()
    try:
        os.chdir(home)
    except OSError as error:
        return f"the machine {machine} of the cluster does not see {home}: {error.strerror}; share the storage"
    if not (Path(folder) / TRIAL_FILE).is_file():
        return f"the machine {machine} of the cluster does not see {Path(home) / folder}; share the storage"
    process = TrialProcess(Trial.load(Path(folder)))
    try:
        while not process.wait(_GLANCE_SECONDS):
            pass
    except KeyboardInterrupt:
        # The sweep cancels the task.
        process.stop()
        process.end()
    finally:
        process.kill()
        process.release()
    return process.fault


def connected() -> Any:  # noqa: ANN401 - a module of an extra
    """Return Ray, connected to a cluster.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        ray = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError("--executor ray needs Ray, which is not installed: pip install 'terrazzo[ray]'.") from error
    if not ray.is_initialized():
        # Nothing is told to anybody outside; and a task without a GPU is not kept from knowing of them.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        heard = signal.getsignal(signal.SIGTERM)
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
        if threading.current_thread() is threading.main_thread() and heard is not None:
            # Ray ends the process at once; a sweep wants its trials stopped first.
            signal.signal(signal.SIGTERM, heard)
    return ray
