"""Ctrl-C during a long job: the first asks it to come to a good end, the second ends it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set an event at the first interrupt or termination signal; at the next do what was done before.

    In a thread other than the main one nothing is changed, because Python hears of signals only there.

    Args:
        stop: Set at the first signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def hear(number: int, frame: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            return
        earlier = before[signal.Signals(number)]
        if callable(earlier):
            earlier(number, frame)
        else:
            raise KeyboardInterrupt

    try:
        for number in _SIGNALS:
            # What is ignored on purpose stays so: `nohup` and background jobs of a shell.
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set from Python and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
