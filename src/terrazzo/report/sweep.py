"""What `sweep.json` says, in fixed types: whatever has another shape counts as not there and stops no page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrazzo.report.facts import number

__all__ = [
    "TRAINING",
    "DifferenceFacts",
    "FoldFacts",
    "SettingFacts",
    "SpreadFacts",
    "SweepFacts",
    "TrialFacts",
    "figure_name",
    "sweep_facts",
]

TRAINING = "training"
"""Stands beside the splits for the figure that training watched, at its best epoch."""
_NAMES = {
    "miou": "mIoU",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "foreground_iou": "foreground IoU",
    "boundary_iou": "boundary IoU",
    "ece": "ECE",
    "avg_steps": "mean steps",
}


@dataclass(frozen=True)
class SpreadFacts:
    """Where a figure of several runs lies; None where there are too few.

    Attributes:
        mean: Of seeds, or of folds.
        deviation: Standard deviation of the runs.
        lowest: Of the runs.
        highest: Of the runs.
        low: Lower end of the mean's interval.
        high: Upper end.
        runs: How many there are.
        units: How many count as independent.
        values: Name (seed, fold) and figure of each run.
    """

    mean: float
    deviation: float | None
    lowest: float
    highest: float
    low: float | None
    high: float | None
    runs: int
    units: int
    values: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class SettingFacts:
    """What some trials have in common.

    Attributes:
        label: Its values as they are typed.
        varied: Dotted key -> value.
        runs: Trials in all.
        finished: Those that have finished.
        figures: Spread of each figure, by split.
        seconds: Mean time of a run.
    """

    label: str
    varied: Mapping[str, Any]
    runs: int
    finished: int
    figures: Mapping[str, Mapping[str, SpreadFacts]]
    seconds: float | None


@dataclass(frozen=True)
class DifferenceFacts:
    """Two settings compared.

    Attributes:
        first: Label.
        second: Label.
        split: Role of the images.
        figure: What is compared.
        refused: Why they cannot be; empty where they can.
        left_out: Runs without a partner.
        numbers: mean, low, high, bootstrap_low, bootstrap_high, p_value, p_holm, wins, losses, pairs, units.
        images: value, low, high, p_value and images of the comparison image by image; empty without one.
    """

    first: str
    second: str
    split: str
    figure: str
    refused: str
    left_out: tuple[str, ...]
    numbers: Mapping[str, float | None]
    images: Mapping[str, float | None]


@dataclass(frozen=True)
class FoldFacts:
    """Folds pooled.

    Attributes:
        setting: Label.
        split: Role of the images.
        run: Seed, where seeds vary.
        folds: Those that were added.
        missing: Those that have not finished.
        refused: Why they were not added; empty where they were.
        numbers: miou, accuracy, mean_miou, images, pixels.
        apart: Whether it was seen that no image counts twice.
    """

    setting: str
    split: str
    run: str
    folds: tuple[str, ...]
    missing: tuple[str, ...]
    refused: str
    numbers: Mapping[str, float | None]
    apart: bool


@dataclass(frozen=True)
class TrialFacts:
    """A trial.

    Attributes:
        name: Of its folder.
        state: waiting, running, finished, failed or pruned.
        reason: Why it failed or was pruned.
        setting: Number of its setting.
        run: Seed and fold.
        seconds: Time.
        epochs: Trained.
        monitor: Figure that its training watched.
        best: Best value of that.
        curve: Epoch and value.
        figures: Split -> figure -> value.
        report: Its page, relative to the sweep's folder; empty without one.
        problems: Files that cannot be read.
    """

    name: str
    state: str
    reason: str
    setting: int
    run: str
    seconds: float | None
    epochs: int
    monitor: str
    best: float | None
    curve: tuple[tuple[float, float], ...]
    figures: Mapping[str, Mapping[str, float | None]]
    report: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class SweepFacts:
    """A sweep.

    Attributes:
        name: Of its folder.
        seconds: Wall time of its last start.
        states: How many trials there are in each state.
        splits: Those that trials were judged on.
        figure: What is compared, such as miou.
        ranked_by: Split and figure by which settings are ordered; None where nothing has finished.
        more_is_better: Of that figure.
        ranked: Labels of settings, the best first.
        settings: In the order in which they were asked for.
        differences: Pairs of settings.
        folds: Pooled folds.
        importance: Key, share that it explains, share that chance explains; the most important first.
        trials: All of them.
    """

    name: str
    seconds: float | None
    states: Mapping[str, int]
    splits: tuple[str, ...]
    figure: str
    ranked_by: tuple[str, str] | None
    more_is_better: bool
    ranked: tuple[str, ...]
    settings: tuple[SettingFacts, ...]
    differences: tuple[DifferenceFacts, ...] = ()
    folds: tuple[FoldFacts, ...] = ()
    importance: tuple[tuple[str, float, float], ...] = ()
    trials: tuple[TrialFacts, ...] = field(default=())


def figure_name(name: str) -> str:
    """Return what a figure is called on a page.

    >>> [figure_name(name) for name in ("miou", "iou open water", "frequency_weighted_iou", "val_miou", "val_loss")]
    ['mIoU', 'IoU open water', 'frequency-weighted IoU', 'val_miou', 'val_loss']
    """
    if name.startswith("iou "):
        return f"IoU {name.removeprefix('iou ')}"
    return _NAMES.get(name, name if name.startswith("val_") else name.replace("_", " "))


def sweep_facts(content: Mapping[str, Any]) -> SweepFacts:
    """Return what `sweep.json` says."""
    ranking = _mapping(content.get("ranking"))
    explained = [
        (_text(one.get("key")), number(one.get("share")), number(one.get("chance")))
        for one in _mappings(content.get("importance"))
    ]
    return SweepFacts(
        name=_text(content.get("name")) or "sweep",
        seconds=number(content.get("seconds")),
        states={name: _count(count) for name, count in _mapping(content.get("states")).items()},
        splits=_texts(content.get("splits")),
        figure=_text(content.get("figure")) or "miou",
        ranked_by=(_text(ranking["split"]), _text(ranking["figure"])) if {"split", "figure"} <= set(ranking) else None,
        more_is_better=ranking.get("more_is_better") is not False,
        ranked=_texts(content.get("ranked")),
        settings=tuple(_setting(one) for one in _mappings(content.get("settings"))),
        differences=tuple(_difference(one) for one in _mappings(content.get("differences"))),
        folds=tuple(_fold(one) for one in _mappings(content.get("folds"))),
        importance=tuple(
            (key, share, chance) for key, share, chance in explained if share is not None and chance is not None
        ),
        trials=tuple(_trial(one) for one in _mappings(content.get("trials"))),
    )


def _setting(content: Mapping[str, Any]) -> SettingFacts:
    figures = {
        split: {name: one for name, given in _mapping(found).items() if (one := _spread(_mapping(given))) is not None}
        for split, found in _mapping(content.get("figures")).items()
    }
    return SettingFacts(
        label=_text(content.get("label")),
        varied=_mapping(content.get("varied")),
        runs=_count(content.get("runs")),
        finished=_count(content.get("finished")),
        figures=figures,
        seconds=number(_mapping(content.get("seconds")).get("mean")),
    )


def _spread(content: Mapping[str, Any]) -> SpreadFacts | None:
    mean, lowest, highest = (number(content.get(name)) for name in ("mean", "lowest", "highest"))
    if mean is None or lowest is None or highest is None:
        return None
    values = [(_text(one.get("run")), number(one.get("value"))) for one in _mappings(content.get("values"))]
    return SpreadFacts(
        mean=mean,
        deviation=number(content.get("deviation")),
        lowest=lowest,
        highest=highest,
        low=number(content.get("low")),
        high=number(content.get("high")),
        runs=_count(content.get("runs")),
        units=_count(content.get("units")),
        values=tuple((name, value) for name, value in values if value is not None),
    )


def _difference(content: Mapping[str, Any]) -> DifferenceFacts:
    names = ("mean", "low", "high", "bootstrap_low", "bootstrap_high", "p_value", "p_holm")
    counts = ("wins", "losses", "pairs", "units")
    images = _mapping(content.get("by_images"))
    return DifferenceFacts(
        first=_text(content.get("first")),
        second=_text(content.get("second")),
        split=_text(content.get("split")),
        figure=_text(content.get("figure")),
        refused=_text(content.get("refused")),
        left_out=_texts(content.get("left_out")),
        numbers={name: number(content.get(name)) for name in (*names, *counts)},
        images={name: number(images.get(name)) for name in ("value", "low", "high", "p_value", "images")}
        if images
        else {},
    )


def _fold(content: Mapping[str, Any]) -> FoldFacts:
    return FoldFacts(
        setting=_text(content.get("setting")),
        split=_text(content.get("split")),
        run=_text(content.get("run")),
        folds=_texts(content.get("folds")),
        missing=_texts(content.get("missing")),
        refused=_text(content.get("refused")),
        numbers={name: number(content.get(name)) for name in ("miou", "accuracy", "mean_miou", "images", "pixels")},
        apart=content.get("apart") is True,
    )


def _trial(content: Mapping[str, Any]) -> TrialFacts:
    points = [(number(one[0]), number(one[1])) for one in _sequence(content.get("curve")) if len(_sequence(one)) == 2]
    return TrialFacts(
        name=_text(content.get("name")),
        state=_text(content.get("state")),
        reason=_text(content.get("reason")),
        setting=_count(content.get("setting")),
        run=_text(content.get("run")),
        seconds=number(content.get("seconds")),
        epochs=_count(content.get("epochs")),
        monitor=_text(content.get("monitor")),
        best=number(content.get("best")),
        curve=tuple((x, y) for x, y in points if x is not None and y is not None),
        figures={
            split: {name: number(value) for name, value in _mapping(found).items()}
            for split, found in _mapping(content.get("figures")).items()
        },
        report=_text(content.get("report")),
        problems=_texts(content.get("problems")),
    )


def _count(value: object) -> int:
    found = number(value)
    return 0 if found is None else round(found)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in _sequence(value))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in _sequence(value) if isinstance(entry, Mapping)]


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()
