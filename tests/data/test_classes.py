"""Classes: what is listed, what is refused, and the way there and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from terrazzo.data.classes import Class, Classes
from terrazzo.errors import ConfigError, LabelError

LAND = Classes(
    items=[{"name": "building", "colour": "#3C1098"}, {"name": "land", "colour": "#8429F6"}],
    ignore_colours=["#9B9B9B", [0, 0, 0]],
)


def plane(*values, dtype=np.uint8):
    return np.array([[values]], dtype=dtype)


def colours(*listed):
    return np.array(listed, dtype=np.uint8).T[:, None]


def test_bare_names_become_index_classes_with_colours_of_their_own():
    classes = Classes.model_validate(["sky", "road", {"name": "car", "colour": "#FF0000"}])
    assert classes.names == ("sky", "road", "car")
    assert len({tuple(colour) for colour in classes.colours.tolist()}) == 3
    assert classes.decode(plane(0, 1, 2)).target.tolist() == [[0, 1, 2]]


def test_classes_made_in_python_get_colours_where_they_name_none():
    classes = Classes(items=(Class(name="a"), Class(name="b"), Class(name="c", colour=(1, 2, 3))))
    assert len({tuple(colour) for colour in classes.colours.tolist()}) == 3
    assert classes.items[2].colour == (1, 2, 3)


@pytest.mark.parametrize("text", ["#3C1098", "3c1098"])
def test_colour_as_text(text):
    assert Class(name="x", colour=text).colour == (60, 16, 152)


def test_colour_that_is_none():
    with pytest.raises(ValidationError, match="#RRGGBB"):
        Class(name="x", colour="purple")
    with pytest.raises(ValidationError):
        Class(name="x", colour=(0, 0, 256))


def test_dump_and_load_is_the_identity():
    for classes in (LAND, Classes(items=["a", "b"]), Classes(items=["a", "b"], match="nearest", tolerance=3)):
        assert Classes.model_validate(classes.model_dump()) == classes
        assert Classes.model_validate_json(classes.model_dump_json()) == classes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"items": ["a", "a"]}, "name a"),
        ({"items": [{"name": "a", "values": [1]}, {"name": "b", "values": [1]}]}, "value 1"),
        ({"items": [{"name": "a", "values": [1]}, {"name": "b", "values": [2]}], "ignore_values": [2]}, "value 2"),
        ({"items": [{"name": "a", "colour": "#010203"}, {"name": "b", "colour": [1, 2, 3]}]}, "#010203"),
        ({"items": [{"name": "a", "colour": "#010203"}, "b"], "ignore_colours": ["#010203"]}, "#010203"),
        ({"items": [{"name": "a", "values": [1]}, "b"]}, '"b" lists no values'),
        ({"items": ["a", "b"], "ignore_values": [1]}, 'position of class "b"'),
        ({"items": ["a"]}, "at least 2"),
        ({"items": ["a", "b"], "match": "nearest"}, "tolerance"),
        ({"items": ["a", "b"], "tolerance": 3}, "tolerance"),
        ({"items": ["a", "b"], "unknown": 3}, "unknown"),
        (
            {"items": [{"name": "a", "colour": "#010203"}, "b"], "labels": "colour", "match": "binarise"},
            "#010203",
        ),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Classes(**settings)


def test_zero_and_255_masks():
    classes = Classes(items=[{"name": "clear", "values": [0]}, {"name": "cloud", "values": [255]}])
    assert classes.decode(plane(0, 255, 255)).target.tolist() == [[0, 1, 1]]


def test_colours_in_rgb_rgba_and_palette_agree():
    rgb = colours((60, 16, 152), (132, 41, 246), (155, 155, 155), (0, 0, 0))
    expected = [[0, 1, 255, 255]]
    assert LAND.decode(rgb).target.tolist() == expected
    rgba = np.concatenate([rgb, np.full((1, 1, 4), 255, dtype=np.uint8)])
    assert LAND.decode(rgba).target.tolist() == expected
    palette = {0: (60, 16, 152, 255), 1: (132, 41, 246, 255), 7: (155, 155, 155, 255), 9: (0, 0, 0, 0)}
    assert LAND.decode(plane(0, 1, 7, 9), palette).target.tolist() == expected


def test_a_palette_is_looked_up_by_index_where_values_are_listed():
    classes = Classes(items=[{"name": "a", "values": [4]}, {"name": "b", "values": [5]}])
    palette = {4: (9, 9, 9, 255), 5: (8, 8, 8, 255)}
    assert classes.decode(plane(4, 5), palette).target.tolist() == [[0, 1]]


def test_a_palette_is_looked_up_by_index_where_only_names_are_listed():
    assert Classes(items=["a", "b"]).decode(plane(1, 0), {0: (0, 0, 0, 255)}).target.tolist() == [[1, 0]]


def test_an_index_outside_the_palette_is_black():
    assert LAND.decode(plane(0, 200), {0: (60, 16, 152, 255)}).target.tolist() == [[0, 255]]


def test_further_colours_and_values_mean_the_same_class():
    classes = Classes(
        items=[{"name": "a", "colour": "#000001", "other_colours": ["#000002"]}, {"name": "b", "colour": "#000003"}]
    )
    assert classes.decode(colours((0, 0, 2), (0, 0, 1), (0, 0, 3))).target.tolist() == [[0, 0, 1]]
    classes = Classes(items=[{"name": "a", "values": [1, 2]}, {"name": "b", "values": [3]}])
    assert classes.decode(plane(2, 1, 3)).target.tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(("unlisted", "expected"), [("ignore", [[0, 255, 255]]), ("background", [[0, 0, 0]])])
def test_unlisted_values_are_counted_and_become_what_is_said(unlisted, expected):
    decoded = Classes(items=["a", "b"], unlisted=unlisted).decode(plane(0, 9, 9))
    assert decoded.target.tolist() == expected
    assert decoded.unlisted == {"9": 2}


def test_unlisted_values_are_an_error_by_default():
    with pytest.raises(LabelError, match=r"no class lists 9 \(2 pixels\), 7 \(1 pixels\)"):
        Classes(items=["a", "b"]).decode(plane(0, 7, 9, 9))
    with pytest.raises(LabelError, match=r"#010101 \(1 pixels\)"):
        LAND.decode(colours((1, 1, 1)))


def test_many_unlisted_values_are_summed_up():
    text = LAND.describe_unlisted({str(number): number for number in range(1, 21)})
    assert "20 (20 pixels)" in text
    assert "12 more" in text


def test_nodata_of_the_label_is_ignored_only_where_no_class_lists_it():
    absent = np.array([[True, False, False]])
    decoded = Classes(items=["a", "b"]).decode(plane(1, 0, 99), valid=absent)
    assert decoded.target.tolist() == [[1, 0, 255]]
    assert decoded.unlisted == {}


def test_only_unlisted_values_outside_nodata_are_counted():
    classes = Classes(items=["a", "b"], unlisted="background")
    decoded = classes.decode(plane(9, 9, 0), valid=np.array([[True, False, True]]))
    assert decoded.target.tolist() == [[0, 255, 0]]
    assert decoded.unlisted == {"9": 1}


def test_nan_is_ignored_and_whole_floats_are_values():
    decoded = Classes(items=["a", "b"]).decode(plane(0.0, 1.0, np.nan, dtype=np.float32))
    assert decoded.target.tolist() == [[0, 1, 255]]
    assert decoded.unlisted == {}


def test_ignored_pixels_never_become_a_class():
    classes = Classes(items=["a", "b"], ignore_values=[11], unlisted="background")
    assert classes.decode(plane(11, 1)).target.tolist() == [[255, 1]]


@pytest.mark.parametrize(
    ("count", "ignore", "dtype"),
    [(2, 255, np.uint8), (254, 255, np.uint8), (255, 65535, np.uint16), (300, 65535, np.uint16)],
)
def test_target_is_16_bit_above_254_classes(count, ignore, dtype):
    classes = Classes(items=[f"class {number}" for number in range(count)], ignore_values=[1000], unlisted="ignore")
    decoded = classes.decode(plane(0, count - 1, 1000, 2000, dtype=np.uint16))
    assert classes.ignore == ignore
    assert decoded.target.dtype == dtype
    assert decoded.target.tolist() == [[0, count - 1, ignore, ignore]]
    assert decoded.unlisted == {"2000": 1}


def test_the_last_class_is_not_taken_for_unlisted_at_254_classes():
    classes = Classes(items=[{"name": str(n), "colour": [n, 0, 0]} for n in range(254)], labels="colour")
    assert classes.decode(colours((253, 0, 0), (0, 0, 0))).target.tolist() == [[253, 0]]


def test_binarised_colours():
    classes = Classes(
        items=[{"name": "road", "colour": "#FFFFFF"}, {"name": "rest", "colour": "#000000"}], match="binarise"
    )
    assert classes.decode(colours((250, 130, 128), (127, 3, 0))).target.tolist() == [[0, 1]]


def test_binarise_with_colours_that_it_cannot_meet():
    classes = LAND.model_copy(update={"match": "binarise"})
    with pytest.raises(ConfigError, match="#3C1098"):
        classes.decode(colours((0, 0, 0)))


def test_labels_by_value_refuse_colour_masks():
    with pytest.raises(LabelError, match="3 bands"):
        Classes(items=["a", "b"]).decode(colours((0, 0, 0)))


def test_encode_writes_index_source_and_colour():
    classes = Classes(
        items=[
            {"name": "a", "values": [10, 11], "colour": "#010203"},
            {"name": "b", "values": [300], "colour": "#040506"},
        ],
        ignore_values=[7],
        ignore_colours=["#FFFFFF"],
    )
    target = np.array([[0, 1, 255]], dtype=np.uint8)
    index = classes.encode(target)
    assert index.tolist() == [[0, 1, 255]]
    assert index.dtype == np.uint8
    source = classes.encode(target, "source")
    assert source.tolist() == [[10, 300, 7]]
    assert source.dtype == np.uint16
    assert classes.encode(target, "colour").tolist() == [[[1, 4, 255]], [[2, 5, 255]], [[3, 6, 255]]]


def test_encode_keeps_negative_source_values():
    classes = Classes(items=[{"name": "a", "values": [-5]}, {"name": "b", "values": [200]}])
    encoded = classes.encode(np.array([[0, 1, 255]], dtype=np.uint8), "source")
    assert encoded.tolist() == [[-5, 200, 255]]
    assert encoded.dtype == np.int16


def test_ignored_pixels_are_never_encoded_as_a_class():
    classes = Classes(items=[{"name": "clear", "values": [0]}, {"name": "cloud", "values": [255]}])
    assert classes.source_ignore == 254
    black = Classes(items=[{"name": "a", "colour": "#000000"}, {"name": "b", "colour": "#010101"}])
    assert black.ignore_colour == (2, 2, 2)


def test_encode_refuses_numbers_that_are_no_class():
    with pytest.raises(LabelError, match="holds 2"):
        Classes(items=["a", "b"]).encode(np.array([[2]], dtype=np.uint8))


@given(st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1, max_size=50), st.sampled_from(["source", "colour"]))
def test_decoding_what_was_encoded_gives_the_target(numbers, values):
    classes = ROUND_TRIP
    target = np.array([numbers], dtype=np.uint8)
    encoded = classes.encode(target, values)
    assert np.array_equal(classes.decode(encoded if values == "colour" else encoded[None]).target, target)


ROUND_TRIP = Classes(
    items=[{"name": f"c{value}", "values": [value], "colour": [value, 0, 9]} for value in (0, 7, 255)],
    ignore_values=[3],
    ignore_colours=["#123456"],
)


def test_schema_offers_bare_names_and_colours_as_text():
    schema = Classes.model_json_schema()
    bare, whole = schema["anyOf"]
    assert bare == whole["properties"]["items"]
    assert {"type": "string"} in bare["items"]["anyOf"]
    assert schema["$defs"]["Class"]["properties"]["colour"]["anyOf"][0]["type"] == "string"
    assert schema["$defs"]["Class"]["required"] == ["name"]


NAMED = Classes(
    items=[
        {"name": "forest", "values": [1], "labels": ["Wald", "forêt"]},
        {"name": "12", "values": [2]},
        {"name": "road", "values": [3, 30]},
    ],
    ignore_values=[255, -9999],
    ignore_labels=["cloud", "2"],
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("forest", 0),
        ("Wald", 0),
        ("forêt", 0),
        ("1", 0),
        ("1.0", 0),
        ("30", 2),
        ("+3", 2),
        ("cloud", 255),
        ("255", 255),
        ("-9999.0", 255),
        ("wald", None),
        ("0", None),
        ("3.5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_words_are_names_first_and_whole_numbers_are_values(text, number):
    assert NAMED.number_of(text) == number


def test_a_name_that_is_a_number_goes_before_the_value():
    assert NAMED.number_of("12") == 1
    assert NAMED.number_of("2") == 255
    assert NAMED.number_of("2.0") == 1


def test_numbers_are_positions_where_no_class_lists_values():
    classes = Classes(items=["a", "b"], ignore_values=[9])
    assert [classes.number_of(text) for text in ("0", "1", "2", "9")] == [0, 1, None, 255]


def test_words_of_more_than_254_classes_are_ignored_as_65535():
    classes = Classes(items=[f"c{number}" for number in range(300)], ignore_labels=["?"])
    assert (classes.number_of("c299"), classes.number_of("?")) == (299, 65535)


@pytest.mark.parametrize(
    "settings",
    [
        {"items": [{"name": "a", "labels": ["b"]}, "b"]},
        {"items": [{"name": "a", "labels": ["x"]}, {"name": "b", "labels": ["x"]}]},
        {"items": ["a", "b"], "ignore_labels": ["b"]},
    ],
)
def test_a_word_that_two_classes_claim_is_refused(settings):
    with pytest.raises(ValidationError, match=r"label .* claimed by"):
        Classes(**settings)


def test_a_class_may_repeat_its_own_name_among_its_labels():
    assert Classes(items=[{"name": "a", "labels": ["a", "A"]}, "b"]).number_of("A") == 0
