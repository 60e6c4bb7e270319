"""Trials as processes of this machine: one for each GPU, or some at a time on the processor."""

import os
from collections.abc import Sequence

from terrazzo.sweep.executors.executor import Ended
from terrazzo.sweep.executors.process import TrialProcess
from terrazzo.sweep.executors.slots import Slot
from terrazzo.sweep.trial import Trial

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Runs each trial in the next free slot.

    Args:
        slots: What of the machine each has.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = tuple(slots)
        self._processes: dict[int, TrialProcess] = {}

    @property
    def threads(self) -> int | None:
        """Cores of a slot, where several share the machine: then each trial's threads must be said."""
        return min(len(slot.cores) for slot in self._slots) if len(self._slots) > 1 else None

    @property
    def described(self) -> str:
        """How many run at a time, and on what."""
        first = self._slots[0]
        gpus = len({name for slot in self._slots for name in slot.gpus})
        on = f"{gpus} GPU{'s' if gpus > 1 else ''}" if first.gpus else "the processor"
        threads = "" if self.threads is None else f", {self.threads} thread{'s' if self.threads > 1 else ''} each"
        return f"{len(self._slots)} at a time on {on}{threads}"

    def room(self) -> bool:
        """Whether a slot is free."""
        return len(self._processes) < len(self._slots)

    def start(self, trial: Trial) -> None:
        """Start a trial in a free slot."""
        number = next(number for number in range(len(self._slots)) if number not in self._processes)
        slot = self._slots[number]
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(slot.gpus)} if slot.gpus else {}
        whole = set(slot.cores) == os.sched_getaffinity(0)
        self._processes[number] = TrialProcess(trial, cores=() if whole else slot.cores, environment=environment)

    def ended(self) -> Sequence[Ended]:
        """Return the trials whose processes have ended."""
        for process in self._processes.values():
            process.hurry()
        over = {number: process for number, process in self._processes.items() if not process.running}
        for number, process in over.items():
            process.release()
            del self._processes[number]
        return [Ended(process.trial, process.fault, process.stopped) for process in over.values()]

    def stop(self, trial: Trial) -> None:
        """Ask a trial's process to stop."""
        for process in self._processes.values():
            if process.trial.number == trial.number:
                process.stop()

    def close(self) -> None:
        """Stop all processes and wait for them; an interrupt meanwhile kills them."""
        processes = list(self._processes.values())
        try:
            for process in processes:
                process.stop()
            for process in processes:
                process.end()
        finally:
            for process in processes:
                process.kill()
            self._processes.clear()
