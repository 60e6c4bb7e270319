"""Figures of a map's page: pictures of small rasters with their scale, bars over values, curves across a seam."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

from terrazzo.report.figures import tick_labels, ticks
from terrazzo.report.html import Markup, tag
from terrazzo.report.words import percent, short

__all__ = ["Curve", "bars", "heat_picture", "seam_chart"]

WIDTH, HEIGHT = 360.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 10.0, 38.0
"""Room around the plot for the labels of the axes, in units of the drawing."""
SMALLEST_SIDE = 480
"""Pixels to which a smaller raster is enlarged, each value a square, so that browsers do not blur it."""
SCALE = np.array(
    [
        (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
        (170, 220, 50), (253, 231, 37),
    ],
    dtype=np.float64,
)  # fmt: skip
"""Viridis: as bright as it is large, for every eye and in grey.

Source: N. Smith and S. van der Walt 2015, "A better default colormap for matplotlib"; nine of its colours."""


@dataclass(frozen=True)
class Curve:
    """One curve across a seam.

    Attributes:
        name: Word in the legend.
        offsets: Pixels from the seam's middle.
        values: Heights; None leaves a gap.
        colour: CSS colour.
        dashed: Tells curves apart without colour.
    """

    name: str
    offsets: Sequence[int]
    values: Sequence[float | None]
    colour: str
    dashed: bool = False


def heat_picture(
    title: str, values: Shaped[np.ndarray, "y x"], *, low: float, high: float, labels: tuple[str, str]
) -> Markup:
    """Return a raster as a picture with its scale below; what is NaN is left blank.

    Args:
        title: What it shows.
        values: Any numbers.
        low: Value of the darkest colour.
        high: Value of the brightest colour.
        labels: What the ends of the scale read.
    """
    told = f"{title}, from {labels[0]} (dark) to {labels[1]} (bright)"
    source = "data:image/png;base64," + base64.b64encode(_png(_coloured(values, low, high))).decode("ascii")
    stops = ", ".join(f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in SCALE)
    ramp = tag("span", class_="ramp", style=f"background:linear-gradient(to right, {stops})", aria_hidden="true")
    scale = tag("span", tag("span", labels[0]), ramp, tag("span", labels[1]), class_="colour-scale")
    picture = tag("img", src=source, alt=told, loading="lazy", class_="heatmap")
    height, width = values.shape
    shape = "coarse upright-picture" if height > width else "coarse"
    return tag("figure", tag("figcaption", tag("b", title)), picture, scale, class_=shape)


def _coloured(values: Shaped[np.ndarray, "y x"], low: float, high: float) -> UInt8[np.ndarray, "y x 4"]:
    span = high - low
    share = np.clip(
        (np.nan_to_num(values.astype(np.float64), nan=low) - low) / span if span > 0 else values * 0.0, 0, 1
    )
    place = np.nan_to_num(share) * (len(SCALE) - 1)
    colours = [np.interp(place, np.arange(len(SCALE)), channel) for channel in SCALE.T]
    alpha = np.where(np.isnan(values), 0, 255)
    return np.stack([*colours, alpha], axis=-1).round().astype(np.uint8)


def _png(colours: UInt8[np.ndarray, "y x 4"]) -> bytes:
    from PIL import Image

    factor = max(1, SMALLEST_SIDE // max(colours.shape[:2]))
    enlarged = np.repeat(np.repeat(colours, factor, axis=0), factor, axis=1)
    content = io.BytesIO()
    Image.fromarray(enlarged).save(content, format="PNG", optimize=True)
    return content.getvalue()


def bars(title: str, counts: Sequence[int], ends: tuple[float, float], *, axis: str) -> Markup:
    """Return a histogram of equal bins; heights are shares of all.

    Args:
        title: What is counted.
        counts: One number a bin.
        ends: Where the first bin begins and the last one ends.
        axis: What lies along the axis below.
    """
    heading = tag("figcaption", tag("b", title))
    total = sum(counts)
    if not total:
        return tag("figure", heading, tag("p", "No values.", class_="missing"), class_="chart")
    shares = [count / total for count in counts]
    highest = max(shares)
    room, base = HEIGHT - TOP - BOTTOM, HEIGHT - BOTTOM
    wide = (WIDTH - LEFT - RIGHT) / len(counts)
    bin_width = (ends[1] - ends[0]) / len(counts)
    parts = _heights(ticks(0.0, highest), highest)
    for number, share in enumerate(shares):
        if share:
            tall = max(share / highest * room, 0.6)
            span = f"{short(ends[0] + number * bin_width)} to {short(ends[0] + (number + 1) * bin_width)}"
            box = tag(
                "rect", x=LEFT + number * wide, y=base - tall, width=max(wide - 1, 0.8), height=tall, class_="box"
            )
            parts.append(tag("g", tag("title", f"{span}: {percent(share)}"), box))
    below = ticks(*ends)
    for value, label in zip(below, tick_labels(below), strict=True):
        x = LEFT + (value - ends[0]) / (ends[1] - ends[0]) * (WIDTH - LEFT - RIGHT)
        parts.append(tag("text", label, x=x, y=base + 15, text_anchor="middle"))
    fullest = shares.index(highest)
    told = (
        f"{title}: most, {percent(highest)}, lie between {short(ends[0] + fullest * bin_width)} and "
        f"{short(ends[0] + (fullest + 1) * bin_width)}"
    )
    return _chart(heading, parts, told, axis)


def seam_chart(title: str, curves: Sequence[Curve], *, half: float) -> Markup:
    """Return how much neighbouring pixels differ by their distance from the nearest seam.

    Args:
        title: What is shown.
        curves: All over the same distances.
        half: Half the width of a fade in pixels, which is shaded.
    """
    legend = tag("span", *(_key(curve) for curve in curves), class_="legend") if len(curves) > 1 else ""
    heading = tag("figcaption", tag("b", title), legend)
    known = [value for curve in curves for value in curve.values if value is not None]
    if not known:
        return tag("figure", heading, tag("p", "No values.", class_="missing"), class_="chart")
    first, last = min(curves[0].offsets), max(curves[0].offsets)
    highest = max(known) or 1.0

    def across(offset: float | int) -> float:
        return LEFT + (offset - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)

    left, right = across(max(-half, first)), across(min(half, last))
    shade = tag("rect", x=left, y=TOP, width=max(right - left, 1.0), height=HEIGHT - TOP - BOTTOM, class_="fade")
    parts = [shade, *_heights(ticks(0.0, highest), highest)]
    parts += [_path(curve, across, highest) for curve in curves]
    below = [value for value in ticks(first, last, count=6) if value == int(value)]
    parts += [
        tag("text", str(int(value)), x=across(value), y=HEIGHT - BOTTOM + 15, text_anchor="middle") for value in below
    ]
    told = f"{title}: " + "; ".join(
        f"{curve.name} from {percent(min(found))} to {percent(max(found))}"
        for curve in curves
        if (found := [value for value in curve.values if value is not None])
    )
    return _chart(heading, parts, told, "pixels from the middle of the nearest seam")


def _chart(heading: Markup, parts: list[Markup], told: str, axis: str) -> Markup:
    parts.append(tag("text", axis, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5, text_anchor="middle"))
    size = f"0 0 {WIDTH:g} {HEIGHT:g}"
    drawing = tag("svg", tag("title", told), *parts, viewBox=size, role="img", aria_label=told)
    return tag("figure", heading, drawing, class_="chart")


def _heights(values: Sequence[float], highest: float) -> list[Markup]:
    """Return the lines and labels of the upright axis, in per cent."""
    parts = []
    for value, label in zip(values, tick_labels([100 * value for value in values]), strict=True):
        y = HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", f"{label} %", x=LEFT - 6, y=y + 4, text_anchor="end"))
    return parts


def _path(curve: Curve, across: Callable[[float | int], float], highest: float) -> Markup:
    """Return a curve that breaks where values are missing."""
    steps, before = [], None
    for offset, value in zip(curve.offsets, curve.values, strict=True):
        if value is not None:
            y = HEIGHT - BOTTOM - value / highest * (HEIGHT - TOP - BOTTOM)
            steps.append(f"{'M' if before is None else 'L'}{across(offset):.1f} {y:.1f}")
        before = value
    dash = "5 3" if curve.dashed else None
    return tag("path", d=" ".join(steps), class_="curve", style=f"stroke:{curve.colour}", stroke_dasharray=dash)


def _key(curve: Curve) -> Markup:
    dash = "5 3" if curve.dashed else None
    line = tag("line", x1=2, x2=20, y1=5, y2=5, class_="curve", style=f"stroke:{curve.colour}", stroke_dasharray=dash)
    return tag(
        "span", tag("svg", line, viewBox="0 0 22 10", width=22, height=10, aria_hidden="true"), curve.name, class_="key"
    )
