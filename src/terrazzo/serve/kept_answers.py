"""Answers that are worked out once and kept: percentiles of an image, areas of classes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

__all__ = ["KeptAnswers"]

Answer = TypeVar("Answer")


class KeptAnswers:
    """The answers that were asked for last; several threads may ask at once, and each is worked out by one of them.

    Args:
        most: Answers that are kept.

    >>> kept = KeptAnswers()
    >>> kept.get(("square", 3), lambda: 9), kept.get(("square", 3), lambda: 1 / 0)
    (9, 9)
    """

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._working: dict[Hashable, threading.Lock] = {}

    def get(self, key: Hashable, work_out: Callable[[], Answer]) -> Answer:
        """Return the answer to a key; an error is raised to whoever asked, and the next one tries again.

        Args:
            key: What is asked, and the version of what it is asked of.
            work_out: Finds the answer.
        """
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return cast("Answer", self._answers[key])
            working = self._working.setdefault(key, threading.Lock())
        with working:
            with self._lock:
                if key in self._answers:
                    return cast("Answer", self._answers[key])
            try:
                answer = work_out()
                with self._lock:
                    self._answers[key] = answer
                    while len(self._answers) > self._most:
                        self._answers.popitem(last=False)
            finally:
                with self._lock:
                    self._working.pop(key, None)
        return answer
