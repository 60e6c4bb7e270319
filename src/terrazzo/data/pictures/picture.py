"""Pictures for people: rasters in natural colours, labels in class colours, panels side by side, PNG files.

Nothing here is measured or trained on; a stretch for the eye is a picture's own and never meets a network.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Integer, Num, UInt8
from PIL import Image

from terrazzo.data.classes import Classes
from terrazzo.errors import DataError
from terrazzo.storage import write_bytes

__all__ = ["colour_errors", "colour_target", "encode_png", "panel", "true_colour", "visible_bands", "write_png"]

LOW_PERCENTILE, HIGH_PERCENTILE = 1.0, 99.0
"""Values between these fill the range of brightness; outliers saturate."""
SAMPLED_PIXELS = 250_000
"""Percentiles are estimated on at most about this many pixels."""
HATCH = np.array([[96, 96, 96], [168, 168, 168]], dtype=np.uint8)
"""The two greys of the diagonal hatch that marks ignored pixels; no class has a pattern."""
RIGHT, WRONG = (226, 226, 226), (213, 60, 0)
"""Colours of right and wrong pixels: they differ in brightness too, for eyes that see no red or green."""


def visible_bands(names: Sequence[str]) -> tuple[int, int, int]:
    """Return the channels to show as red, green and blue.

    Bands called so by name; else the first three; else the first as grey.

    >>> visible_bands(["blue", "green", "red", "nir"])
    (2, 1, 0)
    >>> visible_bands(["height", "slope"])
    (0, 0, 0)
    """
    lowered = [name.lower() for name in names]
    if {"red", "green", "blue"} <= set(lowered):
        return lowered.index("red"), lowered.index("green"), lowered.index("blue")
    return (0, 1, 2) if len(lowered) >= 3 else (0, 0, 0)


def true_colour(
    values: Num[np.ndarray, "band y x"],
    valid: Bool[np.ndarray, "y x"],
    *,
    channels: tuple[int, int, int] | None = None,
) -> UInt8[np.ndarray, "y x 3"]:
    """Return a picture of any bands in any units, each stretched between its 1st and 99th percentile.

    Args:
        values: Raw or normalised values.
        valid: Where every band was measured; elsewhere the picture is hatched.
        channels: Bands to show as red, green and blue; the first three if None, or the first as grey.

    Returns:
        Red, green, blue, 0..255.
    """
    chosen = channels if channels is not None else ((0, 1, 2) if len(values) >= 3 else (0, 0, 0))
    seen = valid & np.isfinite(values[list(chosen)]).all(axis=0)
    picture = np.empty((*valid.shape, 3), dtype=np.uint8)
    for position, channel in enumerate(chosen):
        picture[..., position] = _stretch(values[channel], seen)
    return _hatched(picture, ~seen)


def _stretch(band: Num[np.ndarray, "y x"], seen: Bool[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x"]:
    """Map a band's bulk onto 0..255; a constant band becomes mid-grey."""
    measured = band[seen]
    if measured.size == 0:
        return np.zeros(band.shape, dtype=np.uint8)
    step = max(1, measured.size // SAMPLED_PIXELS)
    low, high = np.percentile(measured[::step].astype(np.float64), [LOW_PERCENTILE, HIGH_PERCENTILE])
    if high <= low:
        return np.full(band.shape, 127, dtype=np.uint8)
    safe = np.where(seen, band, low).astype(np.float32)
    stretched: np.ndarray = np.clip((safe - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    return stretched


def colour_target(target: Integer[np.ndarray, "y x"], classes: Classes) -> UInt8[np.ndarray, "y x 3"]:
    """Return classes in their colours, ignored pixels hatched.

    Args:
        target: Class of each pixel, 0..K-1, or the ignore value.
        classes: Their colours.

    Raises:
        DataError: The target holds a value that is neither a class nor ignore.
    """
    colours = np.asarray(classes.colours, dtype=np.uint8)
    ignored = target == classes.ignore
    known = ignored | ((target >= 0) & (target < len(colours)))
    if not known.all():
        raise DataError(
            f"A target of {len(colours)} classes holds the value {int(target[~known][0])}; "
            f"expected 0..{len(colours) - 1} or {classes.ignore} for ignored pixels."
        )
    return _hatched(np.asarray(colours[np.where(ignored, 0, target)]), ignored)


def colour_errors(
    target: Integer[np.ndarray, "y x"], prediction: Integer[np.ndarray, "y x"], ignored: Bool[np.ndarray, "y x"]
) -> UInt8[np.ndarray, "y x 3"]:
    """Return where a prediction differs from its target: wrong dark orange, right light, ignored hatched."""
    wrong = (target != prediction)[..., None]
    picture = np.where(wrong, np.array(WRONG, dtype=np.uint8), np.array(RIGHT, dtype=np.uint8))
    return _hatched(picture, ignored)


def _hatched(picture: UInt8[np.ndarray, "y x 3"], where: Bool[np.ndarray, "y x"]) -> UInt8[np.ndarray, "y x 3"]:
    """Draw diagonal stripes, 4 pixels wide, where a picture has nothing to show."""
    y, x = np.nonzero(where)
    picture[y, x] = HATCH[((y + x) // 4) % 2]
    return picture


def panel(images: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, gap: int = 4) -> UInt8[np.ndarray, "y x 3"]:
    """Return pictures side by side on white, aligned at the top.

    Args:
        images: At least one picture; their sizes may differ.
        gap: White pixels between neighbours.

    Raises:
        DataError: No picture was given.
    """
    if not images:
        raise DataError("A panel needs at least one picture; none was given.")
    height = max(image.shape[0] for image in images)
    width = sum(image.shape[1] for image in images) + gap * (len(images) - 1)
    sheet = np.full((height, width, 3), 255, dtype=np.uint8)
    x = 0
    for image in images:
        sheet[: image.shape[0], x : x + image.shape[1]] = image
        x += image.shape[1] + gap
    return sheet


def encode_png(image: UInt8[np.ndarray, "y x 3"]) -> bytes:
    """Return a picture as the bytes of a PNG file.

    Raises:
        DataError: The picture has no pixel.
    """
    height, width = image.shape[:2]
    if height == 0 or width == 0:
        raise DataError(f"A picture of {height} x {width} pixels cannot be written as PNG.")
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="PNG")
    return content.getvalue()


def write_png(path: Path, image: UInt8[np.ndarray, "y x 3"]) -> None:
    """Write a picture as a PNG file, whole or not at all."""
    write_bytes(path, encode_png(image))
