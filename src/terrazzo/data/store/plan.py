"""Which images and labels are worth writing as tiles: those of which a patch cannot be read without much more work."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.facts import file_states
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import KEPT_WHOLE, VectorLabel
from terrazzo.data.open_files import KEPT_BYTES, OPEN_FILES
from terrazzo.data.reading import WHOLE_BYTES, ImageFiles
from terrazzo.data.store.writing import TileJob
from terrazzo.geo.bands import Bands
from terrazzo.geo.burning import BLOCK
from terrazzo.geo.burning import KEPT_BYTES as BURNED_BYTES
from terrazzo.geo.raster import RasterFile
from terrazzo.host_cores import usable_cores
from terrazzo.storage import fingerprint

__all__ = ["LARGEST_BLOCK", "LARGEST_MULTIPLE", "Store", "drawn_anew", "exceeds_memory", "plan_tiles", "threads"]

Store = Literal["auto", "original", "tiles"]

FORMAT = 1
"""Changes with anything that changes what is written."""
LARGEST_BLOCK = 512
"""Side of the largest tiles that are cheap to read by windows."""
CODE_BYTES = 4
"""Bytes of a burned pixel."""
LARGEST_MULTIPLE = 4
"""Rows of blocks are cheap to read by windows where at most so many times the patch is decoded."""


def plan_tiles(
    folder: Path,
    entries: Sequence[ImageEntry],
    bands: Bands,
    classes: Classes,
    *,
    patch_size: int,
    images: bool = True,
) -> dict[str, TileJob]:
    """Decide what is written as tiles.

    An image is, unless it is one file on its own pixels, without validity mask, stored in tiles of at most 512 x 512
    or in rows of which a patch decodes at most four times itself. A label is likewise, and where it is drawn.

    Args:
        folder: Where tiles are written.
        entries: The images.
        bands: Bands that are used.
        classes: How labels name classes.
        patch_size: Side of a patch in pixels.
        images: Whether images are written too, or labels alone.

    Returns:
        The job of each image by name, only of those with anything to write. Parts of one divided image share theirs.

    Raises:
        DataError: A file is missing or damaged.
    """

    def job(entry: ImageEntry) -> TileJob | None:
        image = bands if images and _costly_image(entry, patch_size) else None
        label = classes if _costly_label(entry, patch_size) else None
        return TileJob(entry, _path(folder, entry, image, label), image, label) if image or label else None

    with ThreadPoolExecutor(threads()) as pool:
        jobs = dict(zip([entry.image_id for entry in entries], pool.map(job, entries), strict=True))
    return {image_id: found for image_id, found in jobs.items() if found is not None}


def exceeds_memory(entries: Sequence[ImageEntry], bands: Bands) -> bool:
    """Return whether a process cannot keep what it reads: an image is too large for that, or all together are.

    Args:
        entries: Images; parts of one divided image count once.
        bands: Bands that are used; a label is counted as one byte a pixel.
    """
    pixel = sum(np.dtype(band.dtype).itemsize for band in bands) + 1
    sizes = {entry.files: entry.height * entry.width * pixel for entry in entries}.values()
    return max(sizes, default=0) > WHOLE_BYTES or sum(sizes) > KEPT_BYTES


def drawn_anew(entries: Sequence[ImageEntry]) -> list[ImageEntry]:
    """Return the images whose labels are drawn from shapes again and again, since a process cannot keep them drawn.

    Small labels are drawn once and kept with what is decoded. On an image of more than 1024 pixels shapes are burned by
    blocks; an open label keeps 64 of them, and a process keeps 32 labels open. So labels are drawn anew where an image
    has more blocks, or where more than 32 images have such labels: then their files are read anew as well.

    Args:
        entries: Images; each part of a divided image opens the label for itself.
    """
    by_blocks = [
        entry
        for entry in entries
        if isinstance(entry.label, VectorLabel) and max(entry.height, entry.width) > KEPT_WHOLE
    ]
    if len(by_blocks) > OPEN_FILES:
        return by_blocks
    return [entry for entry in by_blocks if _burned_bytes(entry) > BURNED_BYTES]


def _burned_bytes(entry: ImageEntry) -> int:
    """Return the bytes of all blocks of an image's label, burned."""
    return math.prod(-(-side // BLOCK) for side in (entry.height, entry.width)) * BLOCK * BLOCK * CODE_BYTES


def threads() -> int:
    """Threads that write: what is written never depends on it, since files are independent."""
    return min(usable_cores(), 8)


def _costly_image(entry: ImageEntry, patch_size: int) -> bool:
    with ImageFiles(entry) as files:
        if entry.mask is not None or len(files.bands) > 1:
            return True
        return _costly(files.bands[0], patch_size)


def _costly_label(entry: ImageEntry, patch_size: int) -> bool:
    label = entry.label
    if label is None:
        return False
    if not isinstance(label, RasterLabel) or len(label.rasters) > 1:
        return True
    with RasterFile(label.file, onto=entry.grid, resampling="nearest") as file:
        return _costly(file, patch_size)


def _costly(file: RasterFile, patch_size: int) -> bool:
    grid = file.grid
    if file.warped:
        return True
    height, width = (min(block, side) for block, side in zip(file.block_shape, grid.shape, strict=True))
    if file.sequential:
        height, width = grid.shape
    elif max(height, width) <= LARGEST_BLOCK:
        return False
    rows, columns = min(patch_size, grid.height), min(patch_size, grid.width)
    # A window that lies anywhere touches so many pixels of blocks on average.
    decoded = min(rows - 1 + height, grid.height) * min(columns - 1 + width, grid.width)
    return decoded > LARGEST_MULTIPLE * rows * columns


def _path(folder: Path, entry: ImageEntry, image: Bands | None, label: Classes | None) -> Path:
    """Name a file by all that decides its content, so that a changed image is another file."""
    what = {
        "format": FORMAT,
        "files": file_states((*entry.files, *(entry.label.files if label and entry.label else ()), *_mask(entry))),
        "label": entry.label.model_dump(mode="json") if label and entry.label else None,
        "mask": entry.mask.model_dump(mode="json") if entry.mask else None,
        "stack": entry.stack,
        "grid": [entry.crs, entry.transform, entry.height, entry.width],
        "bands": image.model_dump(mode="json") if image else None,
        "classes": label.model_dump(mode="json") if label else None,
    }
    return folder / f"{fingerprint(what)[:32]}.tif"


def _mask(entry: ImageEntry) -> tuple[Path, ...]:
    return () if entry.mask is None else (entry.mask.file,)
