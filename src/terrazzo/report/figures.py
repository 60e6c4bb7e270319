"""Charts as inline SVG and HTML: they scale, follow the page's light or dark colours, and need no script."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from terrazzo.report.html import Markup, tag
from terrazzo.report.words import percent, short

__all__ = ["Line", "bar", "css", "line_chart", "stack", "swatch", "tick_labels", "ticks"]

WIDTH, HEIGHT = 360.0, 214.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 10.0, 10.0, 36.0
"""Room around the plot for the labels of the axes, in units of the drawing."""
MOST_POINTS = 60
"""Above as many, points are not marked one by one."""
MOST_DECIMALS = 4
"""On an axis; what needs more is written in powers of ten."""
SPREAD = 30.0
"""From this ratio of the largest to the smallest value on, an axis goes by powers of ten."""
COUNTED = frozenset({"epoch", "step"})
"""What only whole numbers stand along the chart for."""
FLAT = 1e-3
"""Curves that vary less than this share of their values count as constant; closer ticks would all read alike."""


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: Word in the legend.
        points: (x, y) in order; a y of None leaves a gap.
        colour: CSS colour.
        dashed: Tells lines apart without colour.
        halo: "dim" or "pale" draws a quiet edge on a dark or a pale page, where such a colour vanishes.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: str
    dashed: bool = False
    halo: str = ""


def ticks(low: float | int, high: float | int, *, count: int = 5) -> list[float]:
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
    return [float(f"{index * step:.12g}") + 0.0 for index in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Return the labels of an axis: all with as many decimals as tell them apart, or all in powers of ten.

    >>> tick_labels([0.0, 0.0005, 0.001])
    ['0', '0.0005', '0.0010']
    >>> tick_labels([0.0, 5e-06, 1e-05])
    ['0', '5e-6', '1e-5']
    """
    step = min((abs(high - low) for low, high in pairwise(values)), default=0.0)
    largest = max(map(abs, values), default=0.0)
    if step == 0:
        return [short(value) for value in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if decimals <= MOST_DECIMALS and largest < 1e5:
        return ["0" if value == 0 else f"{value:.{decimals}f}" for value in values]
    digits = max(0, math.floor(math.log10(largest) + 1e-9) - math.floor(math.log10(step) + 1e-9))
    return [_scientific(value, digits) for value in values]


def _scientific(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"


def line_chart(
    title: str, lines: Sequence[Line], *, floor: float | None = None, mark: float | None = None, axis: str = "epoch"
) -> Markup:
    """Return curves over epochs, or over something else, with a legend above.

    Positive values that spread over more than a decade and a half, such as a loss that began by exploding, get an
    upright axis in powers of ten, which the title says.

    Args:
        title: What is shown; a missing curve is left out, and a chart without points says so.
        lines: The curves.
        floor: Lowest value of the y axis, which is then never in powers of ten; the data's own if None.
        mark: Epoch to mark with an upright line.
        axis: What lies along the chart; epochs and steps are counted, anything else is measured.
    """
    drawn = [line for line in lines if any(y is not None for _, y in line.points)]
    values = [y for line in drawn for _, y in line.points if y is not None]
    decades = floor is None and bool(values) and min(values) > 0 and max(values) > SPREAD * min(values)
    shown = f"{title} (logarithmic)" if decades else title
    heading = tag("figcaption", tag("b", shown), _legend(drawn) if len(drawn) > 1 else "")
    if not drawn:
        return tag("figure", heading, tag("p", "No values.", class_="missing"), class_="chart")
    epochs = [x for line in drawn for x, _ in line.points]
    low, high = _bounds([math.log10(value) for value in values] if decades else values, floor)
    frame = _Frame(min(epochs), max(epochs), low, high, decades)
    along = "epochs" if axis == "epoch" else axis
    told = f"{shown} over {along} {frame.first:g} to {frame.last:g}: " + "; ".join(map(_told, drawn))
    parts = [tag("title", told), *_axes(frame, axis)]
    if mark is not None and frame.first <= mark <= frame.last:
        x = frame.x(mark)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark"))
    for line in drawn:
        parts += _drawn(line, frame, axis)
    picture = tag("svg", *parts, viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=told)
    return tag("figure", heading, picture, class_="chart")


def _told(line: Line) -> str:
    """Return a curve in words."""
    known = [y for _, y in line.points if y is not None]
    ends, bounds = f"from {short(known[0])} to {short(known[-1])}", f"{short(min(known))} to {short(max(known))}"
    return f"{line.name} {ends} (within {bounds})"


def _bounds(values: Sequence[float], floor: float | None) -> tuple[float, float]:
    """Return the ends of the upright axis; a constant gets room around it."""
    low = min(values) if floor is None else min(floor, *values)
    high = max(values)
    if high - low <= FLAT * max(abs(low), abs(high)):
        room = 0.1 * max(abs(low), abs(high)) or 1.0
        low, high = (low if low == floor else low - room), high + room
    return low, high + 0.04 * (high - low)


@dataclass(frozen=True)
class _Frame:
    """Maps values to places in the drawing; with decades, `low` and `high` are powers of ten."""

    first: float
    last: float
    low: float
    high: float
    decades: bool

    def x(self, value: float) -> float:
        share = (value - self.first) / (self.last - self.first) if self.last > self.first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        place = math.log10(value) if self.decades else value
        share = (place - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def heights(self) -> list[tuple[float, str]]:
        """Return the values to mark on the upright axis, and their labels."""
        if not self.decades:
            values = ticks(self.low, self.high)
            return list(zip(values, tick_labels(values), strict=True))
        powers = [power for power in ticks(self.low, self.high) if power == int(power)]
        return [(10.0**power, short(10.0**power)) for power in powers]


def _axes(frame: _Frame, axis: str) -> list[Markup]:
    parts = []
    for value, label in frame.heights():
        y = frame.y(value)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", label, x=LEFT - 6, y=y + 4, text_anchor="end"))
    places = ticks(frame.first, frame.last, count=6)
    if axis in COUNTED:
        places = [value for value in places if value == int(value)]
    below = HEIGHT - BOTTOM + 15
    parts += [
        tag("text", label, x=frame.x(value), y=below, text_anchor="middle")
        for value, label in zip(places, tick_labels(places), strict=True)
    ]
    parts.append(tag("text", axis, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"))
    return parts


def _drawn(line: Line, frame: _Frame, axis: str) -> list[Markup]:
    """Return a path that breaks where values are missing, and points where they are few or stand alone."""
    steps, alone, before = [], [], None
    following = [y for _, y in line.points[1:]] + [None]
    for (x, y), after in zip(line.points, following, strict=True):
        if y is not None:
            steps.append(f"{'M' if before is None else 'L'}{frame.x(x):.1f} {frame.y(y):.1f}")
            if before is None and after is None:
                alone.append((x, y))
        before = y
    path = " ".join(steps)
    parts = [tag("path", d=path, class_=f"halo {line.halo}")] if line.halo else []
    dash = "5 3" if line.dashed else None
    parts.append(tag("path", d=path, class_="curve", style=f"stroke:{line.colour}", stroke_dasharray=dash))
    known = [(x, y) for x, y in line.points if y is not None]
    for x, y in known if len(known) <= MOST_POINTS else alone:
        note = tag("title", f"{line.name}, {axis} {x:g}: {short(y)}")
        dot = tag("circle", cx=frame.x(x), cy=frame.y(y), r=2.2, style=f"fill:{line.colour}")
        parts.append(tag("g", note, dot))
    return parts


def _legend(lines: Sequence[Line]) -> Markup:
    items = []
    for line in lines:
        ends: dict[str, float] = {"x1": 2, "x2": 20, "y1": 5, "y2": 5}
        strokes = [tag("line", **ends, class_=f"halo {line.halo}")] if line.halo else []
        dash = "5 3" if line.dashed else None
        strokes.append(tag("line", **ends, class_="curve", style=f"stroke:{line.colour}", stroke_dasharray=dash))
        key = tag("svg", *strokes, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")
        items.append(tag("span", key, line.name, class_="key"))
    return tag("span", *items, class_="legend")


def swatch(colour: tuple[int, int, int]) -> Markup:
    """Return a small square in a class's colour, framed so that pale and dark ones show on any page."""
    return tag("span", class_="swatch", style=f"background:{css(colour)}", aria_hidden="true")


def bar(share: float | None, colour: tuple[int, int, int] | None = None) -> Markup:
    """Return a bar whose length is a share of 0..1 of its column; an empty one for None.

    Args:
        share: What lies outside 0..1 is cut off.
        colour: Of the class; the page's own if None.
    """
    width = 0.0 if share is None else 100 * min(max(share, 0.0), 1.0)
    painted = "" if colour is None else f";background:{css(colour)}"
    return tag("span", tag("span", style=f"width:{width:.1f}%{painted}"), class_="bar", aria_hidden="true")


def stack(shares: Sequence[tuple[str, float, tuple[int, int, int]]]) -> Markup:
    """Return one bar cut into shares.

    Args:
        shares: Name, share of 0..1 and colour of each part, in order; pointing at a part tells the first two.
    """
    parts = [
        tag("span", style=f"width:{100 * share:.2f}%;background:{css(colour)}", title=f"{name}: {percent(share)}")
        for name, share, colour in shares
        if share > 0
    ]
    told = ", ".join(f"{name} {percent(share)}" for name, share, _ in shares if share > 0)
    return tag("span", *parts, class_="bar stack", role="img", aria_label=told)


def css(colour: tuple[int, int, int]) -> str:
    """Return a colour as style sheets write it.

    >>> css((1, 2, 3))
    'rgb(1,2,3)'
    """
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"
