"""What a worker process does: it opens the job once and computes the strips that it is dealt.

Everything that crosses is JSON: the job, the numbers of strips, records, and errors.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from itertools import chain
from multiprocessing.connection import Connection
from typing import Protocol, runtime_checkable

from terrazzo.data.child_process import follow_parent
from terrazzo.scene.strips import Strip
from terrazzo.scene.workforce.failure import Failure
from terrazzo.scene.workforce.job import SceneJob, open_job
from terrazzo.scene.workforce.kept import KeptNetwork
from terrazzo.scene.workforce.places import Place

__all__ = ["Link", "Messages", "compute", "serve"]


@runtime_checkable
class Messages(Protocol):
    """A way to the coordinator: bytes there and back."""

    def send_bytes(self, message: bytes) -> None:
        """Send a message."""
        ...

    def recv_bytes(self) -> bytes:
        """Wait for a message."""
        ...


def serve(connection: Connection, job: str, place: str, surroundings: dict[str, str]) -> None:
    """Compute strips until there are no more; ends with the process that asked for them.

    Args:
        connection: To the coordinator.
        job: A `SceneJob` as JSON.
        place: A `Place` as JSON.
        surroundings: The coordinator's environment variables, among them the keys of object stores. The server of
            processes has those of its own start, which may be long ago.
    """
    follow_parent()
    os.environ.clear()
    os.environ.update(surroundings)
    # A scheduler tells all processes of a job to end; the coordinator hears it too, and has strips finished first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    link = Link(connection)
    try:
        compute(link, SceneJob.model_validate_json(job), Place.model_validate_json(place))
    except BaseException as error:  # noqa: BLE001 - the coordinator raises it
        link.tell("failed", failure=Failure.of(error).model_dump(mode="json"))


def compute(link: "Link", job: SceneJob, place: Place, *, kept: KeptNetwork | None = None) -> None:
    """Compute the strips of a job as they are dealt.

    Args:
        link: To the coordinator.
        job: What to compute.
        place: What of the machine to use.
        kept: The network of the job before, which may serve this one too.

    Raises:
        TerrazzoError: As from `open_job` and `OpenJob.compute`.
        OSError: A strip's file cannot be written.
    """
    if place.device is not None:
        _see_one_device(place.device)
    with open_job(job, lanes=place.lanes, readers=place.readers, kept=kept) as opened:
        strips = {strip.number: strip for strip in opened.plan.strips}
        # The coordinator may end a run of strips, so that all of it comes to the disk, before it deals another one.
        while (first := link.ask()) is not None:
            opened.compute(
                chain([strips[first]], link.asked(strips)),
                done=lambda record: link.tell("done", record=record.model_dump(mode="json")),
                advance=lambda windows: link.tell("advance", windows=windows),
            )


def _see_one_device(position: int) -> None:
    """Hide the other GPUs; every thread of this process then means the same one. Before CUDA is first used."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [name.strip() for name in given.split(",")] if given else []
    os.environ["CUDA_VISIBLE_DEVICES"] = visible[position] if visible else str(position)


class Link:
    """The worker's end of the connection; several threads speak, one at a time asks."""

    def __init__(self, connection: Messages) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def tell(self, kind: str, **content: object) -> None:
        """Send a message."""
        message = json.dumps({"kind": kind, **content}, separators=(",", ":")).encode()
        with self._lock:
            self._connection.send_bytes(message)

    def ask(self) -> int | None:
        """Ask for a strip; None where this run of strips ends here."""
        self.tell("next")
        number: int | None = json.loads(self._connection.recv_bytes())["strip"]
        return number

    def asked(self, strips: Mapping[int, Strip]) -> Iterator[Strip]:
        """Yield strips as they are dealt."""
        while (number := self.ask()) is not None:
            yield strips[number]
