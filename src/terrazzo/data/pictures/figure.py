"""A figure of what a model answered to an image: image | label | output | error, with titles and a legend."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Integer, UInt8
from PIL import Image, ImageDraw, ImageFont

from terrazzo.data.classes import Classes
from terrazzo.data.pictures.picture import HATCH, RIGHT, WRONG, colour_target

__all__ = ["colour_output", "enlarged", "figure"]

INK, PAPER, FRAME = (32, 32, 32), (255, 255, 255), (120, 120, 120)
TITLE_SIZE, TEXT_SIZE, SMALLEST_SIZE = 17, 14, 10
"""Heights of letters in pixels; a title that is too long for its panel becomes smaller."""
GAP = 10
SMALLEST_SIDE = 240
"""Pixels of a panel's longest side at least; smaller images are enlarged, each pixel to a whole square."""
DARKEST, BRIGHTEST = 24, 232
"""Grey levels of a share of 0 and of 1: apart from the colours of most classes and from the paper."""


def colour_output(
    number: Integer[np.ndarray, "y x"],
    share: Float32[np.ndarray, "y x"],
    valid: Bool[np.ndarray, "y x"],
    classes: Classes,
    *,
    threshold: float,
) -> UInt8[np.ndarray, "y x 3"]:
    """Return an answer in its classes' colours where it is sure, and in greys where it is not.

    Args:
        number: Class that is answered, 0..K-1.
        share: Of two classes the probability of the second, which alone is coloured; of more that of the class.
        valid: Where there is an answer; elsewhere the picture is hatched.
        classes: Their colours.
        threshold: Share, 0..1, from which on a pixel is coloured; below it is grey, the darker the less its share.

    Returns:
        Red, green, blue, 0..255.
    """
    shown = np.ones_like(number) if len(classes) == 2 else number
    picture = colour_target(np.where(valid, shown, classes.ignore), classes)
    grey = (DARKEST + (BRIGHTEST - DARKEST) * share.clip(0, 1)).round().astype(np.uint8)
    below = valid & (share < threshold)
    picture[below] = grey[below, None]
    return picture


def enlarged(picture: UInt8[np.ndarray, "y x 3"]) -> UInt8[np.ndarray, "_y _x 3"]:
    """Return a small picture with each pixel as a square, so that it can be seen; a large one as it is."""
    factor = max(1, SMALLEST_SIDE // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def figure(
    heading: str,
    panels: Sequence[tuple[str, UInt8[np.ndarray, "_ _ 3"]]],
    legend: Sequence[tuple[str, tuple[int, int, int]]],
    *,
    note: str = "",
    hatched: bool = True,
) -> UInt8[np.ndarray, "y x 3"]:
    """Return pictures side by side under their titles, with a heading above and a legend below.

    Args:
        heading: What the image is called.
        panels: Title and picture of each, all of one size.
        legend: Name and colour of what the pictures show.
        note: Figures of the image, beside its name.
        hatched: Whether the legend explains the hatch of ignored pixels.

    Returns:
        Red, green, blue, 0..255.
    """
    pictures = [enlarged(picture) for _, picture in panels]
    width = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) + 1)
    height = max(picture.shape[0] for picture in pictures)
    keys = [*legend, ("right", RIGHT), ("wrong", WRONG)]
    lines = _legend_lines([*keys, *([("ignored", HATCHED)] if hatched else [])], width)
    above = GAP + TITLE_SIZE + GAP + TEXT_SIZE + GAP // 2
    below = (TEXT_SIZE + GAP) * len(lines) + GAP
    sheet = Image.new("RGB", (width, above + height + below), PAPER)
    draw = ImageDraw.Draw(sheet)
    _heading(draw, heading, note, width)
    x = GAP
    for (title, _), picture in zip(panels, pictures, strict=True):
        room = picture.shape[1]
        draw.text((x, GAP + TITLE_SIZE + GAP), _shortened(title, TEXT_SIZE, room), INK, font=_font(TEXT_SIZE))
        sheet.paste(Image.fromarray(picture), (x, above))
        x += room + GAP
    for row, line in enumerate(lines):
        _legend_line(sheet, draw, line, top=above + height + GAP + row * (TEXT_SIZE + GAP))
    return np.asarray(sheet)


HATCHED = (-1, -1, -1)
"""Stands for the hatch in a legend."""


def _heading(draw: ImageDraw.ImageDraw, heading: str, note: str, width: int) -> None:
    size = TITLE_SIZE
    room = width - 2 * GAP
    told = f"{heading}   {note}" if note else heading
    while size > SMALLEST_SIZE and _length(told, size) > room:
        size -= 1
    draw.text((GAP, GAP + (TITLE_SIZE - size) // 2), _shortened(told, size, room), INK, font=_font(size))


def _legend_lines(
    keys: Sequence[tuple[str, tuple[int, int, int]]], width: int
) -> list[list[tuple[int, str, tuple[int, int, int]]]]:
    """Return lines of legend entries, each with its place from the left."""
    lines: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    x = GAP
    for name, colour in keys:
        shown = _shortened(name, TEXT_SIZE, width - 2 * GAP - TEXT_SIZE - 6)
        needed = TEXT_SIZE + 6 + _length(shown, TEXT_SIZE)
        if lines[-1] and x + needed > width - GAP:
            lines.append([])
            x = GAP
        lines[-1].append((x, shown, colour))
        x += needed + 2 * GAP
    return lines


def _legend_line(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, line: Sequence[tuple[int, str, tuple[int, int, int]]], *, top: int
) -> None:
    for x, name, colour in line:
        if colour == HATCHED:
            y, across = np.indices((TEXT_SIZE, TEXT_SIZE))
            sheet.paste(Image.fromarray(HATCH[((y + across) // 4) % 2]), (x, top))
        else:
            draw.rectangle((x, top, x + TEXT_SIZE - 1, top + TEXT_SIZE - 1), fill=colour)
        draw.rectangle((x, top, x + TEXT_SIZE - 1, top + TEXT_SIZE - 1), outline=FRAME)
        draw.text((x + TEXT_SIZE + 6, top - 2), name, INK, font=_font(TEXT_SIZE))


def _shortened(text: str, size: int, room: int) -> str:
    """Return a text that fits a width, its end cut off where it must be."""
    if _length(text, size) <= room:
        return text
    kept = text
    while kept and _length(f"{kept}…", size) > room:
        kept = kept[:-1]
    return f"{kept}…"


def _length(text: str, size: int) -> int:
    return round(_font(size).getlength(text))


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which has Latin, Greek and Cyrillic letters, from matplotlib's own files."""
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
