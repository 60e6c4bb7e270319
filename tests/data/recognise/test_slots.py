"""Groups of files by their names."""

import pytest

from terrazzo.data.recognise.slots import find_slots, matching


def patterns(files):
    return {slot.pattern: sorted(slot.files.values()) for slot in find_slots(files)}


@pytest.mark.parametrize(
    ("path", "pattern", "key"),
    [
        ("a/x_1.png", "a/*.png", ("", "x_1")),
        ("train/x.PNG", "{split}/*.png", ("train", "x")),
        ("Trainannot/x.png", "{split}annot/*.png", ("train", "x")),
        ("valid_masks/x.png", "{split}_masks/*.png", ("valid", "x")),
        ("104_sat.jpg", "*_sat.jpg", ("", "104")),
        ("tiled_image_1.tif", "tiled_image_*.tif", ("", "1")),
        ("gt_patch 5.tif", "gt_*.tif", ("", "patch 5")),
        ("mask.png", "*.png", ("", "mask")),
    ],
)
def test_what_a_name_says(path, pattern, key):
    (slot,) = find_slots([path])
    assert (slot.pattern, slot.files) == (pattern, {key: path})


def test_words():
    image, label = sorted(find_slots(["a_img.png", "a_mask.png"]), key=lambda slot: slot.says_label)
    assert (image.says_image, image.says_label) == (True, False)
    assert (label.says_image, label.says_label) == (False, True)
    assert find_slots(["trainannot/a.png"])[0].says_label


def test_mixed_suffixes_make_an_open_pattern_too():
    assert patterns(["a/1.png", "a/2.jpg"]) == {
        "a/*": ["a/1.png", "a/2.jpg"],
        "a/*.jpg": ["a/2.jpg"],
        "a/*.png": ["a/1.png"],
    }


def test_places_above_equal_folders():
    files = [f"{place}/{kind}/1.png" for place in ("Tile 1", "Tile 2") for kind in ("fotos", "klassen")]
    (one, other) = find_slots(files)
    assert (one.pattern, other.pattern) == ("{region}/fotos/*.png", "{region}/klassen/*.png")
    assert set(one.files) == {("", "Tile 1/1"), ("", "Tile 2/1")}


def test_pairs_need_half_in_common_and_no_file_twice():
    slots = find_slots(["a/1.png", "a/2.png", "b/2.png", "b/3.png", "c/9.png", "d/2.jpg", "d/3.png"])
    found = [(one.pattern, other.pattern) for one, other in matching(slots)]
    assert ("a/*.png", "b/*.png") in found
    assert not any("c/*.png" in pair for pair in found)
    assert ("d/*", "d/*.jpg") not in found
