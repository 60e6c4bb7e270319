"""Pictures of what classes look like: a few patches of each where it is frequent, image and label side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from terrazzo.data.pictures.picture import colour_target, panel, true_colour, visible_bands, write_png
from terrazzo.data.prepared import Prepared
from terrazzo.data.reading import read_image, read_target
from terrazzo.errors import StorageError
from terrazzo.storage import read_json, write_json

__all__ = ["GALLERY_FILE", "draw_gallery"]

GALLERY_FILE = "gallery.json"
SIDE = 192
"""Pixels of a picture's side at most; a larger patch is reduced."""
MOST_CLASSES = 40
"""Of more classes, the first are drawn."""


def draw_gallery(prepared: Prepared, folder: Path, *, samples: int = 3) -> list[Path]:
    """Draw the patches in which each class is most frequent, each from another image where there are enough.

    What was drawn of the same data before stays.

    Args:
        prepared: Prepared data; training patches are shown where a class has any there.
        folder: Where to write; created if missing.
        samples: Pictures of each class at most.

    Returns:
        The files, by class.

    Raises:
        DataError: A file cannot be read.
    """
    known = _drawn(folder, prepared.fingerprint)
    if known is not None:
        return known
    found: list[dict[str, str]] = []
    for number, name in enumerate(prepared.classes.names[:MOST_CLASSES]):
        for place, row in enumerate(_rows(prepared, number)[:samples]):
            path = folder / f"class-{number:02d}-{place}.png"
            write_png(path, _picture(prepared, row))
            window, image = prepared.index.window(row), prepared.index.image_id(row)
            share = prepared.index.counts(row)[number] / (window.height * window.width)
            caption = f"{image}, from y {window.y}, x {window.x}: {share:.0%} {name}"
            found.append({"class": name, "file": path.name, "caption": caption})
    # Written last: a stop before leaves no list, so that all is drawn again.
    write_json(folder / GALLERY_FILE, {"fingerprint": prepared.fingerprint, "samples": found})
    return [folder / one["file"] for one in found]


def _drawn(folder: Path, fingerprint: str) -> list[Path] | None:
    """Return what was drawn of the same data, if all of it is there."""
    try:
        content = read_json(folder / GALLERY_FILE)
    except StorageError:
        return None
    if not isinstance(content, dict) or content.get("fingerprint") != fingerprint:
        return None
    files = [folder / one["file"] for one in content["samples"]]
    return files if all(path.is_file() for path in files) else None


def _rows(prepared: Prepared, number: int) -> Sequence[int]:
    """Return rows in which a class occurs: the best of each image first, then second ones."""
    rows = prepared.index.rows("train") or prepared.index.rows()
    if not any(prepared.index.counts(row)[number] for row in rows):
        rows = prepared.index.rows()
    ranked = sorted(rows, key=lambda row: (-prepared.index.counts(row)[number], row))
    holding = [row for row in ranked if prepared.index.counts(row)[number]]
    images: dict[str, int] = {}
    for row in holding:
        images.setdefault(prepared.index.image_id(row), row)
    first = list(images.values())
    return [*first, *(row for row in holding if row not in set(first))]


def _picture(prepared: Prepared, row: int) -> UInt8[np.ndarray, "y x 3"]:
    entry = prepared.catalog.entry(prepared.index.image_id(row))
    window = prepared.index.window(row)
    raster = read_image(entry, window, prepared.bands)
    image = true_colour(raster.values, raster.valid, channels=visible_bands(prepared.bands.names))
    label = colour_target(read_target(entry, window, prepared.classes), prepared.classes)
    return panel([_reduced(image, Image.Resampling.BOX), _reduced(label, Image.Resampling.NEAREST)])


def _reduced(picture: UInt8[np.ndarray, "y x 3"], way: Image.Resampling) -> UInt8[np.ndarray, "_ _ 3"]:
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, way))
