"""What a sweep came to: settings with their spread, differences, pooled folds and every trial, as plain data."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from terrazzo.assessment.confusion_file import CONFUSIONS_FILE, load_confusions
from terrazzo.errors import ConfigError, ContractError
from terrazzo.metrics.ratios import without_nan
from terrazzo.record import nearest
from terrazzo.sweep.comparison import Comparison, compare_all
from terrazzo.sweep.groups import TRAINING, Repeat, Setting, repeat_of, settings_of, shown, spread_of
from terrazzo.sweep.importance import importance
from terrazzo.sweep.pooling import FoldCounts, pool
from terrazzo.sweep.results import FIGURES, TrialResult, read_trials
from terrazzo.sweep.statistics import LEVEL, spread
from terrazzo.sweep.trial import Finished, Trial, TrialState

__all__ = ["FOLD_KEY", "Ranking", "outcome", "ranking_of"]

FOLD_KEY = "data.fold"
FORMAT = 1
_STATES = tuple(TrialState)


@dataclass(frozen=True)
class Ranking:
    """By which figure settings are ordered.

    It is never one of the split test: whoever chooses by it has no images left that say how good the choice is.

    Attributes:
        split: `val`, or `TRAINING` where not all settings were judged on it.
        figure: Such as miou.
        more_is_better: Which way.
    """

    split: str
    figure: str
    more_is_better: bool


def outcome(
    folder: Path, trials: Sequence[Trial], done: Sequence[Finished], *, seconds: float, figure: str = "miou"
) -> dict[str, Any]:
    """Read the trials of a sweep and put together what they came to.

    Args:
        folder: The sweep's.
        trials: All that are known.
        done: Those that have ended.
        seconds: Wall time of the sweep's last start.
        figure: What differences are taken of.

    Returns:
        Plain data ready for JSON; None stands for what does not exist.

    Raises:
        ConfigError: No trial has this figure, though some were judged.
    """
    results = read_trials(trials, done)
    settings = settings_of(results)
    splits = _splits(results)
    _require_figure(results, figure)
    ranking = ranking_of(settings)
    ordered = _ordered(settings, ranking)
    compared = [
        one for split in splits for one in compare_all(settings, split, figure, best=ordered[0] if ordered else None)
    ]
    if not splits and ranking is not None:
        compared = list(compare_all(settings, TRAINING, ranking.figure, best=ordered[0]))
    explained = []
    if ranking is not None:
        values = [one.mean for setting in ordered if (one := spread_of(setting, ranking.split, ranking.figure))]
        explained = [asdict(one) for one in importance(ordered, values)]
    numbers = {setting.label: place for place, setting in enumerate(settings)}
    found = {
        "format": FORMAT,
        "name": folder.resolve().name,
        "folder": str(folder),
        "seconds": seconds,
        "level": LEVEL,
        "states": {state.value: Counter(one.state for one in results)[state] for state in _STATES},
        "splits": splits,
        "figure": figure,
        "ranking": None if ranking is None else asdict(ranking),
        "ranked": [one.label for one in ordered],
        "settings": [_setting(one, splits) for one in settings],
        "differences": [_difference(one) for one in compared],
        "folds": [part for setting in settings for part in _folds(setting, splits)],
        "importance": explained,
        "trials": [_trial(one, folder, numbers) for one in results],
    }
    plain: dict[str, Any] = {key: without_nan(value) for key, value in found.items()}
    return plain


def ranking_of(settings: Sequence[Setting]) -> Ranking | None:
    """Return by which figure settings can be ordered: val's mIoU, else what training watched; None without either."""
    present = [setting for setting in settings if setting.finished]
    if not present:
        return None
    if all(setting.values("val", "miou") for setting in present):
        return Ranking("val", "miou", FIGURES["miou"])
    watched = Counter(run.monitor for setting in present for run in setting.finished if run.curve)
    if not watched:
        return None
    figure = watched.most_common(1)[0][0]
    run = next(run for setting in present for run in setting.finished if run.monitor == figure)
    return Ranking(TRAINING, figure, run.more_is_better)


def _ordered(settings: Sequence[Setting], ranking: Ranking | None) -> list[Setting]:
    """Return the settings that have the ranking figure, the best first."""
    if ranking is None:
        return []
    sign = -1 if ranking.more_is_better else 1
    means = [(spread_of(setting, ranking.split, ranking.figure), setting) for setting in settings]
    known = [(sign * one.mean, place, setting) for place, (one, setting) in enumerate(means) if one is not None]
    return [setting for _, _, setting in sorted(known, key=lambda item: item[:2])]


def _splits(results: Sequence[TrialResult]) -> list[str]:
    """Return every split that a trial was judged on, test and val first."""
    return list(dict.fromkeys(split for result in results for split in result.splits))


def _require_figure(results: Sequence[TrialResult], figure: str) -> None:
    """Refuse a figure that nobody measured: its comparisons would all be missing."""
    names = dict.fromkeys(name for result in results for split in result.splits.values() for name in split.names)
    if names and figure not in names:
        raise ConfigError(
            f'no trial was judged by a figure "{figure}".{nearest(figure, list(names))} Figures: {", ".join(names)}.'
        )


def _setting(setting: Setting, splits: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, dict[str, Any]] = {}
    for split in splits:
        names = dict.fromkeys(
            name for run in setting.finished if split in run.splits for name in run.splits[split].names
        )
        found = {name: _spread(setting, split, name) for name in names}
        figures[split] = {name: one for name, one in found.items() if one is not None}
    watched = dict.fromkeys(run.monitor for run in setting.finished)
    figures[TRAINING] = {name: one for name in watched if (one := _spread(setting, TRAINING, name)) is not None}
    times = [run.seconds for run in setting.finished if run.seconds is not None]
    return {
        "label": setting.label,
        "varied": dict(setting.varied),
        "runs": len(setting.runs),
        "finished": len(setting.finished),
        "figures": {split: found for split, found in figures.items() if found},
        "seconds": asdict(spread([[value] for value in times])) if times else None,
    }


def _spread(setting: Setting, split: str, figure: str) -> dict[str, Any] | None:
    found = spread_of(setting, split, figure)
    if found is None:
        return None
    values = setting.values(split, figure)
    rows = [{"run": _told(repeat), "value": values[repeat]} for repeat in sorted(values)]
    return {**asdict(found), "values": rows}


def _told(repeat: Repeat) -> str:
    return " ".join(f"{key}={value}" for key, value in repeat)


def _difference(found: Comparison) -> dict[str, Any]:
    images = found.by_images
    return {
        "first": found.first,
        "second": found.second,
        "split": found.split,
        "figure": found.figure,
        "refused": found.refused or None,
        "left_out": list(found.left_out),
        "p_holm": found.p_holm,
        **({} if found.difference is None else asdict(found.difference)),
        "by_images": None if images is None else {**asdict(images.miou), "images": images.images},
    }


def _folds(setting: Setting, splits: Sequence[str]) -> list[dict[str, Any]]:
    """Pool the folds of each seed; what cannot be pooled says why, and folds that are missing are named."""
    asked = sorted({run.trial.varied[FOLD_KEY] for run in setting.runs if FOLD_KEY in run.trial.varied})
    if len(asked) < 2:
        return []
    found = []
    for split in splits:
        by_seed: dict[Repeat, dict[Any, TrialResult]] = defaultdict(dict)
        for run in setting.finished:
            if split in run.splits:
                others = tuple(pair for pair in repeat_of(run) if pair[0] != FOLD_KEY)
                by_seed[others][run.trial.varied[FOLD_KEY]] = run
        for others, runs in sorted(by_seed.items()):
            found.append(_pooled(setting, split, others, runs, asked))
    return found


def _pooled(
    setting: Setting, split: str, others: Repeat, runs: dict[Any, TrialResult], asked: Sequence[Any]
) -> dict[str, Any]:
    about: dict[str, Any] = {
        "setting": setting.label,
        "split": split,
        "run": _told(others),
        "folds": [fold for fold in asked if fold in runs],
        "missing": [fold for fold in asked if fold not in runs],
        "refused": None,
    }
    if len(runs) < 2:
        return {**about, "refused": "fewer than two folds have finished"}
    try:
        pooled = pool([_fold_counts(fold, runs[fold], split) for fold in asked if fold in runs])
    except ContractError as error:
        return {**about, "refused": str(error)}
    figures = {"miou": pooled.scores.miou, "accuracy": pooled.scores.accuracy, "mean_miou": pooled.mean_miou}
    return {
        **about,
        **figures,
        "images": pooled.images,
        "pixels": pooled.scores.pixels,
        "apart": pooled.apart,
        "classes": {one.name: one.iou for one in pooled.scores.classes},
    }


def _fold_counts(fold: object, run: TrialResult, split: str) -> FoldCounts:
    found = run.splits[split]
    images = load_confusions(found.folder / CONFUSIONS_FILE).images if found.whole else None
    return FoldCounts(shown(fold), tuple(found.classes), found.confusion, images)


def _trial(result: TrialResult, folder: Path, numbers: dict[str, int]) -> dict[str, Any]:
    report = result.trial.folder / "report.html"
    own = settings_of([result])[0].label
    return {
        "number": result.trial.number,
        "name": result.trial.name,
        "state": result.state.value,
        "reason": result.reason,
        "varied": dict(result.trial.varied),
        "setting": numbers[own],
        "run": _told(repeat_of(result)),
        "seconds": result.seconds,
        "epochs": result.epochs,
        "monitor": result.monitor,
        "best": result.best,
        "curve": [list(point) for point in result.curve],
        "figures": {split: {name: found.value(name) for name in found.names} for split, found in result.splits.items()},
        "report": report.relative_to(folder).as_posix() if report.is_file() else None,
        "problems": list(result.problems),
    }
