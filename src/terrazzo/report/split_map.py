"""A map of where images lie, coloured by split, as inline SVG with a scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from terrazzo.report.html import Markup, tag

__all__ = ["FootprintFacts", "split_map"]

WIDTH, LEAST_HEIGHT, MOST_HEIGHT = 720.0, 120.0, 560.0
"""Room for the footprints, in units of the drawing."""
EDGE, BELOW = 14.0, 46.0
"""Room around them, and below them for the scale."""
COLOURS = {"train": "var(--first)", "val": "var(--second)", "calibrate": "var(--third)", "test": "var(--fourth)"}
"""Colour of each role; a named validation set has that of validation."""
DASHES = {"val": "5 3", "test": "2 2", "calibrate": "8 3 2 3"}
"""Outlines differ too, for eyes that tell few colours apart."""
ORDER = ("train", "val", "calibrate", "test")


@dataclass(frozen=True)
class FootprintFacts:
    """Where an image lies.

    Attributes:
        image: Its name.
        split: Its role.
        outline: Corners in metres, (east, north).
    """

    image: str
    split: str
    outline: tuple[tuple[float, float], ...]


def split_map(footprints: Sequence[FootprintFacts]) -> Markup:
    """Return the footprints of all images with a legend and a scale bar; north is up.

    Args:
        footprints: At least one, all in one system of metres.
    """
    frame = _Frame.around(footprints)
    splits = sorted({one.split for one in footprints}, key=_rank)
    # Of an image that is divided, a part may lie in several places.
    counts = {split: len({one.image for one in footprints if one.split == split}) for split in splits}
    told = "Where images lie: " + ", ".join(f"{count} {split}" for split, count in counts.items())
    ranked = sorted(footprints, key=lambda one: _rank(one.split))
    shapes = [_shape(one, frame) for one in ranked]
    size = f"0 0 {WIDTH + 2 * EDGE:g} {frame.height + 2 * EDGE + BELOW:g}"
    drawing = tag("svg", tag("title", told), *shapes, *_scale(frame), viewBox=size, role="img", aria_label=told)
    legend = tag("span", *(_key(split, count) for split, count in counts.items()), class_="legend")
    return tag("figure", tag("figcaption", tag("b", "Images by split"), legend), drawing, class_="chart splits")


@dataclass(frozen=True)
class _Frame:
    """Maps metres to places in the drawing."""

    west: float
    north: float
    scale: float
    left: float
    height: float

    @classmethod
    def around(cls, footprints: Sequence[FootprintFacts]) -> "_Frame":
        easts = [east for one in footprints for east, _ in one.outline]
        norths = [north for one in footprints for _, north in one.outline]
        wide, tall = max(max(easts) - min(easts), 1e-3), max(max(norths) - min(norths), 1e-3)
        scale = min(WIDTH / wide, MOST_HEIGHT / tall)
        height = max(tall * scale, LEAST_HEIGHT)
        left = EDGE + (WIDTH - wide * scale) / 2
        north = max(norths) + (height / scale - tall) / 2
        return cls(min(easts), north, scale, left, height)

    def place(self, east: float, north: float) -> str:
        return f"{self.left + (east - self.west) * self.scale:.1f} {EDGE + (self.north - north) * self.scale:.1f}"


def _rank(split: str) -> tuple[int, str]:
    role = _role(split)
    return (ORDER.index(role) if role in ORDER else len(ORDER), split)


def _role(split: str) -> str:
    return "val" if split.startswith("val_") else split


def _style(split: str) -> str:
    colour = COLOURS.get(_role(split), "var(--quiet)")
    return f"fill:{colour};stroke:{colour}"


def _shape(one: FootprintFacts, frame: _Frame) -> Markup:
    path = "M" + "L".join(frame.place(east, north) for east, north in one.outline) + "Z"
    drawn = tag(
        "path", d=path, class_="footprint", style=_style(one.split), stroke_dasharray=DASHES.get(_role(one.split))
    )
    return tag("g", tag("title", f"{one.image}: {one.split}"), drawn)


def _key(split: str, count: int) -> Markup:
    box = tag(
        "rect",
        x=1.5,
        y=1.5,
        width=13,
        height=9,
        class_="footprint",
        style=_style(split),
        stroke_dasharray=DASHES.get(_role(split)),
    )
    return tag(
        "span", tag("svg", box, viewBox="0 0 16 12", width=16, height=12, aria_hidden="true"), f"{split} ({count})",
        class_="key",
    )  # fmt: skip


def _scale(frame: _Frame) -> list[Markup]:
    """Return a bar of a round length, at most a third of the width."""
    longest = WIDTH / 3 / frame.scale
    power = 10.0 ** math.floor(math.log10(longest))
    metres = next(factor * power for factor in (5, 2, 1) if factor * power <= longest)
    y, x = frame.height + 2 * EDGE + 8, EDGE
    end = x + metres * frame.scale
    said = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    return [
        tag("path", d=f"M{x:.1f} {y - 4:.1f}V{y:.1f}H{end:.1f}V{y - 4:.1f}", class_="scale"),
        tag("text", said, x=x, y=y + 24),
        tag("text", "north is up", x=WIDTH + EDGE, y=y + 24, text_anchor="end"),
    ]
