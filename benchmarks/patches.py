"""Random patches a second from the patch store, against decoding the whole photograph for each.

    python benchmarks/patches.py [--pairs 20] [--patches 400] [--rounds 3] [--folder DIR]

Pairs of a JPEG photograph and a speckled colour PNG mask of 2448 x 2448 pixels are generated and prepared with
`prepare.store: tiles`. One process reads patches of 256 pixels, image and class mask, at random places:

* from the store, as training does: at least 30 x as many a second as opening and decoding both files with Pillow for
  each patch, cropping, and comparing the mask with each colour;
* the same windows of the same files with rasterio alone, kept open: the store takes at most 25 % longer.

The comparisons are made in turns, each in windows of its own round, and the best round of each counts. Times mean
something only on a machine that does nothing else.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from generated_pairs import COLOURS, SIDE, UNKNOWN, GeneratedPair, generate
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.reading import read_patch
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.geo.grid import Window

PATCH = 256
CLASSES = Classes(
    items=tuple(Class(name=name, colour=colour) for name, colour in COLOURS.items()), ignore_colours=(UNKNOWN,)
)
Place = tuple[int, int, int]
"""Number of the image, row and column."""


def places(count: int, images: int, seed: int) -> list[Place]:
    draw = np.random.default_rng(seed)
    corners = draw.integers(0, SIDE - PATCH + 1, (count, 2))
    return [(int(draw.integers(images)), int(y), int(x)) for y, x in corners]


def seconds(action: Callable[[], object], count: int) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) / count


def decode_for_each(pairs: Sequence[GeneratedPair], wanted: Sequence[Place]) -> None:
    for number, y, x in wanted:
        box = (x, y, x + PATCH, y + PATCH)
        with Image.open(pairs[number].image) as opened:
            np.array(opened.convert("RGB").crop(box))
        with Image.open(pairs[number].mask) as opened:
            mask = np.where(np.array(opened.convert("RGB").crop(box)) >= 128, 255, 0)
        target = np.full(mask.shape[:2], 255, dtype=np.uint8)
        for code, colour in enumerate(COLOURS.values()):
            target[(mask == np.array(colour)).all(axis=-1)] = code


def with_rasterio(files: Sequence[rasterio.DatasetReader], wanted: Sequence[Place]) -> None:
    for number, y, x in wanted:
        files[number].read(window=RasterioWindow(x, y, PATCH, PATCH))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--patches", type=int, default=400, help="patches of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the generated pairs here")
    chosen = parser.parse_args()
    # As in a data set far larger than memory, no decoded tile is met again.
    os.environ["GDAL_CACHEMAX"] = "16"
    # Of photographs there is nothing else to say.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        pairs = generate(folder, chosen.pairs)
        data = {"source": {"name": "folder", "folder": folder}, "classes": CLASSES, "patch": {"size": PATCH}}
        out = folder / "prepared"
        prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=out, store="tiles"))
        prepared = open_prepared(out)
        entries = sorted(prepared.catalog, key=lambda entry: entry.image)
        sources = [path for pair in pairs for path in (pair.image, pair.mask)]
        stored = [entry.tiles.path for entry in entries if entry.tiles is not None]
        sizes = [sum(path.stat().st_size for path in paths) / 2**20 for paths in (stored, sources)]
        print(f"{len(pairs)} pairs: {sizes[0]:.0f} MiB of tiles from {sizes[1]:.0f} MiB", flush=True)
        files = [rasterio.open(path) for path in stored]

        def from_store(wanted: Sequence[Place], entries: Sequence[ImageEntry] = entries) -> None:
            for number, y, x in wanted:
                read_patch(entries[number], Window(y, x, PATCH, PATCH), prepared.bands, prepared.classes)

        # Opens every file of the store once, as those of the comparison are.
        from_store([(number, 0, 0) for number in range(len(entries))])
        store = alone = decoding = float("inf")
        for number in range(chosen.rounds):
            # Windows of its own for each, so that none finds blocks that the other left in GDAL's memory.
            first, second = (places(chosen.patches, len(pairs), 2 * number + part) for part in (0, 1))
            few = first[: max(chosen.patches // 20, 4)]
            store = min(store, seconds(lambda first=first: from_store(first), len(first)))
            alone = min(alone, seconds(lambda second=second: with_rasterio(files, second), len(second)))
            decoding = min(decoding, seconds(lambda few=few: decode_for_each(pairs, few), len(few)))
    print(f"from the store              {1 / store:7.1f} patches a second")
    print(f"rasterio alone, same files  {1 / alone:7.1f} patches a second")
    print(f"decoding for each patch     {1 / decoding:7.1f} patches a second")
    gain, more = decoding / store, store / alone
    print(f"store / decoding: {gain:.1f} x (at least 30: {'yes' if gain >= 30 else 'NO'})")
    print(f"time of the store / of rasterio: {more:.2f} (at most 1.25: {'yes' if more <= 1.25 else 'NO'})")
    return 0 if gain >= 30 and more <= 1.25 else 1


if __name__ == "__main__":
    sys.exit(main())
