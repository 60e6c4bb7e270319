"""Memory of a label raster in another coordinate reference system: windows of 40,000 x 40,000 pixels within 200 MiB.

    python benchmarks/label_memory.py [--side 40000] [--windows 400] [--folder DIR]

A tiled, compressed raster of land-cover classes in EPSG:3035 labels an image grid in UTM that covers most of it. In a
process of its own, random windows and a walk over whole rows of the image are read through the label reader; counted is
the highest resident memory above the state after the first window.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points
from rasterio.windows import Window as RasterioWindow

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.geo.grid import Grid, Window

LARGEST_MIB = 200
CLASSES = Classes(items=tuple(Class(name=f"class {number}", values=(number + 1,)) for number in range(12)))
PATCH = 256
STRIP = 512
LABEL = Affine(1.0, 0, 4_321_000, 0, -1.0, 3_210_000)


def write_label(path: Path, *, side: int) -> None:
    """Write patches of classes, a row of blocks at a time."""
    draw = np.random.default_rng(0)
    fields = draw.integers(1, 13, (64, 64), dtype=np.uint8).repeat(64, axis=0).repeat(64, axis=1)
    wide = np.tile(fields, (1, -(-side // fields.shape[1])))[:, :side]
    frame = {"count": 1, "height": side, "width": side, "dtype": "uint8", "crs": "EPSG:3035", "transform": LABEL}
    tiles = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1, "nodata": 0}
    with rasterio.open(path, "w", driver="GTiff", num_threads=2, **frame, **tiles) as file:
        for top in range(0, side, len(fields)):
            height = min(len(fields), side - top)
            file.write(wide[:height], 1, window=RasterioWindow(0, top, side, height))


def image_grid(side: int) -> Grid:
    """Return a grid in UTM of the label's size, whose centre is the label's: its corners reach beyond."""
    utm = CRS.from_epsg(32632)
    middle = LABEL @ (side / 2, side / 2)
    x, y = (axis[0] for axis in transform_points(CRS.from_epsg(3035), utm, [middle[0]], [middle[1]]))
    return Grid(utm, Affine(1, 0, x - side / 2, 0, -1, y + side / 2), side, side)


def resident_mib(field: str) -> float:
    """Return resident memory of this process as the system saw it: VmRSS now, VmHWM at its highest."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def measure(label: Path, *, side: int, windows: int) -> None:
    """Be the measured process: read the first window, forget the peak so far, read all, say the figures."""
    grid = image_grid(side)
    draw = np.random.default_rng(1)
    spots = draw.integers(0, side - PATCH + 1, (windows, 2)).tolist()
    with RasterLabel(rasters=(label,)).open(grid) as reader:
        reader.decode(Window(side // 2, side // 2, PATCH, PATCH), CLASSES)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        warm = resident_mib("VmRSS")
        labelled = 0
        begun = time.perf_counter()
        for y, x in spots:
            labelled += int((reader.decode(Window(y, x, PATCH, PATCH), CLASSES).target != CLASSES.ignore).sum())
        patches = time.perf_counter() - begun
        for top in range(0, min(8 * STRIP, side), STRIP):
            reader.decode(Window(top, 0, min(STRIP, side - top), side), CLASSES)
        peak = resident_mib("VmHWM")
    share = labelled / (windows * PATCH**2)
    print(json.dumps({"warm": warm, "growth": peak - warm, "labelled": share, "ms": patches / windows * 1e3}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--windows", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where the raster is written for the while; a temporary folder")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        measure(given.child, side=given.side, windows=given.windows)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        label = Path(folder) / "label.tif"
        write_label(label, side=given.side)
        size = label.stat().st_size / 2**20
        command = [sys.executable, __file__, "--child", str(label)]
        command += ["--side", str(given.side), "--windows", str(given.windows)]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(child.stdout)
    print(
        f"{given.side} x {given.side} label ({size:.0f} MiB on disk, {given.side**2 / 2**20:.0f} MiB decoded) in "
        f"another system: {given.windows} patches of {PATCH} ({found['ms']:.1f} ms each, {found['labelled']:.1%} "
        f"labelled) and strips of whole rows; peak growth {found['growth']:.0f} MiB above {found['warm']:.0f} "
        f"(bar {LARGEST_MIB})"
    )
    if found["growth"] > LARGEST_MIB or found["labelled"] < 0.5:
        raise SystemExit("missed")


if __name__ == "__main__":
    main()
