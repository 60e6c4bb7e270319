"""How long preparing takes, against decoding alone and against cropping every window from the opened image.

    python benchmarks/prepare.py [--pairs 100] [--rounds 3] [--folder DIR]

Pairs of a JPEG photograph and a speckled colour PNG mask of 2448 x 2448 pixels are generated and cut into patches of
256 pixels; the index counts the pixels of each class in each patch. Compared are, in turns and each by its best round:

* index without statistics of the bands (they are given): at most 2 x decoding all masks once on all cores, and at least
  3 x faster than opening each mask, cropping each window and counting its unknown pixels, on one core as that is done;
* index with statistics: at most 1.6 x decoding masks and photographs once on all cores;
* one mask from colours to classes on one core: at most 60 ms.

Decoding is Pillow's, as in the way that is compared; GDAL decodes a PNG that is read whole three to four times as fast
(libdeflate), and the ratios to that are printed beside, without a bar. Times mean something only on a machine that
does nothing else.
"""

import argparse
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

from generated_pairs import COLOURS, SIDE, UNKNOWN, GeneratedPair, generate
from terrazzo.data.classes import Class, Classes
from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings

PATCH = 256
CLASSES = Classes(
    items=tuple(Class(name=name, colour=colour) for name, colour in COLOURS.items()), ignore_colours=(UNKNOWN,)
)
GIVEN = {"mean": [127.5] * 3, "std": [73.6] * 3}


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def index(folder: Path, out: Path, *, statistics: bool) -> None:
    """Prepare from nothing; the patch store is another benchmark's."""
    data = {
        "source": {"name": "folder", "folder": folder},
        "classes": CLASSES,
        "patch": {"size": PATCH},
        "normalisation": None if statistics else GIVEN,
    }
    prepare_data(DataSettings.model_validate(data), PrepareSettings(folder=out, store="original"), force=True)


def decode_with_rasterio(path: Path) -> None:
    with rasterio.open(path) as file:
        file.read()


def decode_with_pillow(path: Path) -> None:
    with Image.open(path) as picture:
        np.asarray(picture)


def decode_all(paths: Sequence[Path], decode: Callable[[Path], None]) -> None:
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(decode, paths))


def crop_every_window(pairs: Sequence[GeneratedPair]) -> None:
    """Count the unknown pixels of each window, cropped from the mask as it was opened."""
    starts = [*range(0, SIDE - PATCH, PATCH), SIDE - PATCH]
    for pair in pairs:
        with Image.open(pair.mask) as opened:
            mask = opened.convert("RGB")
        for y in starts:
            for x in starts:
                window = np.array(mask.crop((x, y, x + PATCH, y + PATCH)))
                (window == np.array(UNKNOWN)).all(axis=-1).mean()


def colours_to_classes(mask: Path) -> Callable[[], object]:
    with rasterio.open(mask) as file:
        values = file.read()
    return lambda: CLASSES.decode(values)


def colours_one_by_one(mask: Path) -> Callable[[], object]:
    """Compare the whole mask with one colour after the other, each of its channels set to 0 or 255 first."""
    with Image.open(mask) as opened:
        values = np.array(opened.convert("RGB"))

    def compare() -> None:
        binary = np.where(values >= 128, 255, 0)
        target = np.full(values.shape[:2], 255, dtype=np.uint8)
        for number, colour in enumerate(COLOURS.values()):
            target[(binary == np.array(colour)).all(axis=-1)] = number

    return compare


def judged(what: str, value: float, bar: float, *, most: bool) -> bool:
    good = value <= bar if most else value >= bar
    print(f"  {what}: {value:.2f} ({'at most' if most else 'at least'} {bar:g}: {'yes' if good else 'NO'})")
    return good


def measure(pairs: Sequence[GeneratedPair], folder: Path, rounds: int) -> bool:
    masks = [pair.mask for pair in pairs]
    both = [path for pair in pairs for path in (pair.image, pair.mask)]
    few = pairs[: max(len(pairs) // 10, 1)]
    mapping, comparing = colours_to_classes(masks[0]), colours_one_by_one(masks[0])
    out = folder / "prepared"
    actions: dict[str, Callable[[], object]] = {
        "index": lambda: index(folder, out, statistics=False),
        "masks, rasterio": lambda: decode_all(masks, decode_with_rasterio),
        "masks, Pillow": lambda: decode_all(masks, decode_with_pillow),
        "index with statistics": lambda: index(folder, out, statistics=True),
        "masks and photographs, rasterio": lambda: decode_all(both, decode_with_rasterio),
        "masks and photographs, Pillow": lambda: decode_all(both, decode_with_pillow),
    }
    best = dict.fromkeys(actions, float("inf"))
    cropping, looked_up, compared = float("inf"), float("inf"), float("inf")
    for _ in range(rounds):
        for name, action in actions.items():
            best[name] = min(best[name], seconds(action) / len(pairs))
        cropping = min(cropping, seconds(lambda: crop_every_window(few)) / len(few))
        looked_up, compared = min(looked_up, seconds(mapping)), min(compared, seconds(comparing))
    for name, taken in {**best, "cropping every window": cropping}.items():
        print(f"{name:32} {taken * 1e3:7.1f} ms a pair")
    print(f"{'colours to classes':32} {looked_up * 1e3:7.1f} ms (one colour after the other: {compared * 1e3:.0f} ms)")
    statistics = best["index with statistics"]
    good = [
        judged("index / decoding masks", best["index"] / best["masks, Pillow"], 2, most=True),
        judged("cropping every window / index", cropping / best["index"], 3, most=False),
        judged(
            "index with statistics / decoding both", statistics / best["masks and photographs, Pillow"], 1.6, most=True
        ),
        judged("colours to classes, ms", looked_up * 1e3, 60, most=True),
    ]
    print(f"  index / decoding masks with rasterio: {best['index'] / best['masks, rasterio']:.2f}")
    print(f"  index with statistics / decoding both so: {statistics / best['masks and photographs, rasterio']:.2f}")
    return all(good)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="each comparison is made so often, in turns")
    parser.add_argument("--folder", type=Path, help="keep the generated pairs here")
    chosen = parser.parse_args()
    # Of photographs there is nothing else to say.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        pairs = generate(folder, chosen.pairs)
        print(f"{len(pairs)} pairs, {len(os.sched_getaffinity(0))} cores", flush=True)
        return 0 if measure(pairs, folder, chosen.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
