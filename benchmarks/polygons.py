"""Polygons of a 20000 x 20000 class map: speed, memory that the height does not touch, and areas that add up.

    python benchmarks/polygons.py [--rows 5000 20000] [--width 20000] [--simplify 0] [--smallest 0] [--rival 4000]

The map is made row by row and never stands whole in memory; fields of six classes have ragged borders and about one
corner for 30 pixels. Each height is turned into a GeoPackage in a process of its own; counted is the highest resident
memory above the state after a first small map. Then all polygons are read back: their pixels, and their exact areas
over the area of a pixel, must add up to the map's pixels. Beside it, rasterio.features.shapes and geopandas write the
same polygons of a map that fits in memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.features import shapes
from scipy.ndimage import gaussian_filter

from terrazzo.data.classes import Classes
from terrazzo.geo.grid import Grid
from terrazzo.scene.polygons import PolygonWriter
from terrazzo.scene.settings import PolygonSettings

CLASSES = Classes(items=[f"class {number}" for number in range(6)])
IGNORE = CLASSES.ignore
TILE, CHUNK = 1024, 256
PIXEL_M = 0.5
LARGEST_CHANGE = 0.1
LEAST_RATE = 5e6


def tile() -> np.ndarray:
    """Return classes that go on at the opposite side, so that tiles join without a seam."""
    draw = np.random.default_rng(0)
    fields = []
    for _ in range(len(CLASSES) + 1):
        coarse, fine = (draw.standard_normal((TILE, TILE)).astype(np.float32) for _ in range(2))
        fields.append(gaussian_filter(coarse, 20, mode="wrap") * 20 + gaussian_filter(fine, 4, mode="wrap"))
    values = np.argmax(fields[:-1], axis=0).astype(np.uint8)
    values[fields[-1] > 1.5 * fields[-1].std()] = IGNORE
    return values


def rows_of(height: int, width: int) -> Iterator[np.ndarray]:
    """Yield a map from top to bottom; each row of tiles is shifted against the one before."""
    one = tile()
    for top in range(0, height, CHUNK):
        rows = one[(np.arange(top, min(top + CHUNK, height))) % TILE]
        shift = 389 * (top // TILE) % TILE
        yield np.tile(np.roll(rows, shift, axis=1), (1, -(-width // TILE)))[:, :width]


def grid_of(height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(32633), Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_600_000), height, width)


def write(path: Path, height: int, width: int, settings: PolygonSettings) -> tuple[float, int]:
    """Write one map's polygons and return the seconds that they took, and the pixels that are not missing."""
    begun, seconds, valid = time.perf_counter(), 0.0, 0
    writer = PolygonWriter(path, grid_of(height, width), CLASSES, settings, ignore=IGNORE)
    seconds += time.perf_counter() - begun
    for rows in rows_of(height, width):
        valid += int(np.count_nonzero(rows != IGNORE))
        begun = time.perf_counter()
        writer.write(rows)
        seconds += time.perf_counter() - begun
    begun = time.perf_counter()
    writer.complete()
    return seconds + time.perf_counter() - begun, valid


def resident_mib(field: str) -> float:
    """Return resident memory of this process as the system saw it: VmRSS now, VmHWM at its highest."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def measure(folder: Path, height: int, width: int, settings: PolygonSettings) -> None:
    """Be the measured process: a small map to warm up, then the map; say the figures."""
    write(folder / "warm.gpkg", 64, 64, settings)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    warm = resident_mib("VmRSS")
    path = folder / "map.gpkg"
    seconds, valid = write(path, height, width, settings)
    peak = resident_mib("VmHWM")
    count = pixels = corners = 0
    area = 0.0
    with pyogrio.open_arrow(path, batch_size=16384, use_pyarrow=True) as (meta, reader):
        for batch in reader:
            geometries = shapely.from_wkb(
                batch.column(meta["geometry_name"] or "wkb_geometry").to_numpy(zero_copy_only=False)
            )
            count += len(geometries)
            pixels += int(np.sum(batch.column("pixels").to_numpy()))
            corners += int(shapely.get_num_coordinates(geometries).sum())
            area += float(shapely.area(geometries).sum())
    found = {"seconds": seconds, "growth": peak - warm, "valid": valid, "pixels": pixels, "count": count}
    print(json.dumps({**found, "area": area / PIXEL_M**2, "corners": corners, "mib": path.stat().st_size / 2**20}))


def rival(folder: Path, side: int) -> tuple[float, float]:
    """Return the seconds that rasterio with geopandas, and this, take for the same map."""
    values = np.concatenate(list(rows_of(side, side)))
    grid = grid_of(side, side)
    begun = time.perf_counter()
    found = [
        (shapely.geometry.shape(form), int(value))
        for form, value in shapes(values, values != IGNORE, connectivity=4, transform=grid.transform)
    ]
    frame = gpd.GeoDataFrame(
        {"value": [value for _, value in found]}, geometry=[form for form, _ in found], crs=grid.crs
    )
    frame.to_file(folder / "rival.gpkg")
    theirs = time.perf_counter() - begun
    ours, _ = write(folder / "ours.gpkg", side, side, PolygonSettings())
    if len(frame) != pyogrio.read_info(folder / "ours.gpkg")["features"]:
        raise SystemExit("missed: both must find the same polygons")
    return theirs, ours


def run(height: int, given: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", str(folder), "--rows", str(height), "--width", str(given.width)]
    command += ["--simplify", str(given.simplify), "--smallest", str(given.smallest)]
    child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(child.stdout)
    rate = height * given.width / found["seconds"] / 1e6
    print(
        f"{height} x {given.width}: {found['count']:.0f} polygons, {found['corners']:.0f} corners, "
        f"{found['mib']:.0f} MiB; {found['seconds']:.1f} s, {rate:.1f} million pixels/s; peak memory "
        f"{found['growth']:.0f} MiB above the start; pixels {found['pixels']:.0f} and areas {found['area']:.3f} of "
        f"{found['valid']:.0f} valid pixels",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--simplify", type=float, default=0.0)
    parser.add_argument("--smallest", type=int, default=0)
    parser.add_argument("--rival", type=int, default=4_000, help="side of the map that the rival gets; 0 for none")
    parser.add_argument("--folder", type=Path, help="where files are written for the while; a temporary folder")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    settings = PolygonSettings(simplify=given.simplify, smallest_pixels=given.smallest)
    if given.child:
        measure(given.child, given.rows[0], given.width, settings)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = [run(height, given, Path(folder)) for height in given.rows]
        if given.rival:
            theirs, ours = rival(Path(folder), given.rival)
            print(
                f"{given.rival} x {given.rival}: rasterio.features.shapes with geopandas {theirs:.1f} s, "
                f"this {ours:.1f} s ({theirs / ours:.1f} times as fast)"
            )
    change = found[-1]["growth"] / found[0]["growth"] - 1
    print(f"memory from {given.rows[0]} to {given.rows[-1]} rows: {change:+.1%} (bar {LARGEST_CHANGE:.0%})")
    exact = all(
        one["pixels"] == one["valid"] and (given.simplify or given.smallest or abs(one["area"] - one["valid"]) < 1e-3)
        for one in found
    )
    rate = given.rows[-1] * given.width / found[-1]["seconds"]
    slow = not (given.simplify or given.smallest) and rate < LEAST_RATE
    if change > LARGEST_CHANGE or not exact or slow:
        raise SystemExit("missed")


if __name__ == "__main__":
    main()
