"""Keeping warnings of geographic libraries from a user who can do nothing about them.

The filters of warnings belong to the whole process: two threads would undo each other's, so one at a time sets them.
"""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_warnings"]

_FILTERS = threading.RLock()


@contextmanager
def without_warnings(category: type[Warning]) -> Iterator[None]:
    """Ignore warnings of a category inside the block; other threads that ask for the same wait."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        yield
