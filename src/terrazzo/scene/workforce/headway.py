"""How many windows are done, when some are computed twice because a worker or a disk failed."""

import threading
from collections.abc import Callable

__all__ = ["Headway"]


class Headway:
    """Tells of windows that are done, and of those that are computed again only once.

    >>> told = []
    >>> headway = Headway(told.append)
    >>> headway.advance("a", 5)
    >>> headway.settle("a", 3)
    >>> headway.lose("a")
    >>> headway.advance("b", 1)
    >>> headway.advance("b", 4)
    >>> told
    [5, 3]

    Args:
        tell: Hears how many more windows are done.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._unsettled: dict[str, int] = {}
        self._told_before = 0
        self._lock = threading.Lock()

    def advance(self, worker: str, windows: int) -> None:
        """Count windows of a strip that is under way."""
        with self._lock:
            self._unsettled[worker] = self._unsettled.get(worker, 0) + windows
            known = min(windows, self._told_before)
            self._told_before -= known
        if windows > known:
            self._tell(windows - known)

    def settle(self, worker: str, windows: int) -> None:
        """Note that windows which a worker counted belong to a finished strip."""
        with self._lock:
            self._unsettled[worker] = self._unsettled.get(worker, 0) - windows

    def lose(self, worker: str) -> None:
        """Note that whatever else a worker counted will come again."""
        with self._lock:
            self._told_before += self._unsettled.pop(worker, 0)
