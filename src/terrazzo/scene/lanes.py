"""Calls that run side by side in threads, and results that come back in the order of the calls."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_order"]

T = TypeVar("T")
R = TypeVar("R")


def in_order(
    items: Iterable[T], call: Callable[[T], R], *, needed: Callable[[T], bool], lanes: int
) -> Generator[tuple[T, R | None], None, None]:
    """Yield each item with the result of its call, in the order of the items.

    Args:
        items: Taken as calls begin, at most one more than there are lanes ahead.
        call: What is done with an item, in a thread of its own.
        needed: Whether an item is called with at all; the others only keep their place.
        lanes: Calls at once.
    """
    waiting: deque[tuple[T, Future[R] | None]] = deque()
    under_way = 0
    with ThreadPoolExecutor(lanes, thread_name_prefix="terrazzo-lane") as pool:
        try:
            for item in items:
                future = pool.submit(call, item) if needed(item) else None
                waiting.append((item, future))
                under_way += future is not None
                while waiting and (under_way > lanes or waiting[0][1] is None):
                    first, result = waiting.popleft()
                    under_way -= result is not None
                    yield first, None if result is None else result.result()
            while waiting:
                first, result = waiting.popleft()
                yield first, None if result is None else result.result()
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()
