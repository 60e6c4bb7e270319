"""A worker of a cluster: keeps its network, and computes strips of whichever scene it is given.

It is asked again and again what there is to say; what the coordinator has to say goes along. So the coordinator alone
calls, and a worker that ends, or whose machine does, is noticed by the call that fails. Everything is JSON.
"""

import json
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from terrazzo.errors import ConfigError, StorageError
from terrazzo.scene.header import Request
from terrazzo.scene.request import code_fingerprint, device_of
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.job import SceneJob
from terrazzo.scene.workforce.kept import KeptNetwork
from terrazzo.scene.workforce.places import Place
from terrazzo.scene.workforce.process import Link, compute

__all__ = ["RayWorker", "token_path"]

# Calls that come back with nothing tell that the worker is alive.
_PATIENCE_SECONDS = 1.0


def token_path(folder: Path, token: str) -> Path:
    """Return the file by which the machines of a cluster find out whether they share a folder.

    Args:
        folder: The journal's.
        token: Of the job for what the coordinator writes; of a worker for what that one writes.
    """
    return folder / f".shared-{token}"


class RayWorker:
    """The worker; knows nothing of Ray itself.

    Args:
        place: A `Place` as JSON: what of its machine it has.
    """

    def __init__(self, place: str) -> None:
        self._place = Place.model_validate_json(place)
        self._kept = KeptNetwork()
        self._messages = _Messages()
        self._job: threading.Thread | None = None

    def exchange(self, request: str) -> str:
        """Take what the coordinator says, and return what there is to say: at once, or after a second nothing.

        Args:
            request: A JSON object. `job`, a `SceneJob`, begins a job; `token` and `worker` are what the coordinator and
                the worker write to find out whether they share its folder. `strip` answers the last "next", null where
                the run of strips ends.

        Returns:
            A JSON list of messages as of `process.serve`; beside these "sees" once the folder is known to be shared,
            and "ended" after the job.
        """
        asked: dict[str, Any] = json.loads(request)
        if "job" in asked:
            arguments = SceneJob.model_validate(asked["job"]), asked["token"], asked["worker"]
            self._job = threading.Thread(target=self._serve, args=arguments, name="terrazzo-job", daemon=True)
            self._job.start()
        if "strip" in asked:
            self._messages.answer(asked["strip"])
        at_work = self._job is not None and self._job.is_alive()
        return f"[{','.join(self._messages.take(wait=at_work))}]"

    def _serve(self, job: SceneJob, token: str, worker: str) -> None:
        link = Link(self._messages)
        try:
            _require_shared(job.folder, token, worker)
            link.tell("sees", token=worker)
            _require_same(job.header.request, job.header.decisions.device)
            compute(link, job, self._place, kept=self._kept)
        except BaseException as error:  # noqa: BLE001 - the coordinator raises it
            link.tell("failed", failure=Failure.of(error).model_dump(mode="json"))
        else:
            link.tell("ended")


class _Messages:
    """Both ways to the coordinator, between the job's threads and the calls."""

    def __init__(self) -> None:
        self._out: queue.Queue[bytes] = queue.Queue()
        self._in: queue.Queue[bytes] = queue.Queue()

    def send_bytes(self, message: bytes) -> None:
        """Say something. How far a strip has come is not worth a call; its end tells."""
        if not message.startswith(b'{"kind":"advance"'):
            self._out.put(message)

    def recv_bytes(self) -> bytes:
        """Wait for an answer."""
        return self._in.get()

    def answer(self, strip: int | None) -> None:
        """Answer."""
        self._in.put(json.dumps({"strip": strip}).encode())

    def take(self, *, wait: bool) -> list[str]:
        """Return what was said; where there is nothing, wait a while for it if asked to."""
        said = []
        try:
            said.append(self._out.get(wait, _PATIENCE_SECONDS))
            while True:
                said.append(self._out.get_nowait())
        except queue.Empty:
            return [message.decode() for message in said]


def _require_same(request: Request, device: str) -> None:
    """Refuse to compute what would have other bits than the coordinator's machine gives.

    Raises:
        ConfigError: Another version is installed here, or the device is another.
    """
    machine = socket.gethostname()
    if code_fingerprint() != request.code:
        raise ConfigError(
            f"The machine {machine} of the cluster has other versions of Terrazzo, torch, numpy or rasterio than the "
            "coordinator's; install the same on all machines."
        )
    if device_of(device) != request.device:
        raise ConfigError(
            f'The machine {machine} of the cluster computes on "{device_of(device)}", and the map was begun for '
            f'"{request.device}": another device rounds otherwise. Use machines of one kind.'
        )


def _require_shared(folder: Path, token: str, worker: str) -> None:
    """Read what the coordinator has written, and write something for it to read.

    Raises:
        StorageError: The folder is not the coordinator's, or cannot be written here.
    """
    machine = socket.gethostname()
    try:
        found = token_path(folder, token).read_text(encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"The machine {machine} of the cluster does not see {folder}: {error.strerror}. With predict.executor=ray "
            "all machines share the storage of scenes, model and maps under the same paths; mount it there too."
        ) from error
    if found != token:
        raise StorageError(f"The machine {machine} of the cluster sees another {folder} than the coordinator.")
    try:
        token_path(folder, worker).write_text(machine, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"The machine {machine} of the cluster cannot write {folder}: {error.strerror}.") from error
