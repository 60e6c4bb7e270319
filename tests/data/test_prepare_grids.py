"""Preparing scenes whose labels lie elsewhere: real ones against a look-up pixel by pixel."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform as transform_points

from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings

NLCD = {"water": 1, "developed": 2, "barren": 3, "forest": 4, "shrub": 5, "grass": 6, "crops": 7, "wetland": 8}


def prepared_from(tmp_path, source, classes, **settings):
    given = {"source": {"name": "geotiff", **source}, "classes": classes, "patch": {"size": 256}, **settings}
    return prepare_data(DataSettings.model_validate(given), PrepareSettings(folder=tmp_path / "vorbereitet"))


def test_landsat_bands_with_land_cover_in_another_system(real_data, tmp_path):
    folder = real_data / "zion_landsat_nlcd" / "raster"
    source = {
        "folder": folder,
        "images": "landsat_b2.tif",
        "extra": ["landsat_b3.tif", "landsat_b4.tif", "landsat_b5.tif"],
        "label_rasters": [folder / "nlcd.tif"],
    }
    classes = [{"name": name, "values": [value]} for name, value in NLCD.items()]
    prepared = prepared_from(
        tmp_path, source, classes, bands=["blue", "green", "red", "nir"], split={"fractions": {"train": 1.0}}
    )
    with rasterio.open(folder / "landsat_b2.tif") as scene, rasterio.open(folder / "nlcd.tif") as label:
        raw, back = label.read(1), ~label.transform
        rows, columns = np.indices((scene.height, scene.width)) + 0.5
        across, down = scene.transform @ (columns.ravel(), rows.ravel())
        x, y = back @ tuple(np.array(axis) for axis in transform_points(scene.crs, label.crs, across, down))
    looked_up = raw[y.astype(int), x.astype(int)]
    expected = [int((looked_up == value).sum()) for value in NLCD.values()]
    # A handful of centres fall upon the edge of two label pixels, where rounding may choose either.
    assert np.abs(np.array(prepared.pixel_counts["train"]) - expected).max() <= 3
    assert sum(prepared.pixel_counts["train"]) + prepared.ignored_counts["train"] == 1428 * 1128
    assert prepared.resolution_m == 30
    for band, name in zip(range(4), ("b2", "b3", "b4", "b5"), strict=True):
        with rasterio.open(folder / f"landsat_{name}.tif") as file:
            assert prepared.normalisation.mean[band] == pytest.approx(file.read(1).mean(dtype=np.float64), rel=1e-9)
    (note,) = (warning for warning in prepared.warnings if "another grid" in warning)
    assert "the labels of 1 of 1 images" in note
    assert note in open_prepared(prepared.folder).warnings


def test_tiles_of_two_resolutions_at_one(real_data, tmp_path):
    """Pixels of 0.3 and 0.15 m become 0.3 m: one tile stays as it is, the other has half as many each way."""
    source = {
        "folder": real_data / "geotiff_label_raster_tiles",
        "images": "tiled_image_*.tif",
        "labels": "tiled_label_*.tif",
    }
    split = {"fractions": {"train": 1.0}}
    prepared = prepared_from(tmp_path, source, ["other", "building"], resolution_m=0.3, split=split)
    shapes = {entry.image_id: (entry.height, entry.width) for entry in prepared.catalog}
    assert shapes == {"1": (512, 512), "2": (256, 256)}
    assert prepared.resolution_m == pytest.approx(0.3)
    assert sum(prepared.pixel_counts["train"]) == 512**2 + 256**2
    with rasterio.open(source["folder"] / "tiled_label_1.tif") as file:
        first = int((file.read(1) == 1).sum())
    with rasterio.open(source["folder"] / "tiled_label_2.tif") as file:
        second = int((file.read(1) == 1).sum()) / 4
    assert prepared.pixel_counts["train"][1] == pytest.approx(first + second, rel=0.01)


def test_another_resolution_or_collar_prepares_anew(tmp_path):
    folder = tmp_path / "Daten"
    folder.mkdir()
    values = np.full((3, 40, 40), 90, "uint8")
    values[:, :10] = 3
    frame = {"driver": "GTiff", "height": 40, "width": 40, "dtype": "uint8", "crs": "EPSG:32633"}
    for name, pixels in (("scene", values), ("cover", np.ones((1, 20, 20), "uint8"))):
        size = {"height": pixels.shape[1], "width": pixels.shape[2], "count": len(pixels)}
        scale = 40 // pixels.shape[1]
        transform = Affine(scale, 0, 500_000, 0, -scale, 5_000_000)
        with rasterio.open(folder / f"{name}.tif", "w", **{**frame, **size}, transform=transform) as file:
            file.write(pixels)
    source = {"folder": folder, "label_rasters": [folder / "cover.tif"]}
    split = {"fractions": {"train": 1.0}}
    counts = []
    for settings in ({}, {"collar": {"value": 0, "nodata_tolerance": 6}}, {"resolution_m": 2.0}, {}):
        prepared = prepared_from(tmp_path, source, ["a", "b"], split=split, **settings)
        counts.append((prepared.pixel_counts["train"], prepared.ignored_counts["train"], prepared.fingerprint))
    assert [count[:2] for count in counts] == [((0, 1600), 0), ((0, 1200), 400), ((0, 400), 0), ((0, 1600), 0)]
    assert counts[0] == counts[3]
    assert len({fingerprint for *_, fingerprint in counts}) == 3
