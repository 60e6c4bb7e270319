"""Figures of a sweep: runs of each setting beside each other, a figure over a varied number, and settings as lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrazzo.report.figures import tick_labels, ticks
from terrazzo.report.html import Markup, tag
from terrazzo.report.sweep import SpreadFacts
from terrazzo.report.words import short

__all__ = ["COLOURS", "Scale", "Series", "parallel_chart", "scale_of", "strip", "strip_axis", "value_chart"]

COLOURS = ("var(--first)", "var(--second)", "var(--third)", "var(--fourth)")
STRIP, ROOM, STRIP_HEIGHT = 240.0, 8.0, 24.0
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360.0, 230.0, 56.0, 16.0, 10.0, 36.0
LINES_HEIGHT = 200.0
DECADES = 30.0
"""From this ratio of the largest to the smallest on, varied numbers stand on a logarithmic axis."""


@dataclass(frozen=True)
class Scale:
    """Ends of an axis."""

    low: float
    high: float

    def across(self, value: float) -> float:
        """Return how far along the axis a value lies, cut off at its ends, 0..1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


@dataclass(frozen=True)
class Series:
    """Points of one kind.

    Attributes:
        name: Word in the legend; empty for none.
        points: Value that varies, figure, and what is told about the point.
        colour: CSS colour.
        joined: Whether a line leads through them.
    """

    name: str
    points: Sequence[tuple[float, float, str]]
    colour: str
    joined: bool


def scale_of(spreads: Sequence[SpreadFacts]) -> Scale:
    """Return an axis on which every run has room; intervals of few runs may reach beyond it.

    >>> scale_of([])
    Scale(low=0.0, high=1.0)
    """
    if not spreads:
        return Scale(0.0, 1.0)
    low, high = min(one.lowest for one in spreads), max(one.highest for one in spreads)
    # An interval counts as far as it doubles what the runs themselves need.
    wide = (high - low) or 0.02 * max(abs(high), abs(low)) or 0.01
    ends = [end for one in spreads for end in (one.low, one.high) if end is not None]
    low = max(min([low, *ends]), low - wide)
    high = min(max([high, *ends]), high + wide)
    room = 0.06 * (high - low) or 0.1 * wide
    return Scale(low - room, high + room)


def strip(found: SpreadFacts, scale: Scale) -> Markup:
    """Return the runs of a setting as points, with the mean and its interval; the numbers stand beside it."""
    middle, dots = 17.0, 7.0
    if found.low is None:
        dots = STRIP_HEIGHT / 2
    parts = [_upright(_along(value, scale), 0, STRIP_HEIGHT, "grid") for value in _marks(scale)]
    if found.low is not None and found.high is not None:
        left, right = _along(found.low, scale), _along(found.high, scale)
        style = "stroke:var(--first)"
        parts.append(tag("line", x1=left, x2=right, y1=middle, y2=middle, class_="whisker", style=style))
        # An end beyond the axis has no mark: the interval goes on.
        inside = [end for end in (found.low, found.high) if scale.low <= end <= scale.high]
        parts += [
            tag("line", x1=x, x2=x, y1=middle - 3, y2=middle + 3, class_="whisker", style=style)
            for x in (_along(end, scale) for end in inside)
        ]
    for name, value in found.values:
        dot = tag("circle", cx=_along(value, scale), cy=dots, r=3.2, class_="run-dot")
        parts.append(tag("g", tag("title", f"{name + ': ' if name else ''}{short(value)}"), dot))
    if found.runs > 1:
        x = _along(found.mean, scale)
        parts.append(_upright(x, 2, STRIP_HEIGHT - 2, "mean-line"))
    return tag(
        "svg", *parts, viewBox=f"0 0 {STRIP:g} {STRIP_HEIGHT:g}", width=STRIP, height=STRIP_HEIGHT, class_="whiskers",
        aria_hidden="true",
    )  # fmt: skip


def strip_axis(scale: Scale) -> Markup:
    """Return the scale that stands above a column of strips."""
    values = _marks(scale)
    parts = [
        tag("text", label, x=_along(value, scale), y=11, text_anchor="middle")
        for value, label in zip(values, tick_labels(values), strict=True)
    ]
    return tag(
        "svg", *parts, viewBox=f"0 0 {STRIP:g} 14", width=STRIP, height=14, class_="whiskers", aria_hidden="true"
    )


def _marks(scale: Scale) -> list[float]:
    """Return the values that are marked: those whose labels fit."""
    return [value for value in ticks(scale.low, scale.high, count=3) if 0.06 <= scale.across(value) <= 0.94]


def _along(value: float, scale: Scale) -> float:
    return ROOM + scale.across(value) * (STRIP - 2 * ROOM)


def _upright(x: float, top: float | int, bottom: float | int, kind: str) -> Markup:
    return tag("line", x1=x, x2=x, y1=top, y2=bottom, class_=kind)


def value_chart(title: str, axis: str, series: Sequence[Series], *, figure: str) -> Markup:
    """Return a figure over a number that varies, on a logarithmic axis where the number spreads over decades.

    Args:
        title: What is shown.
        axis: The number's key.
        series: Points; at least one.
        figure: What the upright axis shows.
    """
    places = [x for one in series for x, _, _ in one.points]
    log = min(places) > 0 and max(places) >= DECADES * min(places)
    wide = _padded([math.log10(x) if log else x for x in places], 0.04)
    high = _padded([y for one in series for _, y, _ in one.points], 0.08)

    def at(x: float) -> float:
        return LEFT + wide.across(math.log10(x) if log else x) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - high.across(y) * (HEIGHT - TOP - BOTTOM)

    parts: list[Markup] = []
    heights = ticks(high.low, high.high, count=4)
    for value, label in zip(heights, tick_labels(heights), strict=True):
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=up(value), y2=up(value), class_="grid"))
        parts.append(tag("text", label, x=LEFT - 6, y=up(value) + 4, text_anchor="end"))
    below = HEIGHT - BOTTOM + 15
    for value, label in _places(wide, log=log):
        parts.append(tag("text", label, x=at(value), y=below, text_anchor="middle"))
    parts.append(tag("text", axis, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"))
    for one in series:
        if one.joined and len(one.points) > 1:
            path = "M" + " L".join(f"{at(x):.1f} {up(y):.1f}" for x, y, _ in sorted(one.points))
            parts.append(tag("path", d=path, class_="curve", style=f"stroke:{one.colour}"))
        for x, y, told in one.points:
            dot = tag("circle", cx=at(x), cy=up(y), r=3, style=f"fill:{one.colour}")
            parts.append(tag("g", tag("title", f"{told}: {short(y)}"), dot))
    told = f"{title}: {figure} over {axis} from {short(min(places))} to {short(max(places))}"
    keys = [_key(one) for one in series if one.name]
    heading = tag(
        "figcaption",
        tag("b", f"{title} (logarithmic)" if log else title),
        tag("span", *keys, class_="legend") if len(keys) > 1 else "",
    )
    size = f"0 0 {WIDTH:g} {HEIGHT:g}"
    drawing = tag("svg", tag("title", told), *parts, viewBox=size, role="img", aria_label=told)
    return tag("figure", heading, drawing, class_="chart")


def _key(one: Series) -> Markup:
    dot = tag("circle", cx=5, cy=5, r=4, style=f"fill:{one.colour}")
    key = tag("svg", dot, viewBox="0 0 10 10", width=10, height=10, aria_hidden="true")
    return tag("span", key, one.name, class_="key")


def _padded(values: Sequence[float], share: float) -> Scale:
    low, high = min(values), max(values)
    room = share * (high - low) or 0.1 * max(abs(low), abs(high)) or 1.0
    return Scale(low - room, high + room)


def _places(wide: Scale, *, log: bool) -> list[tuple[float, str]]:
    """Return the values to mark along a chart, and their labels."""
    if not log:
        values = [value for value in ticks(wide.low, wide.high, count=4) if 0.03 <= wide.across(value) <= 0.97]
        return list(zip(values, tick_labels(values), strict=True))
    step = max(1, math.ceil((wide.high - wide.low) / 6))
    powers = range(math.ceil(wide.low), math.floor(wide.high) + 1, step)
    return [(10.0**power, short(10.0**power)) for power in powers]


def parallel_chart(
    title: str, keys: Sequence[str], rows: Sequence[tuple[Mapping[str, Any], float, str]], *, figure: str, better: bool
) -> Markup:
    """Return every setting as a line over upright axes, one for each varied key, the last one for the figure.

    Names of axes may be long, so that the axes bear numbers, and a list below says what they are.

    Args:
        title: What is shown.
        keys: Dotted keys.
        rows: Values, figure and label of each setting.
        figure: Name of the figure.
        better: Whether more of it is better.
    """
    axes = [*(_Axis.of(key, [values.get(key) for values, _, _ in rows]) for key in keys)]
    axes.append(_Axis.of(figure, [value for _, value, _ in rows]))
    gap = (WIDTH - 40) / (len(axes) - 1)
    top, bottom = 22.0, LINES_HEIGHT - 8
    order = sorted(rows, key=lambda row: row[1], reverse=not better)
    parts: list[Markup] = []
    for place, _ in enumerate(axes, 1):
        x = 20 + (place - 1) * gap
        parts.append(_upright(x, top, bottom, "grid"))
        parts.append(tag("text", str(place), x=x, y=14, text_anchor="middle"))
    for rank, (values, value, label) in enumerate(order, 1):
        shares = [*(axis.share(values.get(key)) for axis, key in zip(axes, keys, strict=False)), axes[-1].share(value)]
        points = [(20 + at * gap, bottom - share * (bottom - top)) for at, share in enumerate(shares)]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        best, good = rank == len(order), rank > 0.75 * len(order)
        colour = "var(--second)" if best else "var(--first)" if good else "var(--quiet)"
        style = f"stroke:{colour};stroke-opacity:{1 if best else 0.75 if good else 0.3}"
        parts.append(
            tag("g", tag("title", f"{label}: {short(value)}"), tag("path", d=path, class_="curve", style=style))
        )
    told = f"{title}: {len(rows)} settings over {', '.join(axis.name for axis in axes)}"
    size = f"0 0 {WIDTH:g} {LINES_HEIGHT:g}"
    drawing = tag("svg", tag("title", told), *parts, viewBox=size, role="img", aria_label=told)
    named = tag("ol", *(tag("li", tag("b", axis.name), f" {axis.told}") for axis in axes), class_="axes")
    heading = tag(
        "figcaption",
        tag("b", title),
        tag("span", "A line is a setting: the best orange, the best quarter blue.", class_="figure-note"),
    )
    return tag("figure", heading, drawing, named, class_="chart")


@dataclass(frozen=True)
class _Axis:
    """An upright axis of numbers, or of choices from bottom to top."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, values: Sequence[Any]) -> "_Axis":
        if values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            low, high = float(min(values)), float(max(values))
            return cls(name, low, high, log=low > 0 and high >= DECADES * low)
        return cls(name, choices=tuple(dict.fromkeys(map(str, values))))

    def share(self, value: Any) -> float:  # noqa: ANN401 - of whatever kind settings are
        if self.choices:
            return (self.choices.index(str(value)) + 0.5) / len(self.choices)
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return float((value - self.low) / (self.high - self.low))

    @property
    def told(self) -> str:
        if self.choices:
            return f"from bottom to top: {', '.join(self.choices)}"
        return f"{short(self.low)} to {short(self.high)}{', logarithmic' if self.log else ''}"
