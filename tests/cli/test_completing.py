"""What may stand at the cursor."""

from typing import Any

import pytest
import typer

from terrazzo.cli import completing, completion_keys
from terrazzo.cli.application import application
from terrazzo.cli.completing import candidates, split_line
from terrazzo.cli.completion_keys import KnownKey
from terrazzo.config import list_recipes

ADAMW, SGD = (("optimizer", "adamw"),), (("optimizer", "sgd"),)
KEYS = [
    KnownKey("seed", (), "Start of every random draw.", False, False, ()),
    KnownKey("train", (), "The phase that trains.", True, False, ()),
    KnownKey("train.epochs", (), "Passes.", False, False, ()),
    KnownKey("data.bands.*.name", (), "Name.", False, False, ()),
    KnownKey("optimizer", ("adamw", "sgd"), "How weights are updated.", False, False, ()),
    KnownKey("optimizer.lr", (), "Rate.", False, False, ADAMW),
    KnownKey("optimizer.lr", (), "Base rate.", False, False, SGD),
    KnownKey("optimizer.momentum", (), "Momentum.", False, False, SGD),
    KnownKey("machine.precision", ("auto", "bfloat16"), "Arithmetic.", False, False, ()),
    KnownKey("logging.file", (), "A file.", False, True, ()),
]


@pytest.fixture(scope="module")
def program() -> Any:
    return typer.main.get_command(application)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion_keys, "read", lambda: KEYS)


def texts(program: Any, line: str) -> set[str]:
    return {found.text or "<files>" for found in candidates(program, split_line(line))}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("terrazzo pre", {"prepare", "predict"}),
        ("terrazzo config ex", {"explain"}),
        ("terrazzo train see", {"seed=", "<files>"}),
        ("terrazzo train tra", {"train.", "<files>"}),
        ("terrazzo train train.", {"train.epochs=", "<files>"}),
        ("terrazzo train data.bands.", {"<files>"}),
        ("terrazzo train optimizer.", {"optimizer.lr=", "optimizer.momentum=", "<files>"}),
        ("terrazzo train optimizer=adamw optimizer.", {"optimizer.lr=", "<files>"}),
        ("terrazzo train optimizer=", {"optimizer=adamw", "optimizer=sgd"}),
        ("terrazzo train machine.precision=b", {"machine.precision=bfloat16"}),
        ("terrazzo train logging.file=", {"<files>"}),
        ("terrazzo train ./run", {"<files>"}),
        ("terrazzo config explain train", {"train", "train."}),
        ("terrazzo predict --mos", {"--mosaic"}),
        ("terrazzo predict --mosaic ", {"first", "last"}),
        ("terrazzo predict --mosaic=l", {"--mosaic=last"}),
        ("terrazzo predict --out ", {"<files>"}),
        ("terrazzo list mod", {"models"}),
        ("terrazzo completion z", {"zsh"}),
        ("terrazzo nonsense x --y ", set()),
    ],
)
def test_what_fits(line: str, expected: set[str], program: Any) -> None:
    assert texts(program, line) == expected or (not expected and not texts(program, line) - set(program.commands))


def test_every_command_and_recipe_is_offered(program: Any) -> None:
    assert texts(program, "terrazzo ") == {name for name, each in program.commands.items() if not each.hidden}
    assert set(list_recipes()) <= texts(program, "terrazzo train ")
    assert not set(list_recipes()) & texts(program, "terrazzo train demo ")


def test_options_that_take_a_value_wait_for_it(program: Any) -> None:
    assert texts(program, "terrazzo predict --json --mosaic fi") == {"first"}
    assert "--json" in texts(program, "terrazzo predict --mosaic first --j")


def test_notes_are_one_line(program: Any) -> None:
    for line in ("terrazzo ", "terrazzo predict --", "terrazzo train "):
        assert all("\n" not in found.note and "\t" not in found.note for found in candidates(program, split_line(line)))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("terrazzo", ["terrazzo"]),
        ("terrazzo ", ["terrazzo", ""]),
        ("terrazzo train 'a b", ["terrazzo", "train", "a b"]),
        ("terrazzo train größe\\ ", ["terrazzo", "train", "größe "]),
        ('terrazzo train "a', ["terrazzo", "train", "a"]),
    ],
)
def test_an_unfinished_line_has_words(line: str, words: list[str]) -> None:
    assert split_line(line) == words


def test_nothing_is_offered_for_keys_that_are_not_known_yet(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing.completion_keys, "read", list)
    assert texts(program, "terrazzo train optimizer.") == {"<files>"}
