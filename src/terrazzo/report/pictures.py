"""Pictures inside the page: as they are where small, reduced where large, named where they have no room."""

import base64
import io
import struct
import warnings
from collections.abc import Sequence
from pathlib import Path

from terrazzo.report.html import Markup, tag

__all__ = ["MOST_BYTES", "embedded", "picture"]

WIDEST = 1600
"""Pixels that a picture on the page is wide at most."""
MOST_BYTES = 12 * 2**20
"""Bytes of pictures that a page embeds in one place."""
MOST_PIXELS = 60_000_000
"""A larger picture, such as a whole map, is not decoded for the page."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def embedded(paths: Sequence[Path], captions: Sequence[str]) -> tuple[list[Markup], list[Path]]:
    """Return pictures as figures, and the files that are damaged or have no room.

    Args:
        paths: PNG files.
        captions: A sentence for each, which also stands for the picture where it cannot be seen.
    """
    shown: list[Markup] = []
    left: list[Path] = []
    used = 0
    for path, caption in zip(paths, captions, strict=True):
        content = picture(path)
        if content is None or used + len(content) > MOST_BYTES:
            left.append(path)
            continue
        used += len(content)
        source = "data:image/png;base64," + base64.b64encode(content).decode("ascii")
        shown.append(tag("figure", tag("img", src=source, alt=caption, loading="lazy"), tag("figcaption", caption)))
    return shown, left


def picture(path: Path) -> bytes | None:
    """Return a PNG file's bytes, reduced to the width of the page where it is wider.

    Returns:
        None where the file is damaged, no PNG, or too large to be decoded for a page.
    """
    try:
        with path.open("rb") as handle:
            head = handle.read(24)
    except OSError:
        return None
    if len(head) < 24 or not head.startswith(SIGNATURE):
        return None
    width, height = struct.unpack(">II", head[16:24])
    if width * height > MOST_PIXELS:
        return None
    return _decoded(path, reduced=width > WIDEST)


def _decoded(path: Path, *, reduced: bool) -> bytes | None:
    """Decode a picture, which shows whether it is whole, and return it as it is or reduced."""
    from PIL import Image

    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            image.load()
            if not reduced:
                return path.read_bytes()
            size = (WIDEST, max(1, round(image.height * WIDEST / image.width)))
            # A mean of palette positions is no colour between them.
            way = Image.Resampling.NEAREST if image.mode in ("P", "1") else Image.Resampling.BOX
            small = io.BytesIO()
            image.resize(size, way).save(small, format="PNG", optimize=True)
            return small.getvalue()
    except (OSError, ValueError, SyntaxError, struct.error):  # what Pillow raises for damaged files
        return None
