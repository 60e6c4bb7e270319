"""A confusion matrix as a picture, for trackers that show pictures."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

__all__ = ["confusion_figure"]

INK, FAINT, PAPER, EMPTY = (32, 32, 32), (110, 110, 110), (255, 255, 255), (236, 236, 236)
LIGHT, DARK = np.array((247, 251, 255)), np.array((8, 48, 107))
"""Colours of a share of 0 and of 1."""
WIDEST, READABLE = 48, 30
"""Sides of a cell in pixels: the largest, and the smallest that holds a number."""
SIDE = 960
"""Pixels that all cells of a row share where there are many classes."""
TEXT, TITLE = 13, 16
LONGEST = 24
"""Letters of a class's name that are shown."""
GAP = 10


def confusion_figure(title: str, classes: Sequence[str], counts: Sequence[Sequence[int]]) -> UInt8[np.ndarray, "y x 3"]:
    """Draw a confusion matrix: each row's shares as heat, in percent where a cell has room.

    Args:
        title: Above it.
        classes: Names.
        counts: Pixels, rows label, columns prediction.

    Returns:
        Red, green, blue, 0..255.

    >>> confusion_figure("val", ["wood", "roof"], [[3, 1], [0, 4]]).shape[2]
    3
    """
    cell = max(4, min(WIDEST, SIDE // max(1, len(classes))))
    font, bold = ImageFont.load_default(TEXT), ImageFont.load_default(TITLE)
    names = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in classes]
    # Names between rows that are too narrow for letters would overlap.
    named = cell >= TEXT
    margin = max((int(font.getlength(name)) for name in names), default=0) + GAP if named else GAP
    left, top = margin + GAP, TITLE + 2 * GAP + margin
    side = cell * len(classes)
    note = "rows: label, columns: prediction; % of each label's pixels"
    width = max(left + side + GAP, int(font.getlength(note)) + 2 * GAP, int(bold.getlength(title)) + 2 * GAP)
    image = Image.new("RGB", (width, top + side + TEXT + 3 * GAP), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((GAP, GAP), title, fill=INK, font=bold)
    draw.text((GAP, top + side + GAP), note, fill=FAINT, font=font)
    for row, values in enumerate(counts):
        _draw_row(draw, values, (left, top + row * cell), cell, font)
        if named:
            draw.text((left - GAP // 2, top + (row + 0.5) * cell), names[row], fill=INK, font=font, anchor="rm")
            upright = _upright(names[row], font)
            place = (round(left + (row + 0.5) * cell - upright.width / 2), top - GAP // 2 - upright.height)
            image.paste(upright, place)
    return np.asarray(image)


def _draw_row(
    draw: ImageDraw.ImageDraw,
    values: Sequence[int],
    corner: tuple[int, int],
    cell: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    total = sum(values)
    for column, value in enumerate(values):
        x, y = corner[0] + column * cell, corner[1]
        share = value / total if total else 0.0
        colour = tuple(int(part) for part in LIGHT + share * (DARK - LIGHT)) if total else EMPTY
        draw.rectangle((x, y, x + cell - 2, y + cell - 2), fill=colour)
        if value and cell >= READABLE:
            text = f"{100 * share:.0f}" if share >= 0.005 else "<1"
            draw.text(
                (x + cell / 2 - 1, y + cell / 2 - 1), text, fill=PAPER if share > 0.5 else INK, font=font, anchor="mm"
            )


def _upright(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> Image.Image:
    """Return a name that runs from below to above."""
    image = Image.new("RGB", (max(1, int(font.getlength(name)) + 1), TEXT + 5), PAPER)
    ImageDraw.Draw(image).text((0, 1), name, fill=INK, font=font)
    return image.rotate(90, expand=True)
