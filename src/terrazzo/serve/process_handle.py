"""A process that answers images, as the server sees it: what is sent there, what comes back, and its end."""

import json
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Event

from terrazzo.scene.workforce.failure import Failure

__all__ = ["LostProcessError", "ProcessHandle"]

_GLANCE_SECONDS = 0.2
_PATIENCE_SECONDS = 10.0
"""How long an answer that nobody waits for any more may go on, until its process is ended."""


class LostProcessError(Exception):
    """A process has ended."""


@dataclass(eq=False)
class ProcessHandle:
    """A process that answers images.

    Attributes:
        process: The process.
        connection: To it.
    """

    process: BaseProcess
    connection: Connection

    def send(self, content: bytes) -> None:
        """Send a message.

        Raises:
            LostProcessError: It has ended.
        """
        try:
            self.connection.send_bytes(content)
        except OSError as error:
            raise LostProcessError from error

    def receive(self, stopped: Event | None = None) -> bytes:
        """Return its next message.

        Args:
            stopped: Set once nobody waits for the message any more.

        Raises:
            LostProcessError: It has ended, or was ended since nobody had waited for long.
        """
        given_up: float | None = None
        try:
            while not self.connection.poll(_GLANCE_SECONDS):
                if stopped is not None and stopped.is_set():
                    given_up = given_up or time.monotonic()
                    if time.monotonic() - given_up > _PATIENCE_SECONDS:
                        self.process.kill()
            return self.connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise LostProcessError from error

    def settle(self) -> None:
        """Wait until it has loaded its models.

        Raises:
            LostProcessError: It has ended before.
        """
        message = json.loads(self.receive())
        if message["kind"] == "failed":
            raise LostProcessError from Failure.model_validate(message["failure"]).error()

    def end(self) -> None:
        """End it: at once where it does not end by itself."""
        self.connection.close()
        self.process.join(_GLANCE_SECONDS)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
