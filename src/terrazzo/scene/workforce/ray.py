"""Workers of a Ray cluster, whose machines share the storage; several scenes share the same workers.

Each worker is an actor that keeps its network. What it computes lies in the journal's folder, as everywhere; records
come back to the coordinator, which alone writes the journal.
"""

import importlib
import os
import queue
import signal
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from terrazzo.errors import ConfigError
from terrazzo.scene.header import Decisions
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.crew import Order, WorkerGoneError
from terrazzo.scene.workforce.foreman import Foreman
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.ray_places import Crowd, crowd_of
from terrazzo.scene.workforce.ray_worker import RayWorker, token_path

__all__ = ["RayCrew", "RayWorkforce", "dismiss_workers"]

# How long a scene's thread sleeps at most before it looks whether it is asked to stop.
_GLANCE_SECONDS = 0.2

_FOREMEN: dict[tuple[int | None, str, int], Foreman] = {}
_GUARD = threading.Lock()


class RayWorkforce:
    """Computes strips in a Ray cluster: the one that `RAY_ADDRESS` names, the one that runs here, or one of its own.

    All objects of this class in a process share their workers, so that scenes may be mapped side by side in threads. A
    minute after the last scene the workers are let go.

    Args:
        workers: Actors; one a GPU, or one a machine, if None.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def run(
        self,
        job: SceneJob,
        strips: Sequence[Strip],
        *,
        done: Callable[[StripRecord], None],
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Compute strips, as `Workforce` says; may be called by several threads at once.

        Raises:
            ConfigError: Ray is not installed, or the cluster lacks what is asked for.
            StorageError: A machine of the cluster does not share the journal's folder.
        """
        if not strips:
            return

        def finished(record: StripRecord) -> None:
            done(record)
            advance(record.figures.windows + record.figures.skipped)

        token = uuid.uuid4().hex
        order = Order(
            name=f"{job.scene.name} {token}",
            job=job,
            windows={strip.number: len(strip.rows) * job.scene.frame.width for strip in strips},
            token=token,
            events=queue.Queue(),
            done=finished,
        )
        ours = token_path(job.folder, token)
        ours.write_text(token, encoding="utf-8")
        try:
            foreman = self._foreman(order, job.header.decisions)
            try:
                _follow(order, foreman, stop)
            finally:
                foreman.remove(order)
        finally:
            ours.unlink(missing_ok=True)

    def scenes_at_once(self, decisions: Decisions) -> int:
        """Return how many scenes keep all workers busy: one each.

        Raises:
            ConfigError: As from `run`.
        """
        with _GUARD:
            return _crowd(_connected(), self._workers, decisions).size

    def _foreman(self, order: Order, decisions: Decisions) -> Foreman:
        """Hand a scene to whoever leads such workers, and return whom."""
        key = self._workers, decisions.device, decisions.threads
        with _GUARD:
            foreman = _FOREMEN.get(key)
            if foreman is None or not foreman.add(order):
                ray = _connected()
                for other in _FOREMEN.values():
                    other.close_if_idle()
                foreman = _FOREMEN[key] = Foreman(RayCrew(ray, _crowd(ray, self._workers, decisions)))
                foreman.add(order)
            return foreman


def dismiss_workers() -> None:
    """Let all workers of this process go at once; scenes under way fail."""
    with _GUARD:
        for foreman in _FOREMEN.values():
            foreman.close()
        _FOREMEN.clear()


class RayCrew:
    """Actors.

    Args:
        ray: The module.
        crowd: How many, and what each needs.
    """

    def __init__(self, ray: Any, crowd: Crowd) -> None:  # noqa: ANN401 - a module of an extra
        self.size = crowd.size
        self._ray = ray
        self._place = crowd.place.model_dump_json()
        # What is lost is dealt anew here, not by Ray, which knows nothing of strips.
        self._actor = ray.remote(
            num_cpus=crowd.cores, num_gpus=crowd.gpus, scheduling_strategy="SPREAD", max_restarts=0, max_task_retries=0
        )(RayWorker)

    def hire(self) -> Any:  # noqa: ANN401
        """Start an actor."""
        return self._actor.remote(self._place)

    def dismiss(self, worker: Any) -> None:  # noqa: ANN401
        """End an actor."""
        if self._ray.is_initialized():
            self._ray.kill(worker, no_restart=True)

    def call(self, worker: Any, request: str) -> Any:  # noqa: ANN401
        """Begin an exchange."""
        return worker.exchange.remote(request)

    def wait(self, calls: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Return the calls that have come back."""
        ready, others = self._ray.wait(list(calls), num_returns=1, timeout=seconds)
        if ready and others:
            ready += self._ray.wait(others, num_returns=len(others), timeout=0)[0]
        found: Sequence[Any] = ready
        return found

    def reply(self, call: Any) -> str:  # noqa: ANN401
        """Return what a call came back with."""
        try:
            said: str = self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            raise WorkerGoneError(str(error).strip().splitlines()[0].rstrip(".")) from error
        return said


def _follow(order: Order, foreman: Foreman, stop: threading.Event) -> None:
    """Do in this thread what the scene's records and errors ask for, until its end."""
    withdrawn = False
    while True:
        if stop.is_set() and not withdrawn:
            withdrawn = True
            foreman.withdraw(order)
        try:
            event = order.events.get(timeout=_GLANCE_SECONDS)
        except queue.Empty:
            continue
        if event is None:
            return
        event()


def _crowd(ray: Any, workers: int | None, decisions: Decisions) -> Crowd:  # noqa: ANN401
    machines = [machine["Resources"] for machine in ray.nodes() if machine["Alive"]]
    return crowd_of(machines, workers, decisions)


def _connected() -> Any:  # noqa: ANN401
    """Return Ray, connected to a cluster.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        ray = importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise ConfigError(
            "predict.executor=ray needs Ray, which is not installed: pip install 'terrazzo[ray]'."
        ) from error
    if not ray.is_initialized():
        # Nothing is told to anybody outside; and a worker without a GPU is not kept from knowing of them.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        heard = signal.getsignal(signal.SIGTERM)
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
        if threading.current_thread() is threading.main_thread() and heard is not None:
            # Ray ends the process at once; whoever maps wants strips finished first.
            signal.signal(signal.SIGTERM, heard)
    return ray
