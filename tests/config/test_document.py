"""YAML is read as plain values, each with its line; whatever else it could do is refused."""

import math
from pathlib import Path

import pytest

from terrazzo.config.document import Node, node_at, plain, read_file, read_text, scalars
from terrazzo.config.issue import Issue, Place


def read(text: str) -> object:
    """Return the values of text that must be right."""
    issues: list[Issue] = []
    tree = read_text(text, "a.yaml", issues)
    assert issues == []
    assert tree is not None
    return plain(tree)


def mistakes(text: str) -> list[str]:
    issues: list[Issue] = []
    read_text(text, "a.yaml", issues)
    return [str(issue) for issue in issues]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e-3", 1e-3),
        ("1.5E3", 1500.0),
        (".5", 0.5),
        ("2.", 2.0),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("tRUE", "tRUE"),
        ("2026-11-21", "2026-11-21"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("1e", "1e"),
        ("'3'", "3"),
        ('"true"', "true"),
        ("!!str 3", "3"),
        ("!!int '3'", 3),
        ("${paths.x}/a", "${paths.x}/a"),
        ("Straße mit Leerzeichen", "Straße mit Leerzeichen"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object):
    found = read(f"key: {text}")
    assert found == {"key": value}
    assert type(found["key"]) is type(value)


def test_not_a_number_is_read():
    assert math.isnan(read("a: .nan")["a"])


def test_keys_stay_text():
    assert read("1: a\n010: b\ntrue: c") == {"1": "a", "010": "b", "true": "c"}


def test_an_entry_has_the_line_of_its_key_and_an_item_its_own():
    tree = read_text("a:\n  b:\n    - 1\n    -\n      c: 2\n", "x.yaml", [])
    assert tree is not None
    assert node_at(tree, ("a",)).place == Place("x.yaml", 1)
    assert node_at(tree, ("a", "b")).place == Place("x.yaml", 2)
    assert node_at(tree, ("a", "b", 0)).place == Place("x.yaml", 3)
    assert node_at(tree, ("a", "b", 1, "c")).place == Place("x.yaml", 5)


def test_nothing_is_found_beside_the_tree():
    tree = read_text("a: [1]", "x.yaml", [])
    assert tree is not None
    assert node_at(tree, ("b",)) is None
    assert node_at(tree, ("a", 1)) is None
    assert node_at(tree, ("a", -1)) is None
    assert node_at(tree, ("a", 0, "c")) is None
    assert node_at(tree, ()) is tree


def test_scalars_are_listed_with_their_paths():
    tree = read_text("a: [1, {b: x}]\nc:\n", "x.yaml", [])
    assert tree is not None
    assert [(path, node.value) for path, node in scalars(tree)] == [(("a", 0), 1), (("a", 1, "b"), "x"), (("c",), None)]


def test_an_overrides_value_has_no_line():
    tree = read_text("[1, 2]", "override", [], one_line=True)
    assert tree is not None
    assert node_at(tree, (1,)) == Node(2, Place("override"))


def test_a_key_that_stands_twice_is_a_mistake_at_its_second_line():
    found = mistakes("train:\n  epochs: 1\n  lr: 2\n  epochs: 3\n")
    assert found == ["a.yaml:4  train.epochs: the key stands twice (first in line 2); keep one."]


def test_the_same_key_in_two_mappings_is_none():
    assert read("a: {x: 1}\nb: {x: 2}") == {"a": {"x": 1}, "b": {"x": 2}}


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("!!python/object/apply:os.system ['true']", "!!python/object/apply:os.system"),
        ("!!python/name:os.system ''", "!!python/name:os.system"),
        ("!mine {a: 1}", "!mine"),
        ("!!binary aGk=", "!!binary"),
        ("!!set {a}", "!!set"),
    ],
)
def test_tags_are_refused_and_never_run(tag: str, shown: str):
    assert mistakes(f"a:\n  b: {tag}") == [
        f"a.yaml:2  a.b: the tag {shown} is not allowed; a file holds plain values only."
    ]


def test_anchors_and_merge_keys_work_and_own_keys_win():
    text = "base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\nx:\n  <<: [*base, *other]\n  a: 9\ny: *base\n"
    found = read(text)
    assert found["x"] == {"a": 9, "b": 2, "c": 4}
    assert found["y"] == {"a": 1, "b": 2}


def test_a_merge_key_takes_mappings_only():
    assert mistakes("a:\n  <<: 3") == ["a.yaml:2  a: `<<` takes a mapping or a list of mappings."]


def test_a_quoted_merge_key_is_a_key():
    assert read("'<<': 1") == {"<<": 1}


def test_an_alias_of_itself_is_a_mistake_and_no_endless_loop():
    assert mistakes("a: &a [1, *a]") == ["a.yaml:1  a.1: an alias refers to the value that holds it."]


def test_a_key_must_be_a_word():
    assert mistakes("a: 1\n? [x]\n: 2") == ["a.yaml:2: a key must be a word, not a list or a mapping."]


def test_a_syntax_error_has_its_line():
    (found,) = mistakes("a: 1\nb: [1, 2\nc: 3\n")
    assert found.startswith("a.yaml:3: is no valid YAML while parsing a flow sequence:")


def test_two_documents_are_a_mistake():
    (found,) = mistakes("a: 1\n---\nb: 2\n")
    assert "a.yaml:2: is no valid YAML" in found


def test_an_unquoted_reference_in_a_flow_list_gets_a_hint():
    (found,) = mistakes("a: [${paths.x}, b]")
    assert found.startswith("a.yaml:1")
    assert found.endswith('Inside [ ] and { } put "${...}" in quotes.')


def test_a_tab_gets_a_hint():
    (found,) = mistakes("a:\n\tb: 1")
    assert found.startswith("a.yaml:2")
    assert found.endswith("Indent with spaces, not tabs.")


def test_a_forbidden_character_is_named():
    (found,) = mistakes("a: \x00")
    assert found.startswith("a.yaml: holds the character")


def test_a_file_is_named_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "Ordner mit Ä"
    folder.mkdir()
    (folder / "a.yaml").write_text("a: 1", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_file(folder / "a.yaml", []).place.source == "Ordner mit Ä/a.yaml"
    monkeypatch.chdir(folder)
    assert read_file(tmp_path / "Ordner mit Ä" / "a.yaml", []).place.source == "a.yaml"


def test_a_byte_order_mark_is_skipped(tmp_path: Path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfa: 1")
    assert plain(read_file(tmp_path / "a.yaml", [])) == {"a": 1}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_file_says_nothing(tmp_path: Path, text: str):
    (tmp_path / "a.yaml").write_text(text)
    issues: list[Issue] = []
    assert plain(read_file(tmp_path / "a.yaml", issues)) == {}
    assert issues == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff", "is not UTF-8 text (byte 3)"),
        (b"- 1\n- 2\n", "expected a mapping of sections"),
        (b"text", "expected a mapping of sections"),
        (b"a: [", "is no valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_a_mistake(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "a.yaml").write_bytes(content)
    issues: list[Issue] = []
    assert read_file(tmp_path / "a.yaml", issues) is None
    (issue,) = issues
    assert message in issue.message
    assert issue.kind == "unread"


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path):
    issues: list[Issue] = []
    assert read_file(tmp_path / "none.yaml", issues) is None
    assert "cannot be read: No such file" in issues[0].message
