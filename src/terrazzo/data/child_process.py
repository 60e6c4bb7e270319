"""How a process that works for another one behaves: Ctrl-C is the other one's affair, and its end is this one's."""

import multiprocessing
import os
import signal
import threading

__all__ = ["follow_parent"]


def follow_parent() -> None:
    """Leave Ctrl-C to the process that started this one, and end with it, even where it is killed.

    The parent by process id is the server that forked this process, and lives as long as its workers; the one that
    waits for the work is known to `multiprocessing`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
