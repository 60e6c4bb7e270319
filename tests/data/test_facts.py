"""Facts of images kept beside prepared data."""

from dataclasses import replace

import numpy as np
import pytest

from terrazzo.data.distribution import Sketch
from terrazzo.data.facts import load_facts, save_facts
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.statistics import Moments

FACTS = ImageFacts(
    Moments(7, (0.1, 2 / 3), (1e-300, 12.5)),
    (3, 0),
    4,
    {"#010203": 2, "ö": 1},
    np.array([[3, 0, 4], [0, 0, 9]]),
    Sketch(((0.1, 2 / 3, 1e300), (-4.0,)), ((1, 2, 4), (7,))),
)
BARE = replace(FACTS, sketch=Sketch())


def same(one, other):
    return (
        (one.moments, one.class_pixels, one.ignored, one.unlisted, one.sketch)
        == (other.moments, other.class_pixels, other.ignored, other.unlisted, other.sketch)
    ) and np.array_equal(one.patch_pixels, other.patch_pixels)


def test_round_trip_keeps_every_bit(tmp_path):
    path = tmp_path / "ein Ordner" / "facts.parquet"
    save_facts(path, {"key": FACTS, "other": BARE})
    loaded = load_facts(path)
    assert list(loaded) == ["key", "other"]
    assert same(loaded["key"], FACTS)
    assert same(loaded["other"], BARE)


def test_no_facts(tmp_path):
    save_facts(tmp_path / "facts.parquet", {})
    assert load_facts(tmp_path / "facts.parquet") == {}


@pytest.mark.parametrize("content", [None, b"", b"PAR1nonsensePAR1"])
def test_what_cannot_be_read_holds_none(tmp_path, content):
    if content is not None:
        (tmp_path / "facts.parquet").write_bytes(content)
    assert load_facts(tmp_path / "facts.parquet") == {}


def test_a_foreign_table_holds_none(tmp_path):
    import pandas as pd

    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "facts.parquet")
    assert load_facts(tmp_path / "facts.parquet") == {}
