"""`terrazzo list`."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from terrazzo.cli.listing import FAMILIES, KINDS, entries, first_sentence
from terrazzo.record import Table


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_names_and_each_a_sentence(kind: str) -> None:
    found = entries(kind)
    assert found
    assert [entry.name for entry in found] == sorted({entry.name for entry in found})
    for entry in found:
        assert entry.description.endswith("."), entry
        assert "\n" not in entry.description


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_listed_whole(family: str) -> None:
    assert [entry.name for entry in entries(family)] == Table.of(family).names()


def test_wildcards(invoke: Callable[..., Result]) -> None:
    result = invoke("list", "encoders", "*res*18")
    assert "resnet18" in result.stdout
    assert "resnet34" not in result.stdout
    assert "imagenet" in result.stdout


def test_json_is_for_programs(invoke: Callable[..., Result]) -> None:
    content = json.loads(invoke("list", "losses", "--json").stdout)
    assert list(content) == ["losses"]
    assert {"name", "description"} == set(content["losses"][0])


def test_everything_at_once(invoke: Callable[..., Result]) -> None:
    content = json.loads(invoke("list", "--json").stdout)
    assert tuple(content) == KINDS
    assert "demo" in {line["name"] for line in content["recipes"]}


def test_an_unknown_kind_names_the_known_ones(invoke: Callable[..., Result]) -> None:
    result = invoke("list", "loss")
    assert result.exit_code == 2
    assert "losses, augmentations" in result.stderr


def test_no_match_is_an_error(invoke: Callable[..., Result]) -> None:
    result = invoke("list", "losses", "zz*")
    assert result.exit_code == 2
    assert 'No name matches "zz*" in losses' in result.stderr


def test_a_plug_in_whose_package_is_missing_is_still_listed() -> None:
    table = Table.of("losses")
    before = dict(table._entries)
    table.register("theirs", "terrazzo_no_such_package:Loss")
    try:
        (entry,) = entries("losses", "theirs")
    finally:
        table._entries = before
    assert 'needs the package "terrazzo_no_such_package"' in entry.description


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One."),
        ("\n  Over two\n  lines. More.\n\n  Later.", "Over two lines."),
        ("As Lin et al. 2017 wrote. More.", "As Lin et al. 2017 wrote."),
        ("No end", "No end"),
        ("", ""),
    ],
)
def test_first_sentences(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence
