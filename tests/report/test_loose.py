"""What is not of its kind counts as missing."""

import pytest

from terrazzo.report.loose import mapping_of, mappings_of, sequence_of, text_of, texts_of


@pytest.mark.parametrize("other", [None, 3, "text", True])
def test_other_kinds_are_missing(other: object) -> None:
    assert mapping_of(other) == {}
    assert list(sequence_of(other)) == []
    assert mappings_of(other) == []
    assert texts_of(other) == ()


def test_what_is_of_its_kind_is_kept() -> None:
    assert mapping_of({"a": 1}) == {"a": 1}
    assert sequence_of([1, 2]) == [1, 2]
    assert mappings_of([{"a": 1}, 3, {"b": 2}]) == [{"a": 1}, {"b": 2}]
    assert texts_of([1, "b"]) == ("1", "b")
    assert (text_of(None), text_of(0), text_of("é")) == ("", "0", "é")
