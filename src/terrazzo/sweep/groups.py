"""Trials sorted into settings: what differs besides seeds and folds, and the runs that repeat each."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrazzo.sweep.results import TrialResult
from terrazzo.sweep.statistics import Spread, spread
from terrazzo.sweep.trial import TrialState

__all__ = [
    "TRAINING",
    "Repeat",
    "Setting",
    "is_repeat",
    "overlap_of",
    "settings_of",
    "shown",
    "spread_of",
    "units_of",
]

TRAINING = "training"
"""Stands beside the splits for the figure that training watched, at its best epoch."""
_REPEATING = ("seed", "fold")

Repeat = tuple[tuple[str, str], ...]
"""Which run of a setting it is: keys and shown values of its seeds and folds."""


@dataclass(frozen=True)
class Setting:
    """What some trials have in common, and differ from others in.

    Attributes:
        label: Its values as they are typed, such as `model=smp optimizer.lr=0.001`; `all` where nothing differs.
        varied: Dotted key -> value, without seeds and folds.
        runs: Its trials, those that have not finished included.
    """

    label: str
    varied: Mapping[str, Any]
    runs: tuple[TrialResult, ...]

    @property
    def finished(self) -> tuple[TrialResult, ...]:
        """Its trials that have finished."""
        return tuple(run for run in self.runs if run.state is TrialState.finished)

    def values(self, split: str, figure: str) -> dict[Repeat, float]:
        """Return a figure of each finished run that has it.

        Args:
            split: Role of the images, or `TRAINING`.
            figure: As `SplitResult.value` knows it; the watched figure's name for `TRAINING`.
        """
        found: dict[Repeat, float] = {}
        for run in self.finished:
            value = _value(run, split, figure)
            if value is not None:
                found[repeat_of(run)] = value
        return found


def is_repeat(key: str) -> bool:
    """Whether a key repeats a setting instead of changing it: a seed or a fold.

    >>> [is_repeat(key) for key in ("seed", "data.fold", "data.split.folds.seed", "data.split.folds.count")]
    [True, True, True, False]
    """
    return key.rpartition(".")[2] in _REPEATING


def shown(value: object) -> str:
    """Return a value as it would be typed.

    >>> shown("smp"), shown(0.001), shown(None), shown({"name": "smp", "bands": [1, 2]})
    ('smp', '0.001', 'null', '{name: smp, bands: [1, 2]}')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) and _is_short(value) else json.dumps(value, default=str)


def repeat_of(run: TrialResult) -> Repeat:
    """Return which run of its setting a trial is."""
    return tuple((key, shown(value)) for key, value in sorted(run.trial.varied.items()) if is_repeat(key))


def settings_of(results: Sequence[TrialResult]) -> tuple[Setting, ...]:
    """Return the settings in the order of their first trials."""
    found: dict[str, list[TrialResult]] = defaultdict(list)
    for result in results:
        varied = {key: value for key, value in result.trial.varied.items() if not is_repeat(key)}
        found[json.dumps(varied, sort_keys=True, default=str)].append(result)
    settings = []
    for runs in found.values():
        varied = {key: value for key, value in runs[0].trial.varied.items() if not is_repeat(key)}
        label = " ".join(f"{key}={shown(value)}" for key, value in varied.items()) or "all"
        settings.append(Setting(label, varied, tuple(runs)))
    return tuple(settings)


def units_of(values: Mapping[Repeat, float], repeats: Sequence[Repeat] | None = None) -> list[list[float]]:
    """Return figures of runs by what counts as independent.

    Where the data was divided in several ways (folds), each way is one unit, of all its seeds: seeds on the same images
    are no new evidence on other images. Else each run is one.

    Args:
        values: Figures by repeat.
        repeats: Which of them, in order; all if None.
    """
    chosen = sorted(values) if repeats is None else list(repeats)
    divided: dict[Repeat, list[float]] = defaultdict(list)
    for repeat in chosen:
        divided[_division(repeat)].append(values[repeat])
    return list(divided.values()) if len(divided) > 1 else [[values[repeat]] for repeat in chosen]


def overlap_of(runs: Sequence[TrialResult], units: int) -> float:
    """Return how many images judge for each that trains, where units are divisions of the same data; else 0.

    Args:
        runs: Those whose figures are summarised.
        units: How many divisions there are: what the folders do not say follows from them as folds.
    """
    divisions = {_division(repeat_of(run)) for run in runs}
    if len(divisions) < 2:
        return 0.0
    known = [run.overlap for run in runs if not math.isnan(run.overlap)]
    return math.fsum(known) / len(known) if known else 1 / max(units - 1, 1)


def spread_of(setting: Setting, split: str, figure: str) -> Spread | None:
    """Return where a figure of a setting's runs lies; None where no run has it."""
    values = setting.values(split, figure)
    if not values:
        return None
    groups = units_of(values)
    runs = [run for run in setting.finished if repeat_of(run) in values]
    return spread(groups, overlap=overlap_of(runs, len(groups)))


def _division(repeat: Repeat) -> Repeat:
    """Return the part of a repeat that says how the data is divided."""
    return tuple(pair for pair in repeat if pair[0].startswith("data."))


def _value(run: TrialResult, split: str, figure: str) -> float | None:
    if split == TRAINING:
        return run.best if figure == run.monitor else None
    found = run.splits.get(split)
    return None if found is None else found.value(figure)


def _is_short(value: float) -> bool:
    return float(f"{value:g}") == value
