"""Small prepared data on disk whose pixel values say their class."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from PIL import Image

from terrazzo.data.catalog import BandPlace, Catalog, ImageEntry
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import COLUMNS, PatchIndex, cut
from terrazzo.data.prepared import Prepared
from terrazzo.geo.bands import Band, Bands

MakePrepared = Callable[..., Prepared]


def write_raster(path: Path, values: np.ndarray, nodata: int | None = None) -> None:
    profile = {"driver": "GTiff", "count": len(values), "height": values.shape[1], "width": values.shape[2]}
    transform = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)
    with rasterio.open(
        path, "w", dtype=values.dtype, nodata=nodata, crs="EPSG:32633", transform=transform, **profile
    ) as file:
        file.write(values)


def write_scene(folder: Path, name: str, size: tuple[int, int], bands: int, classes: Classes) -> ImageEntry:
    """An image of 10 x class + band + 1, nodata 0 in a tenth of its pixels, and its label with ignored pixels (200)."""
    draw = np.random.default_rng(len(name) * 1000 + sum(size))
    label = draw.integers(0, 3, size).astype(np.uint8)
    image = np.stack([label * 10 + band + 1 for band in range(bands)]).astype(np.uint8)
    image[:, draw.random(size) < 0.1] = 0
    raw = np.array([item.values[0] for item in classes.items], dtype=np.uint16)[label]
    raw[draw.random(size) < 0.1] = 200
    write_raster(folder / f"{name}.tif", image, nodata=0)
    write_raster(folder / f"{name}_label.tif", raw[None])
    stack = tuple(BandPlace(f"band_{band + 1}", 0, band) for band in range(bands))
    image_path, label = folder / f"{name}.tif", RasterLabel(rasters=(folder / f"{name}_label.tif",))
    return ImageEntry(name, image_path, label, (), "train", None, *size, stack=stack)


@pytest.fixture
def make_prepared(tmp_path: Path) -> MakePrepared:
    """Write images of the given sizes and return them as prepared data."""

    def make(
        *sizes: tuple[int, int], bands: int = 3, patch: int = 16, step: int | None = None, classes: int = 3
    ) -> Prepared:
        folder = tmp_path / "Bilder für später"
        folder.mkdir(exist_ok=True)
        listed = [
            # Raw values 1, 2, ... but never 200, which is ignored.
            Class(
                name=f"class {number}",
                colour=(number % 256, number // 256, 9),
                values=(number + 201 * (number > 198) + 1,),
            )
            for number in range(classes)
        ]
        known = Classes(items=tuple(listed), ignore_values=(200,))
        entries = [write_scene(folder, f"ö {number}", size, bands, known) for number, size in enumerate(sizes)]
        rows = []
        for entry in entries:
            for window, core in cut(entry.height, entry.width, size=patch, step=step or patch):
                with rasterio.open(entry.label.file) as file, rasterio.open(entry.image) as image:
                    raw, seen = file.read(1)[window.slices], image.read(1)[window.slices] != 0
                counts = [int(((raw == item.values[0]) & seen).sum()) for item in known.items]
                share = 1 - sum(counts) / raw.size
                rows.append((entry.image_id, *window, *core, "train", None, None, share, counts))
        return Prepared(
            folder=folder,
            catalog=Catalog(entries),
            index=PatchIndex(pd.DataFrame(rows, columns=list(COLUMNS))),
            bands=Bands(items=tuple(Band(name=f"band_{band + 1}", nodata=0) for band in range(bands))),
            classes=known,
            normalisation=Normalisation(mean=(11.0,) * bands, std=(5.0,) * bands),
            pixel_counts={},
            ignored_counts={},
            unlisted_counts={},
            warnings=(),
            fingerprint="made by a test",
            resolution_m=0.5,
            patch_size=patch,
            max_ignored_share=0.9,
        )

    return make


WritePhoto = Callable[..., Path]


@pytest.fixture
def write_photo(tmp_path: Path) -> WritePhoto:
    """Write a PNG or JPEG below `tmp_path` from an array `y x` or `y x band`; a palette makes it a palette image."""

    def write(relative: str, values: np.ndarray, palette: list[tuple[int, int, int]] | None = None) -> Path:
        path = tmp_path / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(values)
        if palette is not None:
            picture = picture.convert("P")
            picture.putdata(values.ravel().tolist())
            picture.putpalette([level for colour in palette for level in colour])
        picture.save(path)
        return path

    return write
