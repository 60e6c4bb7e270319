"""Georeferenced scenes with label rasters."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from terrazzo.data.sources.geotiff import GeotiffSource
from terrazzo.errors import DataError

HERE = Affine(0.5, 0, 500_000, 0, -0.5, 4_000_000)


def write(path, *, transform=HERE, crs="EPSG:32633", size=(6, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=size[0], width=size[1], dtype="uint8", crs=crs, transform=transform
    ) as file:
        file.write(np.zeros((1, *size), dtype=np.uint8))


def catalog(tmp_path, **label):
    write(tmp_path / "images" / "ä.tif")
    write(tmp_path / "labels" / "ä.tif", **label)
    return GeotiffSource(folder=tmp_path).catalog()


def test_scene_and_label_on_one_grid(tmp_path):
    entry = catalog(tmp_path).entry("ä")
    assert entry.grid.crs.to_epsg() == 32633
    assert entry.grid.transform == HERE
    assert entry.grid.resolution_m == 0.5


def test_rounding_in_a_transform_is_no_difference(tmp_path):
    assert len(catalog(tmp_path, transform=HERE @ Affine.translation(0.0005, -0.0005))) == 1


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"transform": HERE @ Affine.translation(0.5, 0)}, "0.5 pixels beside"),
        ({"transform": HERE @ Affine.scale(1.01)}, "pixels beside"),
        ({"transform": HERE @ Affine.scale(1, -1)}, "pixels beside"),
        ({"crs": "EPSG:32634"}, "EPSG:32634.*EPSG:32633"),
        ({"crs": None}, "labels/ä.tif has no coordinate reference system"),
        ({"size": (9, 6)}, "9 x 6 pixels"),
    ],
)
def test_labels_on_another_grid(tmp_path, label, message):
    with pytest.raises(DataError, match=message):
        catalog(tmp_path, **label)


def test_plain_images_are_refused(write_photo, tmp_path):
    for folder in ("images", "masks"):
        write_photo(f"{folder}/a.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(DataError, match="use the source `folder`"):
        GeotiffSource(folder=tmp_path).catalog()


def test_real_scenes(real_data):
    source = GeotiffSource(
        folder=real_data / "geotiff_label_raster_tiles", images="tiled_image_*.tif", labels="tiled_label_*.tif"
    )
    entries = source.catalog().entries()
    assert [(entry.image_id, entry.height, entry.width) for entry in entries] == [("1", 512, 512), ("2", 512, 512)]
    assert {entry.grid.crs.to_epsg() for entry in entries} == {2949}
