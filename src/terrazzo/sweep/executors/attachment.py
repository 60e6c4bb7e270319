"""The tie between a trial's process and whoever started it: when that one ends, however it does, so does this one.

The starter holds the other end of this process's standard input and never writes to it; the system closes it when the
starter ends. That works with a kill, on every system, and leaves no moment in which a process can be orphaned unseen.
"""

import os
import signal
import sys
import threading

__all__ = ["end_with_starter", "use_cores"]


def end_with_starter() -> None:
    """End this process, and all that it started, as soon as its standard input ends.

    Ctrl-C and a hang-up of the terminal are the starter's affair.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Duplicated, so that nothing else that reads or closes standard input comes between; loader processes then find
    # an empty one.
    tie = os.dup(0)
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_watch, args=(tie,), name="terrazzo-tie", daemon=True).start()


def _watch(tie: int) -> None:
    while os.read(tie, 1):
        pass
    if sys.is_finalizing():
        return
    if os.getpgrp() == os.getpid():
        # The starter gave this process a group of its own: loader processes are in it too.
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def use_cores(cores: str) -> None:
    """Keep to some of the machine's cores: everything counts those that it may use.

    Args:
        cores: Numbers parted by commas.
    """
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
