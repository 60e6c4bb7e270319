"""Roles of images."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.settings import SplitSettings
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.splits import assign_splits, drawn_role
from terrazzo.errors import DataError


def pair(name, split=None, region=None):
    return Pair(
        name, Path(f"/data/{name}.png"), RasterLabel(rasters=(Path(f"/data/labels/{name}.png"),)), (), split, region
    )


def roles(pairs, **settings):
    given, notes = assign_splits(pairs, SplitSettings(**settings))
    return {entry.image_id: entry.split for entry in given}, notes


def test_folders_decide_where_nothing_is_set():
    assert roles([pair("a", "train"), pair("b", "val")]) == ({"a": "train", "b": "val"}, [])


def test_folders_that_name_a_role_for_some_only():
    with pytest.raises(DataError, match=r"role to 1 images, but none to 1 \(such as /data/b.png"):
        roles([pair("a", "train"), pair("b")])


def test_where_nothing_says_a_role_four_in_five_train_and_it_is_said():
    found, notes = roles([pair(f"image {number}") for number in range(500)])
    assert 370 < Counter(found.values())["train"] < 430
    assert set(found.values()) == {"train", "val"}
    assert "four in five" in notes[0]


@given(st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=30), st.integers(0, 5))
def test_images_keep_their_role_when_others_join(names, seed):
    fractions = {"train": 0.5, "val": 0.25, "calibrate": 0.15, "test": 0.1}
    few, _ = roles([pair(name) for name in sorted(names)[::2]], fractions=fractions, seed=seed)
    many, _ = roles([pair(name) for name in names], fractions=fractions, seed=seed)
    assert {name: many[name] for name in few} == few


def test_shares_come_out_near_the_fractions():
    drawn = Counter(
        drawn_role(str(n), {"train": 0.6, "val": 0.1, "calibrate": 0.1, "test": 0.2}, 0) for n in range(4000)
    )
    assert abs(drawn["train"] / 4000 - 0.6) < 0.03
    assert abs(drawn["test"] / 4000 - 0.2) < 0.03


def test_another_seed_draws_another_division():
    names = [str(number) for number in range(50)]
    halves = {"train": 0.5, "val": 0.5}
    assert [drawn_role(name, halves, 0) for name in names] != [drawn_role(name, halves, 1) for name in names]


def test_a_role_of_share_zero_is_never_drawn():
    assert {drawn_role(str(n), {"train": 0.0, "val": 1.0}, 0) for n in range(200)} == {"val"}


def test_fractions_divide_the_training_folder_and_leave_the_others():
    found, _ = roles(
        [pair(f"{n}", "train") for n in range(60)] + [pair("judge", "test")], fractions={"train": 0.5, "val": 0.5}
    )
    assert found["judge"] == "test"
    assert set(found.values()) == {"train", "val", "test"}


def test_a_role_that_nobody_drew_is_said():
    _, notes = roles([pair("a")], fractions={"train": 0.5, "val": 0.5})
    assert len(notes) == 1
    assert "1 images are few" in notes[0]


def test_regions():
    pairs = [pair("a", region="Tile 1"), pair("b", region="Tile 7"), pair("c", region="Tile 9")]
    found, notes = roles(pairs, regions={"train": ["Tile 1"], "test": ["Tile 7"]})
    assert found == {"a": "train", "b": "test"}
    assert notes == ["1 images lie in a region that data.split.regions does not list and are left out"]


def test_unknown_region_names_the_nearest():
    with pytest.raises(DataError, match=r'"Tile 11".*Did you mean "Tile 1"'):
        roles([pair("a", region="Tile 1")], regions={"train": ["Tile 11"]})


def test_regions_where_images_have_none():
    with pytest.raises(DataError, match="no image has a region"):
        roles([pair("a")], regions={"train": ["x"]})


@pytest.fixture
def listed(tmp_path):
    def write(name, *lines):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    "line",
    [
        "0001",
        "0001.png",
        "train/0001.png",
        "/SegNet/CamVid/train/0001.png /SegNet/CamVid/trainannot/0001.png",
        "train/0001.png\ttrainannot/0001.png",
        "train/0001.png;trainannot/0001.png",
        "train/0001.png, trainannot/0001.png",
        "train\\0001.png",
        "  0001  ",
    ],
)
def test_lines_of_lists(listed, line):
    found, _ = roles(
        [pair("train/0001"), pair("train/0002")], lists={"train": listed("a.txt", "# a comment", "", line)}
    )
    assert found == {"train/0001": "train"}


def test_names_with_spaces_and_dots_in_lists(listed):
    pairs = [pair("Tile 1/part 1.v2"), pair("Tile 2/part 1.v2")]
    found, _ = roles(pairs, lists={"val": listed("v.txt", "Tile 2/part 1.v2.png")})
    assert found == {"Tile 2/part 1.v2": "val"}


def test_images_in_no_list_are_left_out_and_counted(listed):
    _, notes = roles([pair("a"), pair("b"), pair("c")], lists={"train": listed("a.txt", "a")})
    assert notes == ["2 images stand in no list of data.split.lists and are left out"]


def test_one_stem_in_two_places_needs_more_of_the_path(listed):
    with pytest.raises(DataError, match="write more of the path"):
        roles([pair("x/a"), pair("y/a")], lists={"train": listed("a.txt", "a")})


def test_an_image_in_two_lists(listed):
    with pytest.raises(DataError, match=r"v.txt, line 1 names a, which .*t.txt, line 1 names already"):
        roles([pair("a")], lists={"train": listed("t.txt", "a"), "val": listed("v.txt", "a.png")})


def test_a_list_that_names_an_unknown_image(listed):
    with pytest.raises(DataError, match=r't.txt, line 2: no image is called "imaje".*Did you mean "image"'):
        roles([pair("image")], lists={"train": listed("t.txt", "image", "imaje")})


def test_lists_that_are_empty_missing_or_no_text(listed, tmp_path):
    with pytest.raises(DataError, match="names no image"):
        roles([pair("a")], lists={"train": listed("t.txt", "", "# nothing")})
    with pytest.raises(DataError, match="cannot be read"):
        roles([pair("a")], lists={"train": tmp_path / "none.txt"})
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(DataError, match="cannot be read"):
        roles([pair("a")], lists={"train": tmp_path / "binary.txt"})


def test_real_camvid_lists(real_data):
    folder = real_data / "camvid"
    pairs = [
        Pair(f"{split}/{path.stem}", path) for split in ("train", "val") for path in sorted((folder / split).iterdir())
    ]
    found, notes = roles(pairs, lists={"train": folder / "train.txt", "val": folder / "val.txt"})
    assert Counter(found.values()) == {"train": 367, "val": 101}
    assert notes == []
    assert all(image_id.startswith(split) for image_id, split in found.items())
