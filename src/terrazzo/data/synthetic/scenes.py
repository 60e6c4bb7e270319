"""The synthetic landscape as files: georeferenced scenes to learn from, to choose by and to judge on."""

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import Shaped
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from terrazzo.data.synthetic.landscape import BAND_NAMES, IGNORE, Landscape, landscape
from terrazzo.data.synthetic.sensor import NODATA, SCALE
from terrazzo.data.synthetic.terrain import PIXEL_SIZE_M
from terrazzo.errors import DataError
from terrazzo.storage import atomic_path, read_json, write_json

__all__ = ["CLASS_COLOURS", "CLASS_NAMES", "SIDES", "write_landscape"]

CLASS_NAMES = ("field", "forest", "water", "road", "building", "bare soil")
"""Names of the label values 0..5."""
CLASS_COLOURS = ((217, 195, 106), (47, 107, 52), (59, 125, 184), (122, 122, 122), (181, 70, 60), (169, 124, 80))
"""Red, green, blue of the label values 0..5."""
SIDES = {"train": 1280, "val": 512, "test": 768}
"""Height and width of the scene of each role, pixels."""
EASTING_M, NORTHING_M = 432_000.0, 5_412_000.0
"""Upper left corner of the first scene in UTM zone 32 north; the next ones lie to the east."""
SPACING_M = 2_000.0
VERSION = 1
"""Counts changes of the drawing, so that files of an older one are not taken for this one's."""


def write_landscape(folder: Path, *, seed: int, sides: dict[str, int] | None = None) -> dict[str, Path]:
    """Write one scene a role as `images/<role>_0.tif` with its label `gt/<role>_0.tif`.

    Images are tiled GeoTIFFs of red, green, blue and near infrared (uint16, 0.0001 reflectance a unit, 0 is nodata) in
    EPSG:32632 at 0.5 m; labels hold 0..5 with a palette, 255 where the sensor did not look. Files that an earlier call
    with the same seed and sides left are kept as they are.

    Args:
        folder: Created if missing.
        seed: Same seed, same landscape; the scenes of one seed differ from each other.
        sides: Pixels of each role's square scene; 1280 for train, 512 for val, 768 for test if None.

    Returns:
        Image of each role.

    Raises:
        DataError: A side is below 1.
        StorageError: The folder cannot be written.
    """
    sides = sides or SIDES
    wanted = {"version": VERSION, "seed": seed, "sides": sides}
    images = {role: folder / "images" / f"{role}_0.tif" for role in sides}
    labels = {role: folder / "gt" / f"{role}_0.tif" for role in sides}
    record = folder / "landscape.json"
    whole = all(path.is_file() for path in (record, *images.values(), *labels.values()))
    if whole and read_json(record) == wanted:
        return images
    record.unlink(missing_ok=True)
    for number, (role, side) in enumerate(sides.items()):
        if side < 1:
            raise DataError(f"The {role} scene was asked for with a side of {side} pixels; expected at least 1.")
        scene = landscape(side, side, seed=seed * len(sides) + number)
        corner = Affine(PIXEL_SIZE_M, 0.0, EASTING_M + number * SPACING_M, 0.0, -PIXEL_SIZE_M, NORTHING_M)
        _write_image(images[role], scene, corner)
        _write_label(labels[role], scene, corner)
    # Written last: what it describes is whole.
    write_json(record, wanted)
    return images


def _write_image(path: Path, scene: Landscape, corner: Affine) -> None:
    with atomic_path(path) as temporary, _created(temporary, scene.image, corner, nodata=NODATA) as target:
        target.write(scene.image)
        for number, name in enumerate(BAND_NAMES, 1):
            target.set_band_description(number, name)
        target.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined)
        target.scales = (SCALE,) * len(BAND_NAMES)
        target.units = ("reflectance",) * len(BAND_NAMES)


def _write_label(path: Path, scene: Landscape, corner: Affine) -> None:
    with atomic_path(path) as temporary, _created(temporary, scene.label[None], corner, nodata=IGNORE) as target:
        target.write(scene.label, 1)
        palette = {value: (*colour, 255) for value, colour in enumerate(CLASS_COLOURS)}
        target.write_colormap(1, palette | {IGNORE: (0, 0, 0, 0)})
        target.set_band_description(1, "class")
        target.update_tags(**{f"class_{value}": name for value, name in enumerate(CLASS_NAMES)})


def _created(
    path: Path, values: Shaped[np.ndarray, "band y x"], corner: Affine, *, nodata: int
) -> rasterio.io.DatasetWriter:
    """Open a new GeoTIFF of the layout that large scenes have: tiles of 256 pixels, deflate, differences along rows."""
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        crs=CRS.from_epsg(32632),
        transform=corner,
        nodata=nodata,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=2,
        zlevel=6,
        photometric="RGB" if values.shape[0] == 4 else "MINISBLACK",
        interleave="pixel",
    )
