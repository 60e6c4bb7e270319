"""Bar: the default overlap sits at the knee of seam energy against cost, for a network trained on real imagery.

    python benchmarks/seams.py RUN_OR_BUNDLE SCENE ... [--window 256] [--overlaps 0 0.0625 0.125 0.25 0.5]

Scenes are mapped at each overlap. Seam energy is how much faster probabilities change from pixel to pixel across the
lines in the middle of two windows' common part than anywhere else: mean |p(x + 1) - p(x)| there, over the same far from
such lines, less 1. It is 0 where nothing shows that there were windows. Natural edges lie on both, so that they cancel.
Beside it stand the pixels that the network sees for each pixel of the map. At the default (1/8) these are 1.35 at most.

A network to try: python benchmarks/dubai.py --out FOLDER, then FOLDER/runs/dubai and the images of Tile 7.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

import terrazzo
from terrazzo.bundle import Bundle
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.windows import Axis, step_between

LARGEST_OVERHEAD = 1.35
FAR = 16
"""Pixels from every seam at which the background begins."""


def lines(axis: Axis) -> np.ndarray:
    """Return the pixels after which the middle of each fade lies."""
    return np.array([(fade.start + fade.stop) // 2 - 1 for fade in axis.fades], dtype=int)


def changes(probabilities: np.ndarray, rows: Axis, columns: Axis) -> tuple[np.ndarray, np.ndarray]:
    """Return sum and number of changes across seams, and of those far from them."""
    across, elsewhere = np.zeros(2), np.zeros(2)
    for axis, plane in ((rows, probabilities), (columns, probabilities.swapaxes(1, 2))):
        change = np.abs(np.diff(plane, axis=1)).sum(axis=0)
        seams = lines(axis)
        if not len(seams):
            continue
        distance = np.abs(np.arange(change.shape[0])[:, None] - seams).min(axis=1)
        across += change[seams].sum(), change[seams].size
        background = change[distance >= FAR]
        elsewhere += background.sum(), background.size
    return across, elsewhere


def cropped(scene: Path, folder: Path, window: int, stride: int) -> Path:
    """Write the part of a scene that windows cover with exactly the asked overlap; else they would overlap more."""
    with rasterio.open(scene) as file:
        height, width = ((length - window) // stride * stride + window for length in file.shape)
        values = file.read(window=Window(0, 0, width, height))
    path = folder / f"{scene.stem}.png"
    with rasterio.open(
        path, "w", driver="PNG", count=len(values), height=height, width=width, dtype=values.dtype
    ) as file:
        file.write(values)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--window", type=int, help="side of a window; the training patch's if not given")
    parser.add_argument("--overlaps", type=float, nargs="+", default=[0, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
    given = parser.parse_args()
    window = given.window or Bundle.load(given.model).patch_size
    print(f"{len(given.scenes)} scenes, windows of {window} pixels")
    print(f"{'overlap':>8} {'seam energy':>12} {'pixels seen':>12}")
    for overlap in given.overlaps:
        across, elsewhere, seen, mapped = np.zeros(2), np.zeros(2), 0, 0
        with tempfile.TemporaryDirectory() as folder:
            settings = PredictSettings(
                window=window, overlap=overlap, layers=("probabilities",), precision="float32", report=False,
                quick_look=0, stac=False, overviews=False,
            )  # fmt: skip
            stride = step_between(window, overlap=overlap, stride=None)
            for scene in given.scenes:
                out = Path(folder) / f"{scene.stem}.tif"
                part = cropped(scene, Path(folder), window, stride)
                terrazzo.predict(given.model, [part], out, settings=settings)
                with rasterio.open(out.with_name(f"{out.stem}_probabilities.tif")) as file:
                    probabilities = file.read().astype(np.float32) / 254
                rows, columns = (Axis.of(length, window=window, stride=stride) for length in probabilities.shape[1:])
                found = changes(probabilities, rows, columns)
                across += found[0]
                elsewhere += found[1]
                seen += len(rows) * len(columns) * rows.size * columns.size
                mapped += rows.length * columns.length
        energy = (across[0] / across[1]) / (elsewhere[0] / elsewhere[1]) - 1
        print(f"{overlap:8.4f} {energy:12.3f} {seen / mapped:12.3f}", flush=True)
    stride = step_between(512, overlap=None, stride=None)
    side = len(Axis.of(12000, window=512, stride=stride)) * 512
    overhead = (side / 12000) ** 2
    verdict = "met" if overhead <= LARGEST_OVERHEAD else "MISSED"
    print(
        f"default overlap, 12000 x 12000, windows of 512: {overhead:.3f} pixels seen "
        f"(bar <= {LARGEST_OVERHEAD}: {verdict})"
    )


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    main()
