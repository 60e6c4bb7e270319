"""What `sweep.json` says, in fixed types: whatever has another shape counts as not there and stops no page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terrazzo.report.facts import number
from terrazzo.report.loose import mapping_of, mappings_of, sequence_of, text_of, texts_of

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
    ranking = mapping_of(content.get("ranking"))
    explained = [
        (text_of(one.get("key")), number(one.get("share")), number(one.get("chance")))
        for one in mappings_of(content.get("importance"))
    ]
    return SweepFacts(
        name=text_of(content.get("name")) or "sweep",
        seconds=number(content.get("seconds")),
        states={name: _count(count) for name, count in mapping_of(content.get("states")).items()},
        splits=texts_of(content.get("splits")),
        figure=text_of(content.get("figure")) or "miou",
        ranked_by=(text_of(ranking["split"]), text_of(ranking["figure"]))
        if {"split", "figure"} <= set(ranking)
        else None,
        more_is_better=ranking.get("more_is_better") is not False,
        ranked=texts_of(content.get("ranked")),
        settings=tuple(_setting(one) for one in mappings_of(content.get("settings"))),
        differences=tuple(_difference(one) for one in mappings_of(content.get("differences"))),
        folds=tuple(_fold(one) for one in mappings_of(content.get("folds"))),
        importance=tuple(
            (key, share, chance) for key, share, chance in explained if share is not None and chance is not None
        ),
        trials=tuple(_trial(one) for one in mappings_of(content.get("trials"))),
    )


def _setting(content: Mapping[str, Any]) -> SettingFacts:
    figures = {
        split: {
            name: one for name, given in mapping_of(found).items() if (one := _spread(mapping_of(given))) is not None
        }
        for split, found in mapping_of(content.get("figures")).items()
    }
    return SettingFacts(
        label=text_of(content.get("label")),
        varied=mapping_of(content.get("varied")),
        runs=_count(content.get("runs")),
        finished=_count(content.get("finished")),
        figures=figures,
        seconds=number(mapping_of(content.get("seconds")).get("mean")),
    )


def _spread(content: Mapping[str, Any]) -> SpreadFacts | None:
    mean, lowest, highest = (number(content.get(name)) for name in ("mean", "lowest", "highest"))
    if mean is None or lowest is None or highest is None:
        return None
    values = [(text_of(one.get("run")), number(one.get("value"))) for one in mappings_of(content.get("values"))]
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
    images = mapping_of(content.get("by_images"))
    return DifferenceFacts(
        first=text_of(content.get("first")),
        second=text_of(content.get("second")),
        split=text_of(content.get("split")),
        figure=text_of(content.get("figure")),
        refused=text_of(content.get("refused")),
        left_out=texts_of(content.get("left_out")),
        numbers={name: number(content.get(name)) for name in (*names, *counts)},
        images={name: number(images.get(name)) for name in ("value", "low", "high", "p_value", "images")}
        if images
        else {},
    )


def _fold(content: Mapping[str, Any]) -> FoldFacts:
    return FoldFacts(
        setting=text_of(content.get("setting")),
        split=text_of(content.get("split")),
        run=text_of(content.get("run")),
        folds=texts_of(content.get("folds")),
        missing=texts_of(content.get("missing")),
        refused=text_of(content.get("refused")),
        numbers={name: number(content.get(name)) for name in ("miou", "accuracy", "mean_miou", "images", "pixels")},
        apart=content.get("apart") is True,
    )


def _trial(content: Mapping[str, Any]) -> TrialFacts:
    points = [
        (number(one[0]), number(one[1])) for one in sequence_of(content.get("curve")) if len(sequence_of(one)) == 2
    ]
    return TrialFacts(
        name=text_of(content.get("name")),
        state=text_of(content.get("state")),
        reason=text_of(content.get("reason")),
        setting=_count(content.get("setting")),
        run=text_of(content.get("run")),
        seconds=number(content.get("seconds")),
        epochs=_count(content.get("epochs")),
        monitor=text_of(content.get("monitor")),
        best=number(content.get("best")),
        curve=tuple((x, y) for x, y in points if x is not None and y is not None),
        figures={
            split: {name: number(value) for name, value in mapping_of(found).items()}
            for split, found in mapping_of(content.get("figures")).items()
        },
        report=text_of(content.get("report")),
        problems=texts_of(content.get("problems")),
    )


def _count(value: object) -> int:
    found = number(value)
    return 0 if found is None else round(found)
