"""What is wrong with a label, gathered strip by strip: unlisted values with their places, labels on missing pixels."""

from collections import Counter

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.areas.area import AreaReader
from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import LabelReader
from terrazzo.data.verify.finding import Finding
from terrazzo.geo.grid import Window

__all__ = ["LabelFaults"]

COMPARED = 32
"""Up to as many classes, comparing with each is faster than counting all at once."""
TOLD = 4
"""Unlisted values or colours of a file that are told with their places."""


class LabelFaults:
    """Counts what a label holds while it streams by.

    Args:
        reader: The open label.
        area: The part of the image that counts.
        classes: How labels name classes.
        counts: Count the pixels of each class, not only whether there are any.
    """

    def __init__(self, reader: LabelReader, area: AreaReader | None, classes: Classes, *, counts: bool) -> None:
        self._counts = counts
        self._labelled = False
        self._reader = reader
        self._area = area
        self._strict = classes.unlisted == "error"
        self._classes = classes if not self._strict else classes.model_copy(update={"unlisted": "ignore"})
        self._pixels = np.zeros(len(classes), dtype=np.int64)
        self._unlisted: Counter[str] = Counter()
        self._strips: dict[str, Window] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._missing = 0
        self._first_missing: tuple[int, int] | None = None

    @property
    def class_pixels(self) -> tuple[int, ...]:
        """Labelled and valid pixels of each class; empty where they were not counted."""
        return tuple(int(count) for count in self._pixels) if self._counts else ()

    def decode(self, strip: Window) -> Shaped[np.ndarray, "y x"]:
        """Return the classes of a strip; what no class lists is counted, and ignored.

        Raises:
            DataError: The file is damaged.
            LabelError: The label's bands or type do not fit how classes are listed.
        """
        inside = None if self._area is None else self._area.inside(strip)
        decoded = self._decoded(strip)
        for text, count in decoded.unlisted.items():
            self._unlisted[text] += count
            self._strips.setdefault(text, strip)
        target = decoded.target
        return target if inside is None else np.where(inside, target, target.dtype.type(self._classes.ignore))

    def _decoded(self, window: Window) -> Decoded:
        """Decode a window also where the area has no pixel: damage is looked for everywhere."""
        inside = None if self._area is None else self._area.inside(window)
        return self._reader.decode(window, self._classes, inside)

    def count(self, strip: Window, target: Shaped[np.ndarray, "y x"], valid: Bool[np.ndarray, "y x"]) -> None:
        """Count the pixels of each class, and those that lie where the image holds nothing."""
        ignore = self._classes.ignore
        if not valid.all():
            lost = ~valid & (target != ignore)
            if lost.any():
                self._missing += int(lost.sum())
                if self._first_missing is None:
                    y, x = np.unravel_index(int(lost.argmax()), lost.shape)
                    self._first_missing = strip.y + int(y), strip.x + int(x)
            target = np.where(valid, target, target.dtype.type(ignore))
        if not self._counts:
            self._labelled = self._labelled or bool((target != ignore).any())
            return
        if len(self._pixels) > COMPARED:
            self._pixels += np.bincount(target.ravel(), minlength=len(self._pixels))[: len(self._pixels)]
        else:
            for number in range(len(self._pixels)):
                self._pixels[number] += np.count_nonzero(target == number)
        self._labelled = bool(self._pixels.any())

    def locate(self) -> None:
        """Search the first pixel of what will be told, while the label is still open."""
        for text, _ in self._unlisted.most_common(TOLD):
            self._places[text] = self._first_place(text, self._strips[text])

    def findings(self, file: str) -> list[Finding]:
        """Return what is wrong with the label.

        Args:
            file: The file that findings name.
        """
        found = []
        if self._unlisted:
            to_do = "list them under a class or as ignored, or set data.classes.unlisted to ignore or background"
            found.append(Finding(file, "error" if self._strict else "warning", "unlisted", self._told(), to_do))
        if self._missing and self._first_missing is not None:
            y, x = self._first_missing
            what = f"{self._missing} labelled pixels lie where the image holds nothing, the first at y {y}, x {x}"
            found.append(Finding(file, "warning", "nodata", what, "check nodata and masks; these pixels are ignored"))
        if not self._labelled and not self._unlisted:
            what = "no pixel has a class: all are ignored or lie where the image holds nothing"
            found.append(
                Finding(file, "warning", "unlabelled", what, "check the ignored values, or leave the pair out")
            )
        return found

    def _told(self) -> str:
        parts = [f"{text} ({count} pixels{self._where(text)})" for text, count in self._unlisted.most_common(TOLD)]
        rest = len(self._unlisted) - len(parts)
        return f"no class lists {', '.join(parts)}{f' and {rest} more' if rest else ''}"

    def _where(self, text: str) -> str:
        place = self._places.get(text)
        return "" if place is None else f", first at y {place[0]}, x {place[1]}"

    def _first_place(self, text: str, strip: Window) -> tuple[int, int]:
        """Return the first pixel, from top to bottom and left to right, by halving the part that holds it."""
        y = self._halved(text, strip, down=True)
        return y, self._halved(text, Window(y, strip.x, 1, strip.width), down=False)

    def _halved(self, text: str, part: Window, *, down: bool) -> int:
        low, high = (part.y, part.y + part.height) if down else (part.x, part.x + part.width)
        while high - low > 1:
            middle = (low + high) // 2
            half = part._replace(y=low, height=middle - low) if down else part._replace(x=low, width=middle - low)
            if text in self._decoded(half).unlisted:
                high = middle
            else:
                low = middle
        return low
