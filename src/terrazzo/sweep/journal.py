"""What a sweep's folder remembers: what it varies, which trials have begun with which settings, and how they ended.

Nothing is kept in one file that several processes write: a trial's end stands in its own run folder, written whole by
whoever ran it. So trials of other processes and other machines count, and a killed sweep loses nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from terrazzo.config import RunConfig, load_config
from terrazzo.errors import ConfigError, StorageError
from terrazzo.storage import read_json, write_json, write_text
from terrazzo.sweep.trial import OUTCOME_FILE, Finished, Trial, TrialState
from terrazzo.training.folder import FREE, RunFolder, differences

__all__ = [
    "SWEEP_FILE",
    "claim",
    "ended",
    "is_over",
    "load_outcome",
    "lock_folder",
    "require_same_axes",
    "save_outcome",
    "settings_that_differ",
    "write_sweep",
]

SWEEP_FILE = "sweep.yaml"
"""File of a sweep's folder that says what was asked for."""

_PLACES = ("name", "paths", "prepare.folder", "machine.workers", "logging", "track")
"""Settings that change nothing of what a trial came to."""


def load_outcome(trial: Trial) -> Finished | None:
    """Return how a trial ended; None where it has not.

    Raises:
        StorageError: The file is damaged.
    """
    path = trial.folder / OUTCOME_FILE
    if not path.is_file():
        return None
    try:
        return Finished.model_validate({**read_json(path), "trial": trial})
    except (ValidationError, TypeError) as error:
        raise StorageError(f"{path} is damaged; remove it, and the trial is looked at again: {error}") from error


def save_outcome(outcome: Finished) -> None:
    """Write how a trial ended into its run folder."""
    content = outcome.model_dump(mode="json", exclude={"trial"})
    write_json(outcome.trial.folder / OUTCOME_FILE, content)


def is_over(outcome: Finished | None) -> bool:
    """Whether nothing is left to do; a trial that failed is tried again at the next start."""
    return outcome is not None and outcome.state in (TrialState.finished, TrialState.pruned)


def ended(trials: Sequence[Trial]) -> list[Finished]:
    """Return the outcomes of those trials that have ended, in their order."""
    found = [load_outcome(trial) for trial in trials]
    return [outcome for outcome in found if outcome is not None]


def lock_folder(folder: Path) -> Path:
    """Return what a process holds while it works on a trial.

    Args:
        folder: The trial's run folder.
    """
    return folder.parent.parent / ".locks" / folder.name


def write_sweep(folder: Path, content: dict[str, Any]) -> None:
    """Write what was asked for into the sweep's folder."""
    write_text(folder / SWEEP_FILE, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def require_same_axes(folder: Path, keys: Sequence[str]) -> None:
    """Refuse a folder whose sweep varies other settings.

    Raises:
        ConfigError: It does.
    """
    path = folder / SWEEP_FILE
    if not path.is_file():
        if (folder / "config.yaml").is_file():
            raise ConfigError(f"{folder} is the folder of a run; give the sweep another --name.")
        return
    try:
        known = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("varies", [])
    except (yaml.YAMLError, OSError, AttributeError) as error:
        raise StorageError(f"{path} cannot be read: {error}; give the sweep another --name.") from error
    if list(known) != list(keys):
        raise ConfigError(
            f"{folder} holds a sweep over {_listed(known)}, and this one varies {_listed(keys)}; give it another "
            "--name."
        )


def settings_that_differ(trial: Trial, config: RunConfig, *, over: bool) -> list[str]:
    """Return a line for each setting by which a trial that has begun differs from what is asked for now.

    Args:
        trial: Which one.
        config: What is asked for now, placed.
        over: Whether it has finished; else how it will be judged may still change.
    """
    folder = RunFolder(trial.folder)
    if not folder.config.is_file() or not (over or folder.last.is_file()):
        return []
    may_differ = [*_PLACES, *(() if over else FREE)]
    if config.machine.threads == "auto":
        may_differ.append("machine.threads")
    found = differences(_stored(folder), config.as_dict())
    return [
        line for key, line in found.items() if not any(key == part or key.startswith(f"{part}.") for part in may_differ)
    ]


def claim(trial: Trial, config: RunConfig) -> RunConfig:
    """Write the run folder of a trial that is about to start, and return its configuration.

    One that has begun keeps the prepared data and the threads that it began with.

    Args:
        trial: Which one.
        config: Placed.

    Raises:
        TrainingError: The folder holds a run with other settings.
    """
    folder = RunFolder(trial.folder)
    if folder.last.is_file() and folder.config.is_file():
        stored = load_config(folder.config)
        changes: dict[str, Any] = {}
        if config.paths != stored.paths:
            changes["paths"] = stored.paths
        if config.prepare.folder != stored.prepare.folder:
            changes["prepare"] = config.prepare.model_copy(update={"folder": stored.prepare.folder})
        if config.machine.threads != stored.machine.threads:
            changes["machine"] = config.machine.model_copy(update={"threads": stored.machine.threads})
        config = config.model_copy(update=changes)
    folder.claim(config.as_dict())
    (trial.folder / OUTCOME_FILE).unlink(missing_ok=True)
    trial.save()
    return config


def _stored(folder: RunFolder) -> dict[str, Any]:
    try:
        found = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError) as error:
        raise StorageError(f"{folder.config} cannot be read: {error}; remove {folder.path}.") from error
    return found if isinstance(found, dict) else {}


def _listed(keys: Sequence[str]) -> str:
    return ", ".join(keys) or "nothing"
