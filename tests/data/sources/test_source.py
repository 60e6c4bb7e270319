"""The contract of sources, kept by a source of one's own too."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.source import SOURCES, Listing, Pair, Source, role_of


class Single(Source):
    name: Literal["single"] = "single"
    image: Path

    def pairs(self):
        return Listing((Pair("only", self.image, split="train"),))


@pytest.mark.parametrize(
    ("folder", "role"),
    [
        ("train", "train"),
        ("TRAIN", "train"),
        ("valid", "val"),
        ("calib", "calibrate"),
        ("testing", "test"),
        ("x", None),
    ],
)
def test_role_of_a_folder(folder, role):
    assert role_of(folder) == role


def test_files_of_a_pair():
    pair = Pair("a", Path("a.png"), RasterLabel(rasters=(Path("b.png"),)), (Path("c.png"),))
    assert pair.all_files == (Path("a.png"), Path("b.png"), Path("c.png"))
    assert Pair("a", Path("a.png")).all_files == (Path("a.png"),)


def test_a_source_of_ones_own_needs_pairs_only(write_photo):
    path = write_photo("ö ö.png", np.zeros((3, 5, 3), dtype=np.uint8))
    catalog = Single(image=path).catalog()
    entry = catalog.entry("only")
    assert (entry.height, entry.width, entry.label, entry.split) == (3, 5, None, "train")
    assert [place.name for place in entry.stack] == ["red", "green", "blue"]


def test_sources_are_found_by_name():
    assert {"folder", "geotiff"} <= set(SOURCES.names())
    for name in SOURCES:
        assert issubclass(SOURCES.find(name), Source)
