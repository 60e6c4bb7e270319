"""One streamed pass over an image and its label: pixels per class and patch, and the moments of its bands.

An image is read in strips of rows, each pixel once; memory follows the width of an image, never its height.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, Shaped

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.patches import Patch
from terrazzo.data.reading import ImageFiles, decode_label
from terrazzo.data.statistics import Moments, MomentSum
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window

__all__ = ["ImageFacts", "measure_image"]

STRIP_BYTES = 16 * 2**20
"""Decoded bytes of one strip of rows."""
COUNTED_PIXELS = 2**20
"""Pixels that are counted at once."""
LARGEST_LISTING = 100
"""Unlisted values or colours that are told apart for an image."""


@dataclass(frozen=True)
class ImageFacts:
    """What one pass finds.

    Attributes:
        moments: Of each band over the valid pixels.
        class_pixels: Labelled pixels of each class, each pixel of the image once.
        ignored: Pixels without a class or invalid.
        unlisted: Pixels of each value or colour that no class lists.
        patch_pixels: For each patch the labelled pixels of each class and, last, its ignored pixels.
    """

    moments: Moments
    class_pixels: tuple[int, ...]
    ignored: int
    unlisted: dict[str, int]
    patch_pixels: Int64[np.ndarray, "patch class_and_ignored"]


def measure_image(entry: ImageEntry, patches: Sequence[Patch], bands: Bands, classes: Classes) -> ImageFacts:
    """Read an image once, and count.

    What no class lists is counted and never raised here, so that all files can be reported together.

    Args:
        entry: The image.
        patches: Its patches.
        bands: Bands that are used.
        classes: How labels name classes.

    Raises:
        DataError: A file is damaged.
        LabelError: The label's bands or type do not fit how classes are listed.
    """
    lenient = classes if classes.unlisted != "error" else classes.model_copy(update={"unlisted": "ignore"})
    cells = _Cells(entry, patches, len(classes))
    moments = MomentSum(len(bands))
    unlisted: Counter[str] = Counter()
    with ExitStack() as opened:
        files = opened.enter_context(ImageFiles(entry))
        label = opened.enter_context(entry.label.open(entry.grid)) if entry.label else None
        area = entry.area.open(entry.grid) if entry.area else None
        for strip in _strips(entry, files.block_shape[0], bands):
            if area is not None and not area.touches(strip):
                cells.add(strip.y, np.full((strip.height, strip.width), len(classes), dtype=np.uint16))
                continue
            raster = files.read(strip, bands)
            moments.add(raster.values, raster.valid if area is None else raster.valid & area.inside(strip))
            codes = np.full((strip.height, strip.width), len(classes), dtype=np.uint16)
            if label is not None:
                decoded = decode_label(label, area, strip, lenient)
                unlisted.update(decoded.unlisted)
                labelled = raster.valid & (decoded.target != classes.ignore)
                np.copyto(codes, decoded.target, where=labelled)
            cells.add(strip.y, codes)
    totals = cells.totals()
    return ImageFacts(
        moments=moments.result(),
        class_pixels=tuple(int(count) for count in totals[:-1]),
        ignored=int(totals[-1]),
        unlisted=_most_frequent(unlisted),
        patch_pixels=cells.patches(patches),
    )


def _most_frequent(unlisted: Counter[str]) -> dict[str, int]:
    """Keep the most frequent values or colours, and the number of all other pixels as one."""
    kept = dict(unlisted.most_common(LARGEST_LISTING))
    others = sum(unlisted.values()) - sum(kept.values())
    return {**kept, "others": others} if others else kept


def _strips(entry: ImageEntry, block: int, bands: Bands) -> Iterator[Window]:
    """Cut an image into strips of whole blocks; the cut depends on the image alone, so that sums repeat to the bit."""
    row_bytes = entry.width * sum(np.dtype(band.dtype).itemsize for band in bands)
    rows = max(STRIP_BYTES // row_bytes // block, 1) * block
    for y in range(0, entry.height, rows):
        yield Window(y, 0, min(rows, entry.height - y), entry.width)


class _Cells:
    """Counts in the cells that the edges of all patches cut an image into; any patch is a block of cells.

    Args:
        entry: The image.
        patches: Its patches.
        classes: Number of classes; one more code stands for ignored.
    """

    def __init__(self, entry: ImageEntry, patches: Sequence[Patch], classes: int) -> None:
        self._codes = classes + 1
        ys = {edge for patch in patches for edge in (patch.window.y, patch.window.y + patch.window.height)}
        xs = {edge for patch in patches for edge in (patch.window.x, patch.window.x + patch.window.width)}
        self._ys = sorted(ys | {0, entry.height})
        self._xs = sorted(xs | {0, entry.width})
        self._counts = np.zeros((len(self._ys) - 1, len(self._xs) - 1, self._codes), dtype=np.int64)
        widths = np.diff(self._xs)
        self._column = np.repeat(np.arange(len(widths)) * self._codes, widths)

    def add(self, y: int, codes: Shaped[np.ndarray, "y x"]) -> None:
        """Count a strip whose first row is `y`."""
        for number, (top, bottom) in enumerate(itertools.pairwise(self._ys)):
            rows = codes[max(top - y, 0) : max(bottom - y, 0)]
            shape = self._counts[number].shape
            # A few rows at a time: counting needs eight bytes a pixel.
            step = max(COUNTED_PIXELS // codes.shape[1], 1)
            for begin in range(0, len(rows), step):
                found = np.bincount((rows[begin : begin + step] + self._column).ravel(), minlength=shape[0] * shape[1])
                self._counts[number] += found.reshape(shape)

    def totals(self) -> Int64[np.ndarray, " class_and_ignored"]:
        """Return the counts of the whole image."""
        totals: Int64[np.ndarray, " class_and_ignored"] = self._counts.sum(axis=(0, 1))
        return totals

    def patches(self, patches: Sequence[Patch]) -> Int64[np.ndarray, "patch class_and_ignored"]:
        """Return the counts of each patch."""
        table = np.zeros((len(self._ys), len(self._xs), self._codes), dtype=np.int64)
        table[1:, 1:] = self._counts.cumsum(axis=0).cumsum(axis=1)
        windows = np.array([patch.window for patch in patches], dtype=np.int64).reshape(-1, 4)
        top, left = np.searchsorted(self._ys, windows[:, 0]), np.searchsorted(self._xs, windows[:, 1])
        bottom = np.searchsorted(self._ys, windows[:, 0] + windows[:, 2])
        right = np.searchsorted(self._xs, windows[:, 1] + windows[:, 3])
        return table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
