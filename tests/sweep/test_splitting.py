"""Text parted outside quotes and brackets."""

import pytest

from terrazzo.sweep.splitting import split_outside


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("", [""]),
        ("1,", ["1", ""]),
        ("[1,2],[3,4]", ["[1,2]", "[3,4]"]),
        ("{a: 1, b: [2,3]},x", ["{a: 1, b: [2,3]}", "x"]),
        ('"a,b",c', ['"a,b"', "c"]),
        (r'"a\",b",c', [r'"a\",b"', "c"]),
        ("'it''s, so',c", ["'it''s, so'", "c"]),
        ("it's,that's", ["it's", "that's"]),
        ("${oc.env:A,b},c", ["${oc.env:A,b}", "c"]),
        ("a],b", ["a]", "b"]),
        ('["]", 1],2', ['["]", 1]', "2"]),
        ("größe,長さ", ["größe", "長さ"]),
    ],
)
def test_commas_in_quotes_and_brackets_part_nothing(text: str, parts: list[str]) -> None:
    assert split_outside(text, ",") == parts


def test_another_sign() -> None:
    assert split_outside("trm:{name: steps, loss: ce}", ":") == ["trm", "{name: steps, loss: ce}"]
