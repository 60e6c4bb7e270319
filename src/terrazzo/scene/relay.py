"""A bounded hand-over between two threads that neither loses an error nor blocks after one."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Consumer", "Producer"]

T = TypeVar("T")

# How long a thread waits before it looks whether the other side still lives.
_GLANCE_SECONDS = 0.05


class _Failure:
    """An error on its way to the other side."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    """Nothing more comes."""


class Producer(Generic[T]):
    """Runs an iterable in a thread, at most `ahead` items ahead of whoever iterates over this.

    Args:
        make: Called in the thread; everything it opens belongs to that thread.
        ahead: Items that may wait.
    """

    def __init__(self, make: Callable[[], Iterable[T]], *, ahead: int) -> None:
        self._make = make
        self._items: queue.Queue[T | _Failure | _End] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="terrazzo-producer", daemon=True)

    def __enter__(self) -> "Producer[T]":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[T]:
        """Yield the items in order; an error of the thread is raised here."""
        while True:
            item = self._items.get()
            if isinstance(item, _End):
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def _run(self) -> None:
        try:
            for item in self._make():
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:  # noqa: BLE001 - handed over and raised by the consumer
            self._put(_Failure(error))

    def _put(self, item: T | _Failure | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._items.put(item, timeout=_GLANCE_SECONDS)
            except queue.Full:
                continue
            return True
        return False


class Consumer(Generic[T]):
    """Hands items to a function that runs in a thread; at most `ahead` wait.

    On a clean exit everything that was given has been taken; after an error the rest is dropped.

    Args:
        take: Called in the thread, once an item, in order.
        ahead: Items that may wait.
    """

    def __init__(self, take: Callable[[T], None], *, ahead: int) -> None:
        self._take = take
        self._items: queue.Queue[T | _End] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="terrazzo-consumer", daemon=True)

    def __enter__(self) -> "Consumer[T]":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._hand_over(_End())
        else:
            self._stopped.set()
        self._thread.join()
        if kind is None:
            self._raise_failure()

    def give(self, item: T) -> None:
        """Hand over one item, waiting for room; an error of the thread is raised here."""
        self._hand_over(item)
        self._raise_failure()

    def _hand_over(self, item: T | _End) -> None:
        while self._thread.is_alive():
            try:
                self._items.put(item, timeout=_GLANCE_SECONDS)
            except queue.Full:
                continue
            return

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    item = self._items.get(timeout=_GLANCE_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(item, _End):
                    return
                self._take(item)
        except BaseException as error:  # noqa: BLE001 - kept and raised by the giver
            self._failure = error
