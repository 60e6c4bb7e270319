"""What the labels hold in each block of the ground: one streamed pass over labels alone, kept for the next division."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int64

from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.areas.dealt import Block
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.facts import file_states
from terrazzo.data.measuring import strips
from terrazzo.data.reading import decode_label
from terrazzo.host_cores import usable_cores
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import atomic_path, fingerprint

__all__ = ["BLOCKS_FILE", "BlockCounts", "count_blocks"]

BLOCKS_FILE = "blocks.parquet"
"""What was counted, beside the prepared data."""
COLUMNS = ("key", "row", "column", "counts")
ROW_BYTES = 4
"""Bytes reckoned for a pixel when strips are cut: as a label is decoded, its raw values and its classes are held."""

BlockCounts = Mapping[Block, Int64[np.ndarray, " class_and_ignored"]]
"""Pixels of each class and, last, without a class, in every block that holds a pixel of an image."""


def count_blocks(
    entries: Sequence[ImageEntry],
    areas: Sequence[BlockArea],
    classes: Classes,
    *,
    file: Path | None = None,
    listener: Listener = silent,
) -> list[BlockCounts]:
    """Count the labelled pixels of each class in each block of each image; no image is decoded, only labels.

    Pixels that the image itself lacks are counted as its label says, since only the image knows of them.

    Args:
        entries: The images.
        areas: For each, any area of the blocks that lie on it.
        classes: How labels name classes; what none lists is counted as without class here, and reported later.
        file: Where counts of unchanged labels are kept from one call to the next; nothing is kept if None.
        listener: Receives progress, one unit an image.

    Returns:
        The counts of each image, whatever the number of threads.

    Raises:
        DataError: A label is missing or damaged.
        LabelError: A label's bands or type do not fit how classes are listed.
    """
    keys = [_key(entry, area, classes) for entry, area in zip(entries, areas, strict=True)]
    known = {} if file is None else _load(file)

    def find(number: int) -> BlockCounts:
        found = known.get(keys[number])
        return _count(entries[number], areas[number], classes) if found is None else found

    pool = ThreadPoolExecutor(min(usable_cores(), 8))
    try:
        with Progress("blocks", listener=listener, total=len(entries), unit="images") as progress:
            counts = list(progress.each(pool.map(find, range(len(entries)))))
    finally:
        pool.shutdown(cancel_futures=True)
    if file is not None:
        _save(file, dict(zip(keys, counts, strict=True)))
    return counts


def _count(entry: ImageEntry, area: BlockArea, classes: Classes) -> BlockCounts:
    """Count one image by strips of rows."""
    reader = area.open(entry.grid)
    if entry.label is None:
        none = [0] * len(classes)
        return {block: np.array([*none, pixels], dtype=np.int64) for block, pixels in reader.sizes().items()}
    lenient = classes if classes.unlisted != "error" else classes.model_copy(update={"unlisted": "ignore"})
    kinds = len(classes) + 1
    found: dict[Block, Int64[np.ndarray, " kind"]] = defaultdict(lambda: np.zeros(kinds, dtype=np.int64))
    inside = entry.area.open(entry.grid) if entry.area else None
    with entry.label.open(entry.grid) as label:
        # A label that is drawn or decoded whole can be read by rows as well.
        together = label.block_shape[0] if label.block_shape[0] < entry.height else 1
        for strip in strips(entry, together, entry.width * ROW_BYTES):
            target = decode_label(label, inside, strip, lenient).target
            for block, counts in reader.count(strip, np.minimum(target, kinds - 1), kinds).items():
                found[block] += counts
    return dict(found)


def _key(entry: ImageEntry, area: BlockArea, classes: Classes) -> str:
    """Name what decides the counts of an image; which part a block belongs to is no part of it."""
    return fingerprint(
        {
            "classes": classes.model_dump(mode="json"),
            "files": file_states(path for part in (entry.label, entry.area) if part for path in part.files),
            "reading": [part.model_dump(mode="json") if part else None for part in (entry.label, entry.area)],
            "grid": [entry.crs, entry.transform, entry.height, entry.width],
            "blocks": [area.size, area.crs],
        }
    )


def _save(path: Path, counts: Mapping[str, BlockCounts]) -> None:
    rows = [
        (key, row, column, pixels) for key, blocks in counts.items() for (row, column), pixels in sorted(blocks.items())
    ]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(temporary, index=False)


def _load(path: Path) -> dict[str, BlockCounts]:
    """Read counts by key; a file that is missing or cannot be read holds none, since labels can be counted again."""
    try:
        frame = pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, ValueError):
        return {}
    found: dict[str, dict[Block, Int64[np.ndarray, " kind"]]] = defaultdict(dict)
    for key, row, column, pixels in frame.itertuples(index=False):
        found[str(key)][int(row), int(column)] = np.asarray(pixels, dtype=np.int64)
    return dict(found)
