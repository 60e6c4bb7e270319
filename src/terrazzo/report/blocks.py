"""What the parts of a page are made of: a headed section, a sentence on what is missing, embedded pictures."""

import base64
from collections.abc import Sequence
from pathlib import Path

from terrazzo.report.html import Markup, tag

__all__ = ["embedded", "missing", "section"]

MOST_BYTES = 12 * 2**20
"""Bytes of pictures that a page embeds in one place."""


def missing(sentence: str) -> Markup:
    """Return a sentence that says what is not there."""
    return tag("p", sentence, class_="missing")


def section(title: str, *children: str) -> Markup:
    """Return a part of the page with its heading, which the list at the top leads to."""
    return tag("section", tag("h2", title), *children, id=title.lower().replace(" ", "-"))


def embedded(paths: Sequence[Path]) -> tuple[list[Markup], int]:
    """Pictures inside the page, and how many had no room."""
    shown: list[Markup] = []
    used = 0
    for path in paths:
        size = path.stat().st_size
        if used + size > MOST_BYTES:
            continue
        used += size
        source = "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
        picture = tag("img", src=source, alt=path.stem, loading="lazy")
        shown.append(tag("figure", picture, tag("figcaption", path.stem)))
    return shown, len(paths) - len(shown)
