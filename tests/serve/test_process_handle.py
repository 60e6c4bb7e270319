"""A process that answers is heard, found lost, and ended where nobody has waited for it for long."""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from threading import Event

import pytest

from terrazzo.errors import BundleError
from terrazzo.scene.workforce.failure import Failure
from terrazzo.serve import process_handle
from terrazzo.serve.process_handle import LostProcessError, ProcessHandle

Start = Callable[..., ProcessHandle]

# Children of a moment, which start no thread and load nothing.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def echo(connection: Connection) -> None:
    connection.send_bytes(connection.recv_bytes())


def sleep(connection: Connection) -> None:
    time.sleep(600)
    connection.close()


def fail(connection: Connection) -> None:
    failure = Failure.of(BundleError("m.safetensors has changed.")).model_dump(mode="json")
    connection.send_bytes(json.dumps({"kind": "failed", "failure": failure}).encode())


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[ProcessHandle] = []

    def make(target: Callable[[Connection], None]) -> ProcessHandle:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=target, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        begun.append(ProcessHandle(process, ours))
        return begun[-1]

    yield make
    for handle in begun:
        handle.end()
        assert not handle.process.is_alive()


def test_messages_go_there_and_back_until_it_has_ended(start: Start) -> None:
    handle = start(echo)
    handle.send(b"a")
    assert handle.receive() == b"a"
    handle.process.join()
    with pytest.raises(LostProcessError):
        handle.receive()
    with pytest.raises(LostProcessError):
        handle.send(b"b")


def test_what_nobody_waits_for_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_handle, "_PATIENCE_SECONDS", 0.3)
    handle, stopped = start(sleep), Event()
    stopped.set()
    with pytest.raises(LostProcessError):
        handle.receive(stopped)
    handle.process.join(5)
    assert not handle.process.is_alive()


def test_why_it_could_not_begin_is_told(start: Start) -> None:
    with pytest.raises(LostProcessError) as lost:
        start(fail).settle()
    assert isinstance(lost.value.__cause__, BundleError)
    assert "m.safetensors has changed" in str(lost.value.__cause__)
