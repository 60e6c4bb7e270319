"""How many of this machine's cores a process may use."""

import math
import os

from terrazzo.control_groups import processor_quota

__all__ = ["usable_cores"]


def usable_cores() -> int:
    """Return the cores that this process may run on, and no more than the time that its container or job is given.

    A quota of a part of a core counts as a whole one: its time would be lost otherwise.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
