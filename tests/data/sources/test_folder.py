"""Folders of photographs, on real data sets."""

import numpy as np
import pytest

from terrazzo.data.sources.folder import FolderSource
from terrazzo.errors import DataError


def test_camvid(real_data):
    catalog = FolderSource(folder=real_data / "camvid", images="{split}/*.png", labels="{split}annot/*.png").catalog()
    assert len(catalog.entries("train")) == 367
    assert len(catalog.entries("val")) == 101
    assert {(entry.height, entry.width) for entry in catalog} == {(360, 480)}
    assert all(entry.label.file.stem == entry.image.stem for entry in catalog)


def test_dubai_regions_by_pattern_and_by_folder_names(real_data):
    by_pattern = FolderSource(
        folder=real_data / "dubai", images="{region}/images/*.jpg", labels="{region}/masks/*.png"
    ).catalog()
    by_names = FolderSource(folder=real_data / "dubai").catalog()
    assert {entry.region for entry in by_pattern} == {f"Tile {number}" for number in (1, 2, 3, 4, 7)}
    assert len(by_pattern) == 45
    assert [(e.image_id, e.image, e.label, e.region) for e in by_pattern] == [
        (e.image_id, e.image, e.label, e.region) for e in by_names
    ]


def test_zion_takes_near_infrared_from_its_own_folder(real_data):
    source = FolderSource(
        folder=real_data / "zion_rgb_nir_tiles", images="rgb/*.png", labels="masks/*.png", extra=("nir/*.png",)
    )
    for entry in source.catalog():
        assert [place.name for place in entry.stack] == ["red", "green", "blue", "nir"]
        assert entry.extra[0].name == entry.image.name


def test_a_mask_of_another_size(write_photo, tmp_path):
    write_photo("images/a.png", np.zeros((4, 6, 3), dtype=np.uint8))
    write_photo("masks/a.png", np.zeros((4, 5), dtype=np.uint8))
    with pytest.raises(DataError, match=r"images/a\.png: .*masks/a\.png has 4 x 5 pixels .* its image has 4 x 6"):
        FolderSource(folder=tmp_path).catalog()


def test_an_image_that_is_none(write_photo, tmp_path):
    write_photo("images/a.png", np.zeros((4, 6, 3), dtype=np.uint8)).write_bytes(b"")
    write_photo("masks/a.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(DataError, match=r"images/a\.png"):
        FolderSource(folder=tmp_path).catalog()
