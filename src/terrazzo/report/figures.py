"""Charts as inline SVG and HTML: they scale, follow the page's light or dark colours, and need no script."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrazzo.report.html import Markup, join, tag
from terrazzo.report.words import percent, quantity, short

__all__ = ["Line", "bar", "confusion_table", "line_chart", "swatch", "ticks"]

WIDTH, HEIGHT = 360.0, 214.0
LEFT, RIGHT, TOP, BOTTOM = 50.0, 10.0, 10.0, 36.0
"""Room around the plot for the labels of the axes, in units of the drawing."""
MOST_POINTS = 60
"""Above as many, points are not marked one by one."""
COUNTS_UP_TO = 10
"""Most classes whose counts stand inside the cells of the confusion matrix."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: Word in the legend.
        points: (x, y) in order; a y of None leaves a gap.
        colour: CSS colour.
        dashed: Tells lines apart without colour.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str
    dashed: bool = False


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return round values between two bounds, about `count` of them.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(1, 3, count=2)
    [1.0, 2.0, 3.0]
    """
    if not high > low:
        return [float(low)]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]


def line_chart(title: str, lines: Sequence[Line], *, floor: float | None = None, mark: float | None = None) -> Markup:
    """Return curves over epochs with a legend above.

    Args:
        title: What is shown; a missing curve is left out, and a chart without points says so.
        lines: The curves.
        floor: Lowest value of the y axis; the data's own if None.
        mark: Epoch to mark with an upright line.
    """
    drawn = [line for line in lines if any(y is not None for _, y in line.points)]
    heading = tag("figcaption", tag("b", title), _legend(drawn) if len(drawn) > 1 else "")
    if not drawn:
        return tag("figure", heading, tag("p", "No values.", class_="missing"), class_="chart")
    values = [y for line in drawn for _, y in line.points if y is not None]
    epochs = [x for line in drawn for x, _ in line.points]
    low, high = (min(values) if floor is None else min(floor, *values)), max(values)
    if high == low:
        low, high = low - abs(low) * 0.1 - 1e-6, high + abs(high) * 0.1 + 1e-6
    frame = _Frame(min(epochs), max(epochs), low, high + 0.04 * (high - low))
    parts = [*_axes(frame)]
    if mark is not None and frame.first <= mark <= frame.last:
        x = frame.x(mark)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark"))
    for line in drawn:
        parts += _drawn(line, frame)
    picture = tag("svg", *parts, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=f"{title} over epochs")
    return tag("figure", heading, picture, class_="chart")


@dataclass(frozen=True)
class _Frame:
    """Maps values to places in the drawing."""

    first: float
    last: float
    low: float
    high: float

    def x(self, value: float) -> float:
        share = (value - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _axes(frame: _Frame) -> list[Markup]:
    parts = []
    for value in ticks(frame.low, frame.high):
        y = frame.y(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", short(value), x=LEFT - 6, y=y + 4, text_anchor="end"))
    whole = [value for value in ticks(frame.first, frame.last, count=6) if value == int(value)]
    below = HEIGHT - BOTTOM + 15
    parts += [tag("text", str(int(value)), x=frame.x(value), y=below, text_anchor="middle") for value in whole]
    parts.append(tag("text", "epoch", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"))
    return parts


def _drawn(line: Line, frame: _Frame) -> list[Markup]:
    """A path that breaks where values are missing, and its points where they are few."""
    steps, pen_down = [], False
    for x, y in line.points:
        if y is not None:
            steps.append(f"{'L' if pen_down else 'M'}{frame.x(x):.1f} {frame.y(y):.1f}")
        pen_down = y is not None
    style = f"stroke:{line.colour}"
    dash = "5 3" if line.dashed else None
    parts = [tag("path", d=" ".join(steps), class_="curve", style=style, stroke_dasharray=dash)]
    known = [(x, y) for x, y in line.points if y is not None]
    if len(known) <= MOST_POINTS:
        for x, y in known:
            note = tag("title", f"{line.name}, epoch {x:g}: {short(y)}")
            dot = tag("g", note, tag("circle", cx=frame.x(x), cy=frame.y(y), r=2.2, style=f"fill:{line.colour}"))
            parts.append(dot)
    return parts


def _legend(lines: Sequence[Line]) -> Markup:
    items = []
    for line in lines:
        stroke = tag(
            "line",
            x1=0,
            x2=22,
            y1=5,
            y2=5,
            style=f"stroke:{line.colour}",
            stroke_dasharray="5 3" if line.dashed else None,
        )
        key = tag("svg", stroke, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")
        items.append(tag("span", key, line.name, class_="key"))
    return tag("span", *items, class_="legend")


def swatch(colour: Sequence[int]) -> Markup:
    """Return a small square in a class's colour, framed so that pale and dark ones show on any page."""
    red, green, blue = (int(channel) for channel in colour)
    return tag("span", class_="swatch", style=f"background:rgb({red},{green},{blue})", aria_hidden="true")


def bar(share: float | None) -> Markup:
    """Return a bar whose length is a share of 0..1 of its column; none for None."""
    width = 0.0 if share is None else 100 * min(max(share, 0.0), 1.0)
    return tag("span", tag("span", style=f"width:{width:.1f}%"), class_="bar", aria_hidden="true")


def confusion_table(counts: Sequence[Sequence[int]], classes: Sequence[Mapping[str, object]]) -> Markup:
    """Return a confusion matrix: rows label, columns prediction, each row's shares as heat.

    Cells hold the share of the row in per cent, and counts below it for up to ten classes; with more the
    sign is left out, and the counts follow in a table of their own.

    Args:
        counts: Pixels; rows label, columns prediction.
        classes: `name` and `colour` of each class.
    """
    inside = len(counts) <= COUNTS_UP_TO
    body = [_confusion_row(row, counts=inside, number=index, classes=classes) for index, row in enumerate(counts)]
    corner = tag("th", "label ↓ prediction →", class_="corner", scope="col")
    table = tag("table", tag("thead", tag("tr", corner, *_columns(classes))), tag("tbody", *body), class_="confusion" if inside else "confusion dense")
    if inside:
        return tag("div", table, class_="scroll")
    plain = [
        tag("tr", _row_name(classes[index]), *(tag("td", quantity(count)) for count in row))
        for index, row in enumerate(counts)
    ]
    numbers = tag("table", tag("thead", tag("tr", corner, *_columns(classes))), tag("tbody", *plain), class_="counts")
    return join(
        [
            tag("div", table, class_="scroll"),
            tag("details", tag("summary", "Counts in pixels"), tag("div", numbers, class_="scroll")),
        ]
    )


def _columns(classes: Sequence[Mapping[str, object]]) -> list[Markup]:
    return [tag("th", tag("span", str(entry["name"])), class_="upright", scope="col") for entry in classes]


def _row_name(entry: Mapping[str, object]) -> Markup:
    return tag("th", str(entry["name"]), scope="row")


def _confusion_row(row: Sequence[int], *, counts: bool, number: int, classes: Sequence[Mapping[str, object]]) -> Markup:
    total = sum(row)
    cells = []
    for column, count in enumerate(row):
        share = count / total if total else None
        heat = 0.0 if share is None else share
        note = f"{classes[number]['name']} as {classes[column]['name']}: {quantity(count)} pixels, {percent(share)}"
        told = "–" if share is None else percent(share)
        figures = [tag("b", told if counts else told.removesuffix(" %"))]
        if counts:
            figures.append(tag("small", quantity(count)))
        dark = " strong" if heat > 0.55 else ""
        cells.append(tag("td", *figures, class_=f"heat{dark}", style=f"--share:{100 * heat:.1f}%", title=note))
    return tag("tr", _row_name(classes[number]), *cells)
