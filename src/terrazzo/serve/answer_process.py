"""What a process does that answers small images: it loads the models once and answers what it is asked, on one core.

Everything that crosses is JSON, and the bytes of answers: what is asked, and the answer, its bytes after it.
"""

import contextlib
import json
import logging
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import rasterio

from terrazzo.data.child_process import follow_parent
from terrazzo.record import Record, load_plugin
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import Forward, WindowScores
from terrazzo.scene.workforce.failure import Failure
from terrazzo.serve.answering import Layers, Question, answer
from terrazzo.serve.answers import Output
from terrazzo.serve.batching import Ticket
from terrazzo.serve.models import Models, SettledModel, load_settled
from terrazzo.serve.problems import Problem
from terrazzo.serve.settings import ServeSettings

__all__ = ["Asked", "Setting", "answer_questions"]


class Setting(Record):
    """What a process answers with."""

    models: tuple[SettledModel, ...]
    """The models, with what the server decided."""
    settings: ServeSettings
    """How the server answers."""
    plugins: tuple[Path, ...]
    """Files to load first."""


class Asked(Record):
    """A question as it crosses to the process."""

    model: str
    """Name of who answers."""
    path: Path
    """The image's file."""
    name: str
    """What the client calls it."""
    output: Output
    """What the answer is written as."""
    layer: Layers
    """What a picture or GeoTIFF shows."""
    most_pixels: int
    """Pixels that it may have."""
    most_windows: int
    """Windows that it may take."""
    folder: Path
    """The request's own, for scratch files."""


def answer_questions(connection: Connection, setting: str) -> None:
    """Answer until nobody asks any more; ends with the process that asks.

    Args:
        connection: To the server.
        setting: A `Setting` as JSON.
    """
    follow_parent()
    # A service manager tells all processes to end; the server hears it too, and has what was begun answered first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.getLogger("terrazzo").setLevel(logging.WARNING)
    try:
        models = _loaded(Setting.model_validate_json(setting))
    except Exception as error:  # noqa: BLE001 - the server says it
        _tell(connection, "failed", failure=Failure.of(error).model_dump(mode="json"))
        return
    # One environment for all requests: each call that finds none makes its own.
    with contextlib.suppress(EOFError, OSError), rasterio.Env():
        _tell(connection, "ready")
        while True:
            _answer(connection, models, Asked.model_validate_json(connection.recv_bytes()))


def _loaded(setting: Setting) -> Models:
    for plugin in setting.plugins:
        load_plugin(plugin)
    return load_settled(setting.models, setting.settings)


def _answer(connection: Connection, models: Models, asked: Asked) -> None:
    try:
        model = models.find(asked.model)
        question = Question(
            model, asked.path, asked.name, asked.output, asked.layer, asked.most_pixels, asked.most_windows
        )
        passes = _OwnPasses(largest=model.decisions.group_size)
        found = answer(question, passes, Ticket(windows=0), folder=asked.folder)
    except _LargerError:
        _tell(connection, "larger")
    except Problem as problem:
        _tell(
            connection,
            "refused",
            status=problem.status_code,
            detail=str(problem.detail),
            advice=problem.advice,
            headers=dict(problem.headers or {}),
        )
    except Exception as error:  # noqa: BLE001 - the server raises it
        _tell(connection, "failed", failure=Failure.of(error).model_dump(mode="json"))
    else:
        _tell(
            connection,
            "answered",
            media_type=found.media_type,
            windows=found.windows,
            warnings=list(found.warnings),
            passes=passes.sizes,
        )
        connection.send_bytes(found.content)


def _tell(connection: Connection, kind: str, **content: object) -> None:
    connection.send_bytes(json.dumps({"kind": kind, **content}, separators=(",", ":")).encode())


class _LargerError(Exception):
    """An image takes more windows than are answered here."""


class _OwnPasses:
    """The network of this process, which nobody else uses.

    Args:
        largest: Windows that an image may take here.

    Attributes:
        sizes: Windows of each pass so far.
    """

    def __init__(self, largest: int) -> None:
        self.sizes: list[int] = []
        self._largest = largest

    @contextlib.contextmanager
    def admitted(self, ticket: Ticket) -> Iterator[Ticket]:
        """Take a request in whose windows the server has counted already; leave a larger one to the server."""
        if ticket.windows > self._largest:
            raise _LargerError
        yield ticket

    def through(self, forward: WindowForward, sizes: frozenset[int], ticket: Ticket) -> Forward:
        """Return the network, whose passes are counted."""
        del sizes, ticket
        return _CountedForward(forward, self.sizes)


class _CountedForward:
    """A network whose passes are counted.

    Args:
        forward: The network.
        sizes: Takes the windows of each pass.
    """

    def __init__(self, forward: WindowForward, sizes: list[int]) -> None:
        self.device = forward.device
        self.lanes = 1
        self._forward = forward
        self._sizes = sizes

    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return the scores of a group."""
        self._sizes.append(len(group.windows))
        return self._forward(group)
