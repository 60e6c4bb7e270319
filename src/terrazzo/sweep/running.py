"""The story of a sweep: ask for trials, start those that have not ended, watch them, and hear how they end."""

import threading
from collections.abc import Callable

from terrazzo.config import RunConfig
from terrazzo.errors import StoppedError, TerrazzoError
from terrazzo.progress import Listener, Progress, silent
from terrazzo.sweep.executors.executor import Ended, Executor
from terrazzo.sweep.journal import is_over, load_outcome, save_outcome
from terrazzo.sweep.searching import Search
from terrazzo.sweep.trial import Finished, Trial, TrialState
from terrazzo.sweep.watching import Watch, best_value

__all__ = ["Sweeping"]

_GLANCE_SECONDS = 0.2


class Sweeping:
    """A sweep under way.

    Args:
        search: Chooses trials.
        executor: Runs them.
        begin: Writes the run folder of a trial that is about to start, and returns its configuration.
        stop: Set by somebody who wants the sweep to stop.
        total: Trials in all; None where nobody knows.
        listener: Receives progress.
    """

    def __init__(
        self,
        search: Search,
        executor: Executor,
        begin: Callable[[Trial], RunConfig],
        *,
        stop: threading.Event,
        total: int | None = None,
        listener: Listener = silent,
    ) -> None:
        self.trials: list[Trial] = []
        self.done: list[Finished] = []
        self._search, self._executor, self._begin = search, executor, begin
        self._stop, self._listener = stop, listener
        self._running: dict[int, Watch] = {}
        self._pruned: dict[int, str] = {}
        self._progress = Progress("sweep", listener=listener, total=total, unit="trials")

    def run(self) -> None:
        """Run every trial that the search asks for and that is not over; `trials` and `done` then hold all.

        Raises:
            StoppedError: Somebody asked to stop; what has begun goes on at the next start.
        """
        with self._progress:
            try:
                while not self._stop.is_set():
                    self._fill()
                    if not self._running:
                        return
                    self._stop.wait(_GLANCE_SECONDS)
                    self._look()
                self._say_stopping()
            finally:
                self._executor.close()
                for watch in self._running.values():
                    watch.close()
        raise StoppedError(f"the sweep was stopped after {len(self.done)} trials; the same command goes on.")

    def _fill(self) -> None:
        """Start trials while there is room; those that are over already are only told."""
        while self._executor.room() and not self._stop.is_set():
            trial = self._search.ask(self.done)
            if trial is None:
                return
            self.trials.append(trial)
            known = load_outcome(trial)
            if known is not None and is_over(known):
                self._conclude(known)
                continue
            try:
                config = self._begin(trial)
            except TerrazzoError as error:
                # Nobody could check before what a search has only now chosen.
                self._conclude(Finished(trial=trial, state=TrialState.failed, reason=str(error)), news=True)
                continue
            self._running[trial.number] = Watch(trial, config, self._listener)
            self._executor.start(trial)

    def _look(self) -> None:
        """Hear how trials ended and how the others do."""
        for one in self._executor.ended():
            watch = self._running[one.trial.number]
            self._hear(watch)
            del self._running[one.trial.number]
            watch.close()
            if (outcome := self._outcome(one, watch)) is not None:
                self._conclude(outcome, news=True)
        for watch in self._running.values():
            self._hear(watch)

    def _hear(self, watch: Watch) -> None:
        """Tell the search of a trial's new epochs, and stop the trial if it says so."""
        trial = watch.trial
        for epoch, value in watch.news():
            if trial.number not in self._pruned and self._search.prune(trial, epoch, value):
                figure = watch.config.train.monitor.figure
                self._pruned[trial.number] = f"stopped after epoch {epoch}, whose {figure} was {value:.4g}"
                self._executor.stop(trial)

    def _outcome(self, ended: Ended, watch: Watch) -> Finished | None:
        """Return how a trial ended; None where it was stopped and goes on later."""
        trial = ended.trial
        outcome = load_outcome(trial)
        if outcome is not None:
            return outcome
        if trial.number in self._pruned:
            state, reason = TrialState.pruned, self._pruned[trial.number]
        elif ended.stopped:
            return None
        else:
            state, reason = TrialState.failed, ended.fault or "its process ended without a word"
        value = best_value(trial, watch.config)
        outcome = Finished(trial=trial, state=state, value=value, seconds=round(watch.seconds, 3), reason=reason)
        save_outcome(outcome)
        return outcome

    def _conclude(self, outcome: Finished, *, news: bool = False) -> None:
        self.done = sorted([*self.done, outcome], key=lambda one: one.trial.number)
        self._search.tell(outcome.trial, outcome.state, outcome.value)
        self._progress.advance()
        if news:
            self._progress.note(_sentence(outcome))

    def _say_stopping(self) -> None:
        count = len(self._running)
        self._progress.note(f"stopping {count} trial{'' if count == 1 else 's'}; the same command goes on later")


def _sentence(outcome: Finished) -> str:
    """Return one line about a trial that has ended."""
    parts = [f"{outcome.trial.name}: {outcome.state}"]
    if outcome.value is not None:
        parts.append(f"best value {outcome.value:.4f}")
    if outcome.reason:
        parts.append(outcome.reason.splitlines()[0])
    return ", ".join(parts)
