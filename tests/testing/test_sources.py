"""The suite for sources passes a folder of pairs and finds each defect that it claims to find."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.catalog import Catalog
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.sources.source import Listing
from terrazzo.testing import check_source


@pytest.fixture
def folder(tmp_path):
    """Two pairs in a folder with a difficult name."""
    root = tmp_path / "Luftbild ä ö"
    for sub in ("images", "masks"):
        (root / sub).mkdir(parents=True)
        for name in ("a b", "é"):
            pixels = np.zeros((6, 5) if sub == "masks" else (6, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / sub / f"{name}.png")
    return root


class Broken(FolderSource):
    """A folder with one defect."""

    name: Literal["folder"] = "folder"
    """A defect."""
    defect: str
    """Which."""

    def pairs(self):
        found = super().pairs().pairs
        if self.defect == "empty":
            return Listing(())
        if self.defect == "double":
            return Listing(tuple(replace(pair, image_id="same") for pair in found))
        if self.defect == "missing":
            return Listing(
                (replace(found[0], label=RasterLabel(rasters=(found[0].image.with_name("gone.png"),))), found[1])
            )
        if self.defect == "restless":
            CALLS.append(1)
            return Listing(found[:: 1 if len(CALLS) % 2 else -1])
        return Listing(found)

    def catalog(self):
        whole = super().catalog()
        if self.defect == "lossy":
            return Catalog(whole.entries()[:1])
        if self.defect == "split":
            return Catalog([replace(entry, split="test") for entry in whole.entries()])
        return whole


CALLS: list[int] = []


def test_a_folder_of_pairs_conforms(folder):
    check_source(FolderSource(folder=folder))


@pytest.mark.parametrize(
    ("defect", "complaint"),
    [
        ("empty", "lists no image"),
        ("double", "stand for several images"),
        ("missing", r"do not exist.*gone\.png"),
        ("restless", "the second time"),
        ("lossy", "other images"),
        ("split", "another split"),
    ],
)
def test_each_defect_is_found(folder, defect, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_source(Broken(folder=folder, defect=defect))
