"""Warnings about a data set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.findings import count_roles, find_warnings, require_listed
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.patches import COLUMNS, PatchIndex
from terrazzo.data.settings import DataSettings
from terrazzo.data.statistics import Moments
from terrazzo.errors import LabelError
from terrazzo.geo.bands import Band, Bands

BANDS = Bands(items=(Band(name="red"),))
MOMENTS = Moments(10, (5.0,), (90.0,))


def entry(name, split="train", **more):
    return ImageEntry(
        name, Path(f"{name}.tif"), RasterLabel(rasters=(Path(f"{name}_label.tif"),)), (), split, None, 2, 5, **more
    )


def facts(*class_pixels, unlisted=None):
    ignored = 10 - sum(class_pixels)
    return ImageFacts(MOMENTS, class_pixels, ignored, unlisted or {}, np.array([[*class_pixels, ignored]]))


def index(share=0.0):
    return PatchIndex(
        pd.DataFrame([("a", 0, 0, 2, 5, 0, 0, 2, 5, "train", None, None, share, [5, 5])], columns=list(COLUMNS))
    )


def warnings(entries, found, *, unlisted="ignore", moments=MOMENTS, share=0.0):
    data = DataSettings.model_validate(
        {"source": {"name": "folder", "folder": "."}, "classes": {"items": ["land", "water"], "unlisted": unlisted}}
    )
    return find_warnings(data, entries, found, BANDS, moments, index(share))


def test_nothing_to_say():
    assert warnings([entry("a"), entry("b", "val")], [facts(5, 5), facts(3, 7)]) == []


def test_a_part_without_label_of_an_image_with_some_is_no_image_without_label():
    parts = [entry("a"), replace(entry("a", "val"), image_id="a#val")]
    assert not any("without any labelled" in text for text in warnings(parts, [facts(5, 5), facts(0, 0)]))
    (text,) = (text for text in warnings(parts, [facts(0, 0)] * 2) if "without any labelled" in text)
    assert text == "without any labelled pixel: a_label.tif"


def test_pixels_of_roles_are_summed_over_images():
    counts = count_roles(
        [entry("a"), entry("b"), entry("c", "test")], [facts(5, 1), facts(2, 3), facts(0, 4, unlisted={"9": 2, "8": 1})]
    )
    assert counts.labelled == {"train": (7, 4), "test": (0, 4)}
    assert counts.ignored == {"train": 9, "test": 6}
    assert counts.unlisted == {"train": 0, "test": 3}


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([facts(5, 0), facts(5, 0)], "class water occurs in no label"),
        ([facts(5, 0), facts(5, 5)], "class water is absent from train"),
        ([facts(5, 5), facts(0, 0)], "without any labelled pixel: b_label.tif"),
        ([facts(5, 5), facts(5, 5, unlisted={"7": 3})], "listed under no class: 7 (3 pixels), in b_label.tif"),
    ],
)
def test_labels_that_look_wrong(found, text):
    assert text in warnings([entry("a"), entry("b", "val")], found)


def test_a_constant_band():
    found = warnings([entry("a"), entry("b", "val")], [facts(5, 5)] * 2, moments=Moments(9, (5.0,), (0.0,)))
    assert found == ["band red is 5 at every valid training pixel: it tells nothing"]


def test_roles_without_images():
    assert "no image trains" in warnings([entry("b", "val")], [facts(5, 5)])[0]
    assert "no image selects" in warnings([entry("a")], [facts(5, 5)])[0]


def test_nothing_left_to_train_on():
    found = warnings([entry("a"), entry("b", "val")], [facts(5, 5)] * 2, share=0.95)
    assert found == ["no training patch has less than 90% ignored: there is nothing to train on"]


def test_pixel_sizes_that_differ():
    crs = (
        'PROJCS["x",GEOGCS["y",DATUM["z",SPHEROID["s",6378137,298]],PRIMEM["Greenwich",0],UNIT["degree",0.0174]],'
        'PROJECTION["Transverse_Mercator"],UNIT["metre",1]]'
    )
    coarse = entry("b", "val", crs=crs, transform=(2.0, 0.0, 0.0, 0.0, -2.0, 0.0))
    fine = replace(coarse, image_id="a", split="train", transform=(0.5, 0.0, 0.0, 0.0, -0.5, 0.0))
    assert "from 0.5 m to 2 m" in warnings([fine, coarse], [facts(5, 5)] * 2)[0]


def test_unlisted_labels_of_all_files_are_refused_in_one_message():
    entries = [entry(f"image {number}") for number in range(8)]
    found = [facts(5, 5, unlisted={"7": 1, "200": 5}) for _ in entries]
    with pytest.raises(LabelError, match=r"image 4_label.tif and 3 more files: .*200 \(40 pixels\), 7 \(8 pixels\)"):
        require_listed(Classes(items=["a", "b"]), entries, found)
    require_listed(Classes(items=["a", "b"], unlisted="ignore"), entries, found)
    require_listed(Classes(items=["a", "b"]), entries, [facts(5, 5)] * 8)
