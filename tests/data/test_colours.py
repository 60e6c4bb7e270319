"""Colours of classes."""

import pytest

from terrazzo.data.colours import default_colours, hexadecimal, parse_colour, with_levels_between


def test_default_colours_are_all_different_and_keep_clear_of_given_ones():
    assert len(set(default_colours(65_534))) == 65_534
    first = default_colours(300)
    assert len(set(first)) == 300
    assert first[0] not in default_colours(5, taken=first[:1])


def test_hexadecimal_is_upper_case_with_leading_zeros():
    assert hexadecimal((0, 10, 255)) == "#000AFF"


@pytest.mark.parametrize("text", ["#0A0B0C", "0a0b0c", " #0a0B0c "])
def test_text_is_three_numbers(text):
    assert parse_colour(text) == (10, 11, 12)


@pytest.mark.parametrize("text", ["#0A0B0", "#0A0B0C0D", "red", "", "#0A0B0G"])
def test_text_that_is_no_colour(text):
    with pytest.raises(ValueError, match="#RRGGBB"):
        parse_colour(text)


def test_anything_else_is_left_to_others_to_judge():
    assert parse_colour((1, 2)) == (1, 2)
    assert parse_colour(None) is None


def test_colours_of_whole_channels_only_pass():
    assert with_levels_between([(0, 0, 0), (255, 0, 255), (255, 254, 0)]) == ["#FFFE00"]


def test_many_colours_stay_inside_a_byte():
    assert all(0 <= channel <= 255 for colour in default_colours(200) for channel in colour)
