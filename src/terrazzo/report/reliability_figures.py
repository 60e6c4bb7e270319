"""Figures of reliability: how often stated probabilities came true, and calibration errors with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from terrazzo.report.figures import swatch, tick_labels, ticks
from terrazzo.report.html import Markup, tag
from terrazzo.report.reliability_facts import BinFacts, EstimateFacts
from terrazzo.report.words import fine_percent, percent, quantity

__all__ = [
    "AFTER",
    "BEFORE",
    "class_diagram",
    "diagram_legend",
    "reliability_diagram",
    "whisker_axis",
    "whiskers",
]

BEFORE, AFTER = "var(--second)", "var(--first)"
"""Colours of uncalibrated and calibrated answers."""
WIDTH, LEFT, RIGHT, TOP = 360.0, 56.0, 20.0, 10.0
PLOT, BETWEEN, HISTOGRAM, BOTTOM = 250.0, 12.0, 56.0, 36.0
"""Heights in units of the drawing: the diagram, the room below it, the shares of pixels, the lower axis."""
SMALL, SMALL_LEFT, SMALL_RIGHT, SMALL_TOP, SMALL_BOTTOM = 180.0, 30.0, 8.0, 6.0, 20.0
BINS = 15
RARE = 1e-4
"""Bins of a smaller share of the pixels are pale in a diagram, and left out of a small one: chance moves them."""
WHISKER_WIDTH, WHISKER_ROOM = 220.0, 6.0


@dataclass(frozen=True)
class _Square:
    """Maps shares of 0..1 to places in a square plot."""

    left: float
    top: float
    width: float
    height: float

    def x(self, share: float | int) -> float:
        return self.left + share * self.width

    def y(self, share: float | int) -> float:
        return self.top + (1 - share) * self.height


def reliability_diagram(title: str, bins: Sequence[BinFacts]) -> Markup:
    """Return how often the class shown was right, by how sure the network was, with the shares of pixels below.

    Args:
        title: What was measured, with its figure.
        bins: Those that hold pixels.
    """
    heading = tag("figcaption", tag("b", title))
    total = sum(one.pixels for one in bins)
    if not total:
        return tag("figure", heading, tag("p", "No values.", class_="missing"), class_="chart")
    plot = _Square(LEFT, TOP, WIDTH - LEFT - RIGHT, PLOT)
    parts = _shares_axis(plot)
    wide = plot.width / BINS
    base = TOP + PLOT + BETWEEN + HISTOGRAM
    fullest = max(one.pixels for one in bins)
    for one in bins:
        place = min(int(one.stated * BINS), BINS - 1)
        x = plot.x(place / BINS) + 0.5
        right, stated = plot.y(one.found), plot.y(one.stated)
        low, high = max(right, stated), min(right, stated)
        kind = "missing-bar" if one.found < one.stated else "excess-bar"
        gap = tag("rect", x=x, y=high, width=wide - 1, height=low - high, class_=kind)
        bar = tag("rect", x=x, y=low, width=wide - 1, height=max(plot.y(0) - low, 0.6), class_="box")
        tall = max(one.pixels / fullest * HISTOGRAM, 0.6)
        count = tag("rect", x=x, y=base - tall, width=wide - 1, height=tall, class_="count-bar")
        told = (
            f"stated {percent(one.stated)}, right {percent(one.found)}, {fine_percent(one.pixels / total)} of pixels "
            f"({quantity(one.pixels)})"
        )
        rare = "rare" if one.pixels < RARE * total else None
        parts.append(tag("g", tag("title", told), bar, gap, count, class_=rare))
    parts.append(_diagonal(plot))
    parts += _below(plot, base, fullest / total)
    told = f"{title}: of {quantity(total)} pixels " + "; ".join(
        f"stated {percent(one.stated)}, right {percent(one.found)}" for one in bins
    )
    size = f"0 0 {WIDTH:g} {base + BOTTOM:g}"
    drawing = tag("svg", tag("title", told), *parts, viewBox=size, role="img", aria_label=told)
    return tag("figure", heading, drawing, class_="chart")


def _shares_axis(plot: _Square) -> list[Markup]:
    parts = []
    for value in ticks(0.0, 1.0):
        y = plot.y(value)
        parts.append(tag("line", x1=plot.left, x2=plot.left + plot.width, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{100 * value:.0f} %", x=plot.left - 6, y=y + 4, text_anchor="end"))
    middle = plot.y(0.5)
    turned = f"rotate(-90 11 {middle:g})"
    parts.append(tag("text", "share that is right", x=11, y=middle, text_anchor="middle", transform=turned))
    return parts


def _below(plot: _Square, base: float, highest: float) -> list[Markup]:
    """Return the axes of the histogram."""
    top = base - HISTOGRAM
    parts = [tag("line", x1=plot.left, x2=plot.left + plot.width, y1=y, y2=y, class_="grid") for y in (top, base)]
    parts.append(tag("text", percent(highest), x=plot.left - 6, y=top + 8, text_anchor="end"))
    parts.append(tag("text", "of pixels", x=plot.left - 6, y=top + 21, text_anchor="end"))
    parts.append(tag("text", "0", x=plot.left - 6, y=base + 1, text_anchor="end"))
    parts += [
        tag("text", f"{100 * value:.0f} %", x=plot.x(value), y=base + 15, text_anchor="middle")
        for value in ticks(0.0, 1.0)
    ]
    axis = "probability of the class shown"
    parts.append(tag("text", axis, x=plot.x(0.5), y=base + BOTTOM - 5, text_anchor="middle"))
    return parts


def _diagonal(plot: _Square) -> Markup:
    return tag("line", x1=plot.x(0), y1=plot.y(0), x2=plot.x(1), y2=plot.y(1), class_="mark")


def class_diagram(
    name: str, colour: tuple[int, int, int], note: str, curves: Sequence[tuple[str, Sequence[BinFacts], str]]
) -> Markup:
    """Return how often a class is where its own probability says so: a small diagram with the class's name above.

    Args:
        name: The class; it may be long, for it stands in the page's text.
        colour: Of the class.
        note: Its figures.
        curves: Name, bins that hold pixels, and CSS colour of each way to answer; the first of two is dashed.
    """
    words = tag("figcaption", tag("b", swatch(colour), name), tag("span", note, class_="figure-note"))
    drawn = [(one, _common(bins), line) for one, bins, line in curves]
    if not any(bins for _, bins, _ in drawn):
        return tag("figure", words, tag("p", "Not measured.", class_="missing"), class_="chart")
    plot = _Square(SMALL_LEFT, SMALL_TOP, SMALL - SMALL_LEFT - SMALL_RIGHT, SMALL - SMALL_TOP - SMALL_BOTTOM)
    parts = []
    for value, label in ((0.0, "0"), (0.5, "50"), (1.0, "100")):
        y = plot.y(value)
        parts.append(tag("line", x1=plot.left, x2=plot.left + plot.width, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", label, x=plot.left - 5, y=y + 3.5, text_anchor="end"))
        parts.append(
            tag(
                "text",
                f"{label} %" if value == 1 else label,
                x=plot.x(value),
                y=SMALL - 6,
                text_anchor="end" if value == 1 else "middle",
            )
        )
    parts.append(_diagonal(plot))
    for place, (one, bins, line) in enumerate(drawn):
        points = [(plot.x(found.stated), plot.y(found.found)) for found in bins]
        if not points:
            continue
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dash = "4 3" if place == 0 and len(drawn) > 1 else None
        parts.append(tag("path", d=path, class_="curve", style=f"stroke:{line}", stroke_dasharray=dash))
        for (x, y), found in zip(points, bins, strict=True):
            told = f"{one}: stated {fine_percent(found.stated)}, found {fine_percent(found.found)}"
            parts.append(tag("g", tag("title", told), tag("circle", cx=x, cy=y, r=2, style=f"fill:{line}")))
    told = f"{name}: {note}. " + ". ".join(_told(one, bins) for one, bins, _ in drawn if bins)
    drawing = tag("svg", tag("title", told), *parts, viewBox=f"0 0 {SMALL:g} {SMALL:g}", role="img", aria_label=told)
    return tag("figure", words, drawing, class_="chart")


def _common(bins: Sequence[BinFacts]) -> list[BinFacts]:
    """Return the bins that are not rare."""
    total = sum(one.pixels for one in bins)
    return [one for one in bins if one.pixels >= RARE * total]


def _told(name: str, bins: Sequence[BinFacts]) -> str:
    pairs = "; ".join(f"stated {fine_percent(one.stated)}, found {fine_percent(one.found)}" for one in bins)
    return f"{name}: {pairs}"


def diagram_legend(curves: Sequence[tuple[str, str]]) -> Markup:
    """Return the key to the curves of class diagrams and to whiskers.

    Args:
        curves: Name and CSS colour of each; the first of two is dashed.
    """
    keys = []
    for place, (name, colour) in enumerate(curves):
        dash = "4 3" if place == 0 and len(curves) > 1 else None
        line = tag("line", x1=2, x2=20, y1=5, y2=5, class_="curve", style=f"stroke:{colour}", stroke_dasharray=dash)
        key = tag("svg", line, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true")
        keys.append(tag("span", key, name, class_="key"))
    return tag("p", *keys, class_="legend")


def whiskers(estimates: Sequence[tuple[EstimateFacts, str]], highest: float) -> Markup:
    """Return points with their intervals on one line each, for a cell of a table; the numbers stand beside it.

    Args:
        estimates: Figure and CSS colour of each.
        highest: Value at the right end of the scale, which begins at 0.
    """
    height = 10.0 * max(len(estimates), 1) + 2
    parts = [
        tag("line", x1=_across(value, highest), x2=_across(value, highest), y1=0, y2=height, class_="grid")
        for value in _scale(highest)
    ]
    for place, (one, colour) in enumerate(estimates):
        y = 6.0 + 10 * place
        style = f"stroke:{colour}"
        if one.low is not None and one.high is not None:
            low, high = _across(one.low, highest), _across(one.high, highest)
            parts.append(tag("line", x1=low, x2=high, y1=y, y2=y, style=style, class_="whisker"))
            parts += [tag("line", x1=x, x2=x, y1=y - 3, y2=y + 3, style=style, class_="whisker") for x in (low, high)]
        if one.value is not None:
            parts.append(tag("circle", cx=_across(one.value, highest), cy=y, r=3, style=f"fill:{colour}"))
    return tag(
        "svg", *parts, viewBox=f"0 0 {WHISKER_WIDTH:g} {height:g}", width=WHISKER_WIDTH, height=height,
        class_="whiskers", aria_hidden="true",
    )  # fmt: skip


def whisker_axis(highest: float) -> Markup:
    """Return the scale that stands above a column of whiskers."""
    values = _scale(highest)
    parts = [
        tag("text", label, x=_across(value, highest), y=11, text_anchor="middle")
        for value, label in zip(values, tick_labels(values), strict=True)
    ]
    return tag(
        "svg", *parts, viewBox=f"0 0 {WHISKER_WIDTH:g} 14", width=WHISKER_WIDTH, height=14, class_="whiskers",
        aria_hidden="true",
    )  # fmt: skip


def _scale(highest: float) -> list[float]:
    return [value for value in ticks(0.0, highest, count=4) if value <= 0.97 * highest]


def _across(value: float, highest: float) -> float:
    share = min(max(value / highest, 0.0), 1.0) if highest > 0 else 0.0
    return WHISKER_ROOM + share * (WHISKER_WIDTH - 2 * WHISKER_ROOM)
