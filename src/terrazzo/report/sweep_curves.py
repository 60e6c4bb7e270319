"""Charts of a sweep: curves of training, a figure over each number that varies, and which settings matter."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from terrazzo.report.blocks import missing, section, table
from terrazzo.report.figures import Line, bar, line_chart
from terrazzo.report.html import Markup, tag
from terrazzo.report.sweep import SettingFacts, SweepFacts, TrialFacts, figure_name
from terrazzo.report.sweep_figures import COLOURS, Series, parallel_chart, value_chart
from terrazzo.report.sweep_tables import ranked_settings
from terrazzo.report.words import fine_percent

__all__ = ["curves_section", "search_section", "values_section"]

_MOST_CURVES = 8
_FEWEST_LINES = 4
_MOST_AXES = 10


def curves_section(sweep: SweepFacts) -> Markup:
    """Return the figure that training watched, over epochs: the mean of each setting's runs."""
    monitors = list(dict.fromkeys(one.monitor for one in sweep.trials if one.curve))
    if not monitors:
        return section("Training", missing("No trial has validated an epoch yet."))
    ranked = ranked_settings(sweep)
    order = [*ranked, *(one for one in sweep.settings if one not in ranked)]
    numbers = {one.label: number for number, one in enumerate(sweep.settings)}
    charts = []
    several = False
    for monitor in monitors:
        lines: list[Line] = []
        for setting in order:
            runs = [one for one in sweep.trials if one.setting == numbers[setting.label] and one.monitor == monitor]
            points = _mean_curve(runs)
            if points:
                place = len(lines)
                colour = COLOURS[place % len(COLOURS)]
                lines.append(Line(setting.label, points, colour, dashed=place >= len(COLOURS)))
                several = several or len(runs) > 1
        charts.append(line_chart(monitor, lines[:_MOST_CURVES]))
    parts: list[Markup] = [tag("div", *charts, class_="charts")]
    notes = []
    if several:
        notes.append("A curve is the mean over a setting's runs that have come so far, unfinished ones included.")
    if len(order) > _MOST_CURVES:
        notes.append(f"The best {_MOST_CURVES} of {len(order)} settings are shown.")
    if notes:
        parts.append(tag("p", " ".join(notes), class_="note"))
    return section("Training", *parts)


def _mean_curve(runs: list[TrialFacts]) -> list[tuple[float, float | None]]:
    """Return the mean of the runs at each epoch that as many of them have as at the first."""
    by_epoch: dict[float, list[float]] = defaultdict(list)
    for run in runs:
        for epoch, value in run.curve:
            by_epoch[epoch].append(value)
    begun = sum(bool(run.curve) for run in runs)
    # A mean that runs drop out of would jump for no reason but that.
    return [(epoch, sum(values) / begun) for epoch, values in sorted(by_epoch.items()) if len(values) == begun]


def _means(sweep: SweepFacts) -> list[tuple[SettingFacts, float]]:
    """Return the ranking figure of each setting that has it."""
    if sweep.ranked_by is None:
        return []
    split, figure = sweep.ranked_by
    return [
        (one, found.mean) for one in sweep.settings if (found := one.figures.get(split, {}).get(figure)) is not None
    ]


def _numeric(means: list[tuple[SettingFacts, float]]) -> list[str]:
    """Return the keys under which every setting has a number, and not all the same two."""
    keys = dict.fromkeys(key for one, _ in means for key in one.varied)
    found = []
    for key in keys:
        values = [one.varied.get(key) for one, _ in means]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if numbers and len(set(values)) > 2:
            found.append(key)
    return found


def values_section(sweep: SweepFacts) -> Markup | None:
    """Return the ranking figure over each number that varies; None where none takes three values."""
    means = _means(sweep)
    keys = _numeric(means)
    if not keys or sweep.ranked_by is None:
        return None
    split, figure = sweep.ranked_by
    name = figure_name(figure)
    charts = [value_chart(f"{name} over {key}", key, _series(means, key), figure=name) for key in keys]
    told = f"A point is the mean of a setting's runs: {name} of {split}."
    return section("Values", tag("div", *charts, class_="charts"), tag("p", told, class_="note"))


def _series(means: list[tuple[SettingFacts, float]], key: str) -> list[Series]:
    """Return a joined series for each combination of the other settings, where these are few and repeat."""
    by_rest: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for one, value in means:
        rest = " ".join(f"{other}={_told(of)}" for other, of in one.varied.items() if other != key)
        by_rest[rest].append((float(one.varied[key]), value, one.label))
    if len(by_rest) <= len(COLOURS) and all(len(points) > 1 for points in by_rest.values()):
        return [
            Series(rest, points, COLOURS[place], joined=True) for place, (rest, points) in enumerate(by_rest.items())
        ]
    return [Series("", [point for points in by_rest.values() for point in points], COLOURS[0], joined=False)]


def _told(value: object) -> str:
    if isinstance(value, Mapping):
        return str(value.get("name", value))
    return str(value)


def search_section(sweep: SweepFacts) -> Markup | None:
    """Return which settings matter, and all of them as lines; None where one varies, or few settings ran."""
    means = _means(sweep)
    keys = list(dict.fromkeys(key for one, _ in means for key in one.varied))
    if len(keys) < 2 or len(means) < _FEWEST_LINES or sweep.ranked_by is None:
        return None
    parts: list[Markup] = []
    if len(keys) <= _MOST_AXES:
        rows = [(_plain(one.varied), value, one.label) for one, value in means]
        chart = parallel_chart(
            "Settings as lines", keys, rows, figure=figure_name(sweep.ranked_by[1]), better=sweep.more_is_better
        )
        parts.append(tag("div", chart, class_="charts"))
    if sweep.importance:
        parts.append(tag("h4", "What explains the differences"))
        body = [
            tag(
                "tr",
                tag("th", key, scope="row"),
                tag("td", bar(share)),
                tag("td", fine_percent(share)),
                tag("td", fine_percent(chance)),
                tag("td", "yes" if share > chance else "no"),
            )
            for key, share, chance in sweep.importance
        ]
        heads = ("setting", tag("td"), "explains", "by chance up to", "more than chance")
        parts.append(table("Importance of settings", heads, body))
        note = (
            "Share of the variance of ranks between groups of a setting's values, each setting by itself; numbers are "
            "cut into four groups. 19 of 20 random shuffles explain less than what stands under chance. Trials that "
            "were stopped early do not enter."
        )
        parts.append(tag("p", note, class_="note"))
    else:
        parts.append(tag("p", "What matters is told apart from chance from eight finished settings on.", class_="note"))
    return section("Search", *parts)


def _plain(varied: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of settings as an axis names them."""
    return {
        key: value if isinstance(value, int | float) and not isinstance(value, bool) else _told(value)
        for key, value in varied.items()
    }
