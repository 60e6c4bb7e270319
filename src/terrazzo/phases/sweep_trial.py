"""One trial of a sweep: an ordinary run in its own folder, that says how it ended."""

import time
from collections.abc import Callable
from pathlib import Path

from terrazzo.config import RunConfig, load_config
from terrazzo.data.prepare import prepare_data
from terrazzo.errors import ConfigError, LockedError, StoppedError, TerrazzoError
from terrazzo.logs import redact
from terrazzo.phases.features import features_before_training
from terrazzo.phases.prepare import prepare
from terrazzo.phases.run import run
from terrazzo.phases.verify import verify
from terrazzo.progress import Listener, Progress, silent
from terrazzo.sweep.journal import is_over, load_outcome, lock_folder, save_outcome
from terrazzo.sweep.trial import Finished, Trial, TrialState
from terrazzo.sweep.turns import in_turn
from terrazzo.sweep.watching import best_value

__all__ = ["run_trial"]

_LOCK_PATIENCE_SECONDS = 60.0
# What was killed a moment ago may still be ending.
_RETRY_SECONDS = 0.5


def run_trial(folder: Path, *, listener: Listener = silent) -> Finished:
    """Run a trial of a sweep, or go on with it; one that is over is left as it is.

    Trials that share prepared data prepare it one after the other, so that the first does the work.

    Args:
        folder: Run folder with `trial.json` and `config.yaml`, as the sweep wrote it.
        listener: Receives progress.

    Returns:
        How it ended; also `outcome.json` in the folder. An error is an end too, with its reason.

    Raises:
        ConfigError: The folder is no trial's, or is seen from another working directory than the sweep's.
        LockedError: Another process works on the trial.
    """
    trial = Trial.load(folder)
    with in_turn(lock_folder(folder), say=_waiting(listener), patience_s=_LOCK_PATIENCE_SECONDS):
        known = load_outcome(trial)
        if known is not None and is_over(known):
            return known
        begun = time.monotonic()
        config = load_config(folder / "config.yaml")
        if config.folder.absolute() != folder.absolute():
            raise ConfigError(
                f"{folder} holds the configuration of a run in {config.folder.absolute()}; start it from the folder in "
                "which the sweep was started."
            )
        try:
            _prepare_in_turn(config, listener)
            run(config, listener=listener)
        except StoppedError:
            raise
        except Exception as error:
            said = str(error) if isinstance(error, TerrazzoError) else f"{type(error).__name__}: {error}"
            save_outcome(_outcome(trial, config, TrialState.failed, begun, reason=redact(said)))
            raise
        outcome = _outcome(trial, config, TrialState.finished, begun)
        save_outcome(outcome)
        return outcome


def _outcome(trial: Trial, config: RunConfig, state: TrialState, begun: float, *, reason: str = "") -> Finished:
    seconds = round(time.monotonic() - begun, 3)
    return Finished(trial=trial, state=state, value=best_value(trial, config), seconds=seconds, reason=reason)


def _prepare_in_turn(config: RunConfig, listener: Listener) -> None:
    """Do what lies in the folder of prepared data, where no other trial is at it; `run` then finds it done."""
    with in_turn(config.prepare.folder / ".trials", say=_waiting(listener)):
        while True:
            try:
                _prepare(config, listener)
            except LockedError:
                # A run outside the sweep is at it.
                time.sleep(_RETRY_SECONDS)
            else:
                return


def _prepare(config: RunConfig, listener: Listener) -> None:
    if config.verify.enable and verify(config, reuse=True, listener=listener).errors:
        # `run` says what is wrong, and makes the page about it.
        return
    if config.prepare.enable:
        prepare(config, listener=listener)
    elif config.train.enable:
        prepared = prepare_data(config.data, config.prepare, listener=listener)
        features_before_training(config, prepared, listener=listener)


def _waiting(listener: Listener) -> Callable[[str], None]:
    return Progress("wait", listener=listener).note
