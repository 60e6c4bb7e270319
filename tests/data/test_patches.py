"""Cutting, cores and the table of patches."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.data.patches import COLUMNS, PatchIndex, axis_cores, cut
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 25), st.integers(1, 25))
def test_cores_tile_the_image_exactly_once(height, width, size, step):
    seen = np.zeros((height, width), dtype=int)
    for patch in cut(height, width, size=size, step=min(step, size)):
        seen[patch.core.slices] += 1
        assert patch.core.height >= 1
        assert patch.core.width >= 1
        assert patch.core.intersection(patch.window) == patch.core
    assert (seen == 1).all()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 25), st.integers(1, 25))
def test_windows_lie_inside_and_have_one_size(height, width, size, step):
    whole = Window(0, 0, height, width)
    windows = [patch.window for patch in cut(height, width, size=size, step=min(step, size))]
    seen = np.zeros((height, width), dtype=bool)
    for window in windows:
        assert window.intersection(whole) == window
        assert (window.height, window.width) == (min(size, height), min(size, width))
        seen[window.slices] = True
    assert seen.all()
    assert len(set(windows)) == len(windows)


@given(st.integers(1, 80), st.integers(1, 10), st.integers(11, 30))
def test_a_step_above_the_size_leaves_gaps_that_belong_to_no_core(length, size, step):
    patches = cut(length, 1, size=size, step=step)
    for patch in patches:
        assert patch.core.intersection(patch.window) == patch.core
    ends = [(patch.core.y, patch.core.y + patch.core.height) for patch in patches]
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(ends))
    assert ends[-1][1] == length
    if length >= 2 * step + size:
        assert ends[1] == (step, step + size)


def test_neighbours_meet_in_the_middle_of_their_overlap():
    assert axis_cores(12, 8, [0, 4]) == [(0, 6), (6, 12)]


def test_an_image_smaller_than_the_patch_gives_one_smaller_window():
    assert cut(3, 5, size=8, step=8) == [(Window(0, 0, 3, 5), Window(0, 0, 3, 5))]


def test_the_last_window_moves_inward():
    windows = [patch.window for patch in cut(4, 10, size=4, step=4)]
    assert windows == [Window(0, 0, 4, 4), Window(0, 4, 4, 4), Window(0, 6, 4, 4)]


def test_patches_come_in_raster_order():
    corners = [(patch.window.y, patch.window.x) for patch in cut(8, 8, size=4, step=4)]
    assert corners == sorted(corners)


@pytest.fixture
def index():
    rows = [
        ("ä b", 0, 0, 8, 8, 0, 0, 6, 8, "train", None, "Tile 1", 0.0, [60, 4]),
        ("ä b", 4, 0, 8, 8, 6, 0, 6, 8, "train", None, "Tile 1", 0.95, [1, 2]),
        ("c", 0, 0, 8, 8, 0, 0, 8, 8, "val", None, None, 1.0, [0, 0]),
    ]
    return PatchIndex(pd.DataFrame(rows, columns=list(COLUMNS)))


def test_rows_of_a_role_and_of_all(index):
    assert index.rows() == [0, 1, 2]
    assert index.rows("train") == [0, 1]
    assert index.rows("val") == [2]
    assert index.rows("test") == []


def test_the_filter_is_on_the_share_that_is_ignored(index):
    assert index.rows("train", max_ignored_share=0.9) == [0]
    assert index.rows("train", max_ignored_share=0.95) == [0, 1]
    assert index.rows("val", max_ignored_share=0.5) == []


def test_core_is_relative_to_the_patch(index):
    assert index.window(1) == Window(4, 0, 8, 8)
    assert index.core(1) == Window(2, 0, 6, 8)
    assert index.counts(0) == (60, 4)
    assert index.image_id(2) == "c"


def test_parquet_round_trip(index, tmp_path):
    path = tmp_path / "ein Ordner" / "patches.parquet"
    index.save(path)
    loaded = PatchIndex.load(path)
    assert len(loaded) == 3
    for row in range(3):
        assert loaded.window(row) == index.window(row)
        assert loaded.core(row) == index.core(row)
        assert loaded.counts(row) == index.counts(row)
    assert loaded.rows("val") == [2]


def test_saving_twice_gives_the_same_bytes(index, tmp_path):
    index.save(tmp_path / "a.parquet")
    index.save(tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_csv_on_demand(index, tmp_path):
    index.save(tmp_path / "patches.csv")
    frame = pd.read_csv(tmp_path / "patches.csv")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["counts"].tolist() == ["60 4", "1 2", "0 0"]
    assert frame["image_id"].tolist() == ["ä b", "ä b", "c"]


def test_an_empty_index_is_one():
    empty = PatchIndex(pd.DataFrame([], columns=list(COLUMNS)))
    assert len(empty) == 0
    assert empty.rows("train") == []


def test_a_table_without_cores_is_refused():
    with pytest.raises(DataError, match="core_y"):
        PatchIndex(pd.DataFrame({"image_id": ["a"]}))


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really", None])
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "patches.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"patches.parquet"):
        PatchIndex.load(path)
