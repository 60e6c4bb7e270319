"""Folders that several processes need one after the other: whoever comes later waits."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from terrazzo.errors import LockedError
from terrazzo.storage import locked

__all__ = ["in_turn", "is_held"]

_GLANCE_SECONDS = 0.25
_SAY_AFTER_SECONDS = 2.0


@contextlib.contextmanager
def in_turn(folder: Path, *, say: Callable[[str], None], patience_s: float | None = None) -> Iterator[None]:
    """Hold a folder as `locked` does, but wait for whoever holds it.

    Args:
        folder: Created if missing.
        say: Told once why it takes long.
        patience_s: Seconds to wait at most; for ever if None.

    Raises:
        LockedError: It was not freed in time.
    """
    begun, told = time.monotonic(), False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(locked(folder))
                break
            except LockedError as error:
                waited = time.monotonic() - begun
                if patience_s is not None and waited > patience_s:
                    raise
                if not told and waited > _SAY_AFTER_SECONDS:
                    told = True
                    say(f"waits: {error}")
            time.sleep(_GLANCE_SECONDS)
        yield


def is_held(folder: Path) -> bool:
    """Whether a process holds a folder at this moment; a folder that does not exist is not made."""
    if not folder.is_dir():
        return False
    try:
        with locked(folder):
            return False
    except LockedError:
        return True
