"""Classes guessed from what labels hold."""

from collections import Counter

import pytest

from terrazzo.data.classes import Classes
from terrazzo.data.recognise.content import LabelContent
from terrazzo.data.recognise.labels import guess_classes
from terrazzo.data.recognise.sidecars import Named
from terrazzo.errors import DataError

BLACK, WHITE, RED, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255)


def by_value(*values, names=(), words="", whole=True, **content):
    held = LabelContent(values=Counter(dict.fromkeys(values, 10)), **content)
    return checked(guess_classes(held, names, path_words=words, whole=whole))


def by_colour(counts, names=(), words="", whole=True):
    held = LabelContent(colours=Counter(counts), several_bands=True)
    return checked(guess_classes(held, names, path_words=words, whole=whole))


def checked(guess):
    return Classes.model_validate(guess.settings), guess.reasons


@pytest.mark.parametrize(
    ("values", "listed"),
    [((0, 1), [0, 1]), ((0, 255), [0, 255]), ((1,), [0, 1]), ((255,), [0, 255]), ((0,), [0, 1])],
)
def test_binary_masks(values, listed):
    classes, _ = by_value(*values)
    assert [value for item in classes.items for value in item.values] == listed
    assert classes.names == ("background", "foreground")


@pytest.mark.parametrize(
    ("words", "name"), [("cloud38/gt_1", "cloud"), ("Roads/masks", "road"), ("a/mask", "foreground")]
)
def test_the_thing_of_a_binary_mask_is_named_by_its_path(words, name):
    assert by_value(0, 255, words=words)[0].names[1] == name


def test_values_without_names():
    classes, reasons = by_value(0, 2, 7)
    assert classes.names == ("class_0", "class_2", "class_7")
    assert "rename" in reasons[0]


def test_numbers_of_objects_are_no_classes():
    with pytest.raises(DataError, match=r"labels hold 256 different values, such as 556, .* numbers of objects"):
        by_value(*range(301, 557))
    assert len(by_value(*range(301, 556))[0]) == 255


def test_255_beside_other_values_is_ignored():
    classes, _ = by_value(0, 1, 2, 255)
    assert (len(classes), classes.ignore_values) == (3, (255,))


def test_nodata_of_the_files_is_ignored_unless_it_is_the_background():
    assert by_value(0, 1, 2, 3, nodata={0})[0].ignore_values == (0,)
    assert by_value(0, 1, nodata={0})[0].ignore_values == ()
    assert by_value(1, 2, 3, -9999)[0].ignore_values == (-9999,)


def test_names_of_a_file_that_lists_the_values():
    names = [("classes.txt", (Named("no data", 0), Named("water", 1), Named("wood", 2), Named("rock", 3)))]
    classes, reasons = by_value(0, 1, 2, 255, names=names)
    assert classes.names == ("water", "wood", "rock")
    assert classes.ignore_values == (0, 255)
    assert "not seen in the labels that were read: rock" in reasons


def test_names_that_do_not_list_the_values_are_not_used():
    names = [("classes.txt", (Named("water", 1), Named("wood", 2)))]
    assert by_value(5, 6, 7, names=names)[0].names == ("class_5", "class_6", "class_7")


def test_colours_of_a_palette_are_kept():
    classes, _ = by_value(1, 2, 3, palette={1: RED, 2: BLUE, 3: WHITE})
    assert [item.colour for item in classes.items] == [RED, BLUE, WHITE]


def test_values_blurred_by_compression_are_binarised():
    held = LabelContent(values=Counter(dict.fromkeys(range(100), 1)) + Counter({0: 5000, 255: 4000}))
    classes, _ = checked(guess_classes(held, (), path_words="", whole=True))
    assert (classes.match, len(classes)) == ("binarise", 2)


def test_black_and_white():
    classes, _ = by_colour({BLACK: 5, WHITE: 5}, words="building")
    assert classes.names == ("background", "building")
    assert classes.labels == "colour"


def test_colours_that_a_file_names():
    names = [("classes.json", (Named("sea", colour=BLUE), Named("void", colour=BLACK), Named("fire", colour=RED)))]
    classes, _ = by_colour({BLUE: 50, RED: 50, BLACK: 1}, names)
    assert classes.names == ("sea", "fire")
    assert classes.ignore_colours == (BLACK,)


def test_colours_of_a_known_data_set_beside_a_file_with_others():
    names = [("classes.json", (Named("sea", colour=(1, 2, 3)), Named("fire", colour=(3, 2, 1))))]
    classes, reasons = by_colour({(60, 16, 152): 60, (132, 41, 246): 30, (155, 155, 155): 1}, names)
    assert classes.names == ("building", "land", "road", "vegetation", "water")
    assert "the colours in classes.json are not those of the labels" in reasons[0]


def test_pure_colours_that_two_data_sets_share_are_not_guessed():
    shared = [(0, 255, 255), (255, 255, 0), (0, 255, 0), BLUE]
    classes, reasons = by_colour(dict.fromkeys(shared, 10))
    assert set(classes.names) == {"cyan", "yellow", "green", "blue"}
    assert "DeepGlobe land cover or ISPRS" in reasons[0]
    assert "rangeland" in by_colour(dict.fromkeys([*shared, (255, 0, 255)], 10))[0].names
    assert "clutter" in by_colour(dict.fromkeys([*shared, RED], 10))[0].names


def test_colours_that_nobody_names():
    classes, _ = by_colour({RED: 50, BLUE: 50, (1, 2, 3): 40, BLACK: 1})
    assert classes.names == ("blue", "colour_010203", "red")
    assert classes.ignore_colours == (BLACK,)


@pytest.mark.parametrize("only", [BLACK, RED])
def test_one_colour_still_makes_two_classes(only):
    assert len(by_colour({only: 9})[0]) == 2


def test_corners_blurred_by_compression_are_binarised():
    counts = {RED: 5000, BLUE: 5000} | {(255 - step, step % 7, step // 8): 1 for step in range(100)}
    classes, _ = by_colour(counts)
    assert (classes.match, set(classes.names)) == ("binarise", {"red", "blue"})


def test_other_colours_blurred_by_compression_go_to_the_nearest():
    one, other = (110, 150, 100), (26, 69, 141)
    counts = {one: 5000, other: 5000} | {(110 + step, 150, 100): 1 for step in range(100)}
    classes, _ = by_colour(counts)
    assert (classes.match, len(classes)) == ("nearest", 2)


def test_a_sample_makes_unlisted_values_no_error():
    assert by_value(0, 1, 2, whole=True)[0].unlisted == "error"
    assert by_value(0, 1, 2, whole=False)[0].unlisted == "ignore"
    assert by_value(0, 1, 2, complete=False)[0].unlisted == "ignore"
