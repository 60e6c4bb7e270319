"""The configuration of each trial: loaded, checked, and given a run folder and prepared data of its own or shared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.config import RunConfig, load_config
from terrazzo.errors import ConfigError, DataError
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import fingerprint
from terrazzo.sweep.grid import Space
from terrazzo.sweep.trial import Trial, trial_name

__all__ = ["Placement", "folds_of", "load_all", "load_trial"]

_DATA_SECTIONS = {"data", "paths", "prepare"}
_STORED = {"store", "cache", "cache_dtype", "cache_views"}
_HASH_DIGITS = 8


def load_trial(source: str | None, space: Space, varied: Mapping[str, Any]) -> RunConfig:
    """Load the configuration that a trial varies.

    Raises:
        ConfigError: It is wrong.
    """
    return load_config(source, *space.overrides(varied))


def load_all(
    source: str | None, space: Space, trials: Iterable[Mapping[str, Any]], *, listener: Listener = silent
) -> list[RunConfig]:
    """Load the configurations of trials.

    Args:
        source: File or recipe; found as for any command if None.
        space: The arguments.
        trials: What each varies.
        listener: Receives progress.

    Raises:
        ConfigError: The mistakes of all of them, each said once, with the trials that make it.
    """
    found: list[RunConfig] = []
    wrong: dict[str, list[str]] = {}
    asked = list(trials)
    with Progress("check", listener=listener, total=len(asked), unit="configurations") as progress:
        for varied in progress.each(asked):
            try:
                found.append(load_trial(source, space, varied))
            except ConfigError as error:
                wrong.setdefault(str(error), []).append(trial_name(varied))
    if not wrong:
        return found
    if len(asked) == 1:
        raise ConfigError(next(iter(wrong)))
    lines = [f"{sum(map(len, wrong.values()))} of {len(asked)} trials have mistakes; none was started."]
    for text, names in wrong.items():
        several = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"{names[0]}{several}: " + text.replace("\n", "\n  "))
    raise ConfigError("\n  ".join(lines))


def folds_of(config: RunConfig) -> tuple[int, ...]:
    """Return the folds of a configuration: those that it deals, or those that its source knows.

    Raises:
        ConfigError: It has none.
    """
    folds = config.data.split.folds
    if folds is not None:
        return tuple(range(folds.count))
    try:
        known = {pair.fold for pair in config.data.source.pairs().pairs if pair.fold is not None}
    except DataError as error:
        raise ConfigError(f"data.fold=all: the data's folds cannot be counted: {error}") from error
    if not known:
        raise ConfigError(
            "data.fold=all: the configuration has no folds; set data.split.folds, such as data.split.folds.count=5."
        )
    return tuple(sorted(known))


@dataclass(frozen=True)
class Placement:
    """Says where trials run and prepare.

    Trials that prepare the same data share one folder, and others never meet in it: where the data varies, each kind
    has `prepare.folder` with a hash of its settings behind the name.

    Attributes:
        keys: What varies.
        first: Configuration of the first trial, whose data `prepare.folder` itself is for where data does not vary.
        threads: Of a trial's arithmetic, where several share a machine; None leaves the configuration's.
    """

    keys: tuple[str, ...]
    first: RunConfig
    threads: int | None = None

    def place(self, trial: Trial, config: RunConfig) -> RunConfig:
        """Return the configuration of a trial in its own run folder.

        Args:
            trial: Which one.
            config: As loaded.
        """
        paths = {**config.paths, "runs": str(trial.folder.parent)}
        prepare = config.prepare.model_copy(update={"folder": self._prepared(config)})
        changes: dict[str, Any] = {"name": trial.name, "paths": paths, "prepare": prepare}
        if self.threads is not None and config.machine.threads == "auto":
            # Another number may change the last bits, so that the number that was used must stand in the file.
            changes["machine"] = config.machine.model_copy(update={"threads": self.threads})
        return config.model_copy(update=changes)

    def _prepared(self, config: RunConfig) -> Path:
        varied = {key.split(".")[0] for key in self.keys if key != "prepare.folder"}
        mark = _mark(config, with_prepare="prepare" in varied)
        folder = config.prepare.folder
        if not varied & _DATA_SECTIONS and mark == _mark(self.first, with_prepare=False):
            return folder
        return folder.with_name(f"{folder.name}-{mark[:_HASH_DIGITS]}")


def _mark(config: RunConfig, *, with_prepare: bool) -> str:
    """Return a hash of the settings that decide what lies in a folder of prepared data."""
    prepare = config.prepare.model_dump(mode="json", include=_STORED) if with_prepare else {}
    return fingerprint({"data": config.data.model_dump(mode="json"), "prepare": prepare})
