"""Which images are written as tiles, and under which names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.labels.cvat import CvatLabel
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.store import plan as store_plan
from terrazzo.data.store.plan import drawn_anew, exceeds_memory, plan_tiles
from terrazzo.data.validity import ValidityMask
from terrazzo.geo.bands import Band, Bands

CLASSES = Classes(items=["a", "b"])
ONE = Bands(items=(Band(name="one"),))
WKT = rasterio.crs.CRS.from_epsg(32633).to_wkt()


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr(store_plan, "threads", lambda: 1)


def raster(path: Path, size: tuple[int, int], pixel: float = 2, **profile: object) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=size[0], width=size[1], dtype="uint8", crs="EPSG:32633",
        transform=Affine(pixel, 0, 9, 0, -pixel, 9), **profile,
    ) as file:  # fmt: skip
        file.write(np.zeros((1, *size), dtype=np.uint8))
    return path


def entry_of(image: Path, label: Path | None, size: tuple[int, int]) -> ImageEntry:
    reference = RasterLabel(rasters=(label,)) if label else None
    placed = {"crs": WKT, "transform": (2.0, 0.0, 9.0, 0.0, -2.0, 9.0)} if image.suffix == ".tif" else {}
    return ImageEntry("i", image, reference, (), "train", None, *size, stack=(BandPlace("one", 0, 0),), **placed)


def planned(tmp_path: Path, entry: ImageEntry, patch: int = 16) -> tuple[bool, bool]:
    """Whether the image and whether the label is written."""
    job = plan_tiles(tmp_path, [entry], ONE, CLASSES, patch_size=patch).get("i")
    return (False, False) if job is None else (job.bands is not None, job.classes is not None)


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


def test_tiles_are_read_as_they_are(tmp_path):
    size = (128, 640)
    entry = entry_of(raster(tmp_path / "a.tif", size, **TILED), raster(tmp_path / "l.tif", size, **TILED), size)
    assert planned(tmp_path, entry) == (False, False)


def test_large_tiles_are_not(tmp_path):
    size = (1024, 2048)
    large = {"tiled": True, "blockxsize": 1024, "blockysize": 1024}
    assert planned(tmp_path, entry_of(raster(tmp_path / "a.tif", size, **large), None, size)) == (True, False)


# A patch of 16 x 16 touches 16 rows of one row each: four times itself at 64 columns.
@pytest.mark.parametrize(("width", "written"), [(64, False), (600, True)])
def test_rows_are_read_as_they_are_where_little_more_is_decoded(tmp_path, width, written):
    size = (40, width)
    entry = entry_of(raster(tmp_path / "a.tif", size, blockysize=1), None, size)
    assert planned(tmp_path, entry) == (written, False)


@pytest.mark.parametrize(("side", "written"), [(32, False), (33, True)])
def test_photographs_are_decoded_whole(write_photo, tmp_path, side, written):
    path = write_photo("ö.png", np.zeros((side, 32), dtype=np.uint8))
    assert planned(tmp_path, entry_of(path, path, (side, 32))) == (written, written)


def test_a_label_on_another_grid_alone(tmp_path):
    size = (128, 640)
    label = raster(tmp_path / "l.tif", size, pixel=3, **TILED)
    assert planned(tmp_path, entry_of(raster(tmp_path / "a.tif", size, **TILED), label, size)) == (False, True)


def test_several_files_and_masks_are_brought_together(tmp_path):
    size = (128, 640)
    image = raster(tmp_path / "a.tif", size, **TILED)
    entry = entry_of(image, None, size)
    assert planned(tmp_path, replace(entry, extra=(image,))) == (True, False)
    assert planned(tmp_path, replace(entry, mask=ValidityMask(file=image, missing=(1,)))) == (True, False)
    twice = RasterLabel(rasters=(image, image))
    assert planned(tmp_path, replace(entry, label=twice)) == (False, True)


def test_a_name_follows_what_decides_the_content(write_photo, tmp_path):
    path = write_photo("ö.png", np.zeros((64, 64), dtype=np.uint8))
    entry = entry_of(path, path, (64, 64))

    def name(entry: ImageEntry, bands: Bands = ONE, classes: Classes = CLASSES) -> str:
        return plan_tiles(tmp_path, [entry], bands, classes, patch_size=16)["i"].path.name

    first = name(entry)
    assert name(replace(entry, split="val", fold=3, region="r")) == first
    others = {
        name(replace(entry, label=None)),
        name(replace(entry, stack=(BandPlace("one", 0, 0, 2.0, 0.0),))),
        name(entry, bands=Bands(items=(Band(name="one", nodata=0),))),
        name(entry, classes=Classes(items=["a", "b", "c"])),
    }
    write_photo("ö.png", np.ones((64, 64), dtype=np.uint8))
    others.add(name(entry))
    assert len(others | {first}) == 6


def test_what_a_process_cannot_keep(tmp_path, monkeypatch):
    bands = Bands(items=(Band(name="one", dtype="uint16"), Band(name="two", dtype="uint16")))
    entry = entry_of(tmp_path / "a.tif", None, (10, 20))
    other = replace(entry, image_id="other", image=tmp_path / "b.tif")
    part = replace(entry, image_id="i#val")
    one = 10 * 20 * 5
    monkeypatch.setattr(store_plan, "WHOLE_BYTES", one)
    monkeypatch.setattr(store_plan, "KEPT_BYTES", 2 * one)
    assert not exceeds_memory([], bands)
    assert not exceeds_memory([entry, part, other], bands)
    monkeypatch.setattr(store_plan, "KEPT_BYTES", 2 * one - 1)
    assert exceeds_memory([entry, part, other], bands)
    assert not exceeds_memory([entry, part], bands)
    monkeypatch.setattr(store_plan, "WHOLE_BYTES", one - 1)
    assert exceeds_memory([entry], bands)


def drawn(path: Path, size: tuple[int, int], name: str = "i") -> ImageEntry:
    """An image with shapes as its label; neither file is needed to decide."""
    placed = {"crs": WKT, "transform": (2.0, 0.0, 9.0, 0.0, -2.0, 9.0)}
    label = VectorLabel(vectors=(path / "l.gpkg",), value="a")
    return ImageEntry(name, path / f"{name}.tif", label, (), "train", None, *size, **placed)


# 2048 x 2048 pixels are the 64 blocks of 256 x 256 that an open label keeps.
@pytest.mark.parametrize(
    ("size", "anew"),
    [((1024, 1024), False), ((2048, 2048), False), ((2049, 2048), True), ((1, 16384), False), ((1, 16385), True)],
)
def test_a_label_of_more_blocks_than_are_kept_is_drawn_anew(tmp_path, size, anew):
    entry = drawn(tmp_path, size)
    assert drawn_anew([entry]) == ([entry] if anew else [])
    assert drawn_anew([replace(entry, label=None), replace(entry, label=RasterLabel(rasters=(tmp_path,)))]) == []


def test_more_labels_than_stay_open_are_drawn_anew(tmp_path):
    small = [drawn(tmp_path, (1024, 1024), f"small {n}") for n in range(50)]
    large = [drawn(tmp_path, (1025, 8), f"large {n}") for n in range(33)]
    assert drawn_anew([*small, *large[:32]]) == []
    assert drawn_anew([*small, *large]) == large


def test_labels_that_are_drawn_whole_are_kept(tmp_path):
    entry = drawn(tmp_path, (4000, 4000))
    label = CvatLabel(annotations=tmp_path / "a.xml", image="i")
    assert drawn_anew([replace(entry, label=label, image_id=f"{n}") for n in range(40)]) == []


def test_labels_alone_are_planned_where_images_are_kept(write_photo, tmp_path):
    path = write_photo("ö.png", np.zeros((64, 64), dtype=np.uint8))
    jobs = plan_tiles(tmp_path, [entry_of(path, path, (64, 64))], ONE, CLASSES, patch_size=16, images=False)
    assert (jobs["i"].bands, jobs["i"].classes) == (None, CLASSES)
    assert plan_tiles(tmp_path, [entry_of(path, None, (64, 64))], ONE, CLASSES, patch_size=16, images=False) == {}
