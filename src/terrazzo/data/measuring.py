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
from terrazzo.data.distribution import Sketch, SketchSum
from terrazzo.data.labels.label import LabelReader
from terrazzo.data.patches import Patch
from terrazzo.data.reading import ImageFiles, decode_label
from terrazzo.data.statistics import Moments, MomentSum
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window

__all__ = ["ImageFacts", "measure_image", "strips"]

STRIP_BYTES = 32 * 2**20
"""Decoded bytes of one strip of rows; GDAL decodes a PNG that is read whole several times as fast as one in strips."""
COUNTED_ROWS = 128
"""Rows that are counted at once: few enough for the processor's cache, and for counts of 8 bit."""
COMPARED_CLASSES = 32
"""Up to this many classes are counted by comparing with each; beyond, one table for all is faster."""
LARGEST_LISTING = 100
"""Unlisted values or colours that are told apart for an image."""
NO_SKETCH = Sketch()


@dataclass(frozen=True)
class ImageFacts:
    """What one pass finds.

    Attributes:
        moments: Of each band over the valid pixels.
        class_pixels: Labelled pixels of each class, each pixel of the image once.
        ignored: Pixels without a class or invalid, of the area that the entry stands for.
        unlisted: Pixels of each value or colour that no class lists.
        patch_pixels: For each patch the labelled pixels of each class and, last, its ignored pixels, those outside the
            area included.
        sketch: Some values of each band and how many valid pixels each stands for; empty without statistics.
    """

    moments: Moments
    class_pixels: tuple[int, ...]
    ignored: int
    unlisted: dict[str, int]
    patch_pixels: Int64[np.ndarray, "patch class_and_ignored"]
    sketch: Sketch = NO_SKETCH


def measure_image(
    entry: ImageEntry, patches: Sequence[Patch], bands: Bands, classes: Classes, *, statistics: bool = True
) -> ImageFacts:
    """Read an image once, and count.

    What no class lists is counted and never raised here, so that all files can be reported together.

    Args:
        entry: The image.
        patches: Its patches.
        bands: Bands that are used.
        classes: How labels name classes.
        statistics: Measure the bands. Without, moments and sketch are those of no pixel, and an image of which no pixel
            can be missing is not even decoded.

    Raises:
        DataError: A file is damaged.
        LabelError: The label's bands or type do not fit how classes are listed.
    """
    lenient = classes if classes.unlisted != "error" else classes.model_copy(update={"unlisted": "ignore"})
    cells = _Cells(entry, patches, len(classes))
    moments, sketch = MomentSum(len(bands)), SketchSum(len(bands), entry.height, entry.width)
    unlisted: Counter[str] = Counter()
    owned = 0
    with ExitStack() as opened:
        files = opened.enter_context(ImageFiles(entry))
        label = opened.enter_context(entry.label.open(entry.grid)) if entry.label else None
        area = entry.area.open(entry.grid) if entry.area else None
        wanted = statistics or not files.never_missing(bands)
        row_bytes = entry.width * sum(np.dtype(band.dtype).itemsize for band in bands)
        for strip in strips(entry, _rows_together(files, label, entry.height), row_bytes):
            inside = None if area is None else area.inside(strip)
            owned += strip.height * strip.width if inside is None else int(inside.sum())
            if inside is not None and not inside.any():
                continue
            valid = None
            if wanted:
                raster = files.read(strip, bands)
                valid = None if raster.valid.all() else raster.valid
                if statistics:
                    counted = raster.valid if inside is None else raster.valid & inside
                    moments.add(raster.values, counted)
                    sketch.add(strip.y, raster.values, counted)
                del raster
            if label is not None:
                decoded = decode_label(label, area, strip, lenient)
                unlisted.update(decoded.unlisted)
                target = decoded.target
                if valid is not None:
                    target = np.where(valid, target, target.dtype.type(classes.ignore))
                cells.add(strip.y, target)
    patch_pixels = cells.patches(patches)
    totals = cells.totals()
    return ImageFacts(
        moments=moments.result(),
        class_pixels=tuple(int(count) for count in totals),
        ignored=owned - int(totals.sum()),
        unlisted=_most_frequent(unlisted),
        patch_pixels=patch_pixels,
        sketch=sketch.result() if statistics else NO_SKETCH,
    )


def _rows_together(files: ImageFiles, label: LabelReader | None, height: int) -> int:
    """Return how many rows to read at once: the image's blocks, or as many as a label in larger ones decodes together.

    A label that is brought onto the image's grid would otherwise be resampled again for each strip that cuts a block.
    """
    own = files.block_shape[0]
    other = own if label is None else label.block_shape[0]
    # One that is decoded whole is no reason to decode the whole image.
    return -(-other // own) * own if own < other < height else own


def _most_frequent(unlisted: Counter[str]) -> dict[str, int]:
    """Keep the most frequent values or colours, and the number of all other pixels as one."""
    kept = dict(unlisted.most_common(LARGEST_LISTING))
    others = sum(unlisted.values()) - sum(kept.values())
    return {**kept, "others": others} if others else kept


def strips(entry: ImageEntry, block: int, row_bytes: int) -> Iterator[Window]:
    """Cut an image into strips of whole blocks; the cut depends on the image alone, so that sums repeat to the bit.

    Args:
        entry: The image.
        block: Rows that are decoded together.
        row_bytes: Decoded bytes of a row.
    """
    rows = max(STRIP_BYTES // row_bytes // block, 1) * block
    for y in range(0, entry.height, rows):
        yield Window(y, 0, min(rows, entry.height - y), entry.width)


class _Cells:
    """Counts in the cells that the edges of all patches cut an image into; any patch is a block of cells.

    Args:
        entry: The image.
        patches: Its patches.
        classes: Number of classes; any other number in a target stands for ignored.
    """

    def __init__(self, entry: ImageEntry, patches: Sequence[Patch], classes: int) -> None:
        self._classes = classes
        ys = {edge for patch in patches for edge in (patch.window.y, patch.window.y + patch.window.height)}
        xs = {edge for patch in patches for edge in (patch.window.x, patch.window.x + patch.window.width)}
        self._ys = np.array(sorted(ys | {0, entry.height}))
        self._xs = np.array(sorted(xs | {0, entry.width}))
        self._counts = np.zeros((len(self._ys) - 1, len(self._xs) - 1, classes), dtype=np.int64)

    def add(self, y: int, target: Shaped[np.ndarray, "y x"]) -> None:
        """Count a strip whose first row is `y`."""
        count = self._compared if self._classes <= COMPARED_CLASSES else self._tabled
        for number, (top, bottom) in enumerate(itertools.pairwise(self._ys)):
            begin, end = max(top - y, 0), min(bottom - y, len(target))
            for row in range(begin, end, COUNTED_ROWS):
                self._counts[number] += count(target[row : min(row + COUNTED_ROWS, end)])

    def _compared(self, rows: Shaped[np.ndarray, "y x"]) -> Int64[np.ndarray, "cell class"]:
        """Count by comparing with each class: columns first, in 8 bit, then the columns of each cell."""
        columns = np.empty((self._classes, rows.shape[1]), dtype=np.uint8)
        same = np.empty(rows.shape, dtype=bool)
        for number, column in enumerate(columns):
            np.equal(rows, number, out=same)
            np.add.reduce(same.view(np.uint8), axis=0, dtype=np.uint8, out=column)
        counts: Int64[np.ndarray, "class cell"] = np.add.reduceat(columns, self._xs[:-1], axis=1, dtype=np.int64)
        return counts.T

    def _tabled(self, rows: Shaped[np.ndarray, "y x"]) -> Int64[np.ndarray, "cell class"]:
        """Count every cell and class at once."""
        codes = self._classes + 1
        widths = np.diff(self._xs)
        cell = np.repeat(np.arange(len(widths)) * codes, widths)
        counts = np.bincount((np.minimum(rows, self._classes) + cell).ravel(), minlength=len(widths) * codes)
        return counts.reshape(len(widths), codes)[:, :-1]

    def totals(self) -> Int64[np.ndarray, " class"]:
        """Return the counts of the whole image."""
        totals: Int64[np.ndarray, " class"] = self._counts.sum(axis=(0, 1))
        return totals

    def patches(self, patches: Sequence[Patch]) -> Int64[np.ndarray, "patch class_and_ignored"]:
        """Return the counts of each patch and, last, its ignored pixels."""
        table = np.zeros((len(self._ys), len(self._xs), self._classes), dtype=np.int64)
        table[1:, 1:] = self._counts.cumsum(axis=0).cumsum(axis=1)
        windows = np.array([patch.window for patch in patches], dtype=np.int64).reshape(-1, 4)
        top, left = np.searchsorted(self._ys, windows[:, 0]), np.searchsorted(self._xs, windows[:, 1])
        bottom = np.searchsorted(self._ys, windows[:, 0] + windows[:, 2])
        right = np.searchsorted(self._xs, windows[:, 1] + windows[:, 3])
        counts = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        ignored = windows[:, 2] * windows[:, 3] - counts.sum(axis=1)
        return np.concatenate([counts, ignored[:, None]], axis=1)
