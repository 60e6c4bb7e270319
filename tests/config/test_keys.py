"""Keys of a configuration, and what may stand there."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from terrazzo.config import RunConfig
from terrazzo.config.issue import dotted
from terrazzo.config.keys import Key, all_keys, constraints, options, type_words
from terrazzo.losses import LOSSES, Loss
from terrazzo.record import family


@pytest.fixture(scope="module")
def keys() -> list[Key]:
    return list(all_keys(RunConfig))


def test_settings_of_every_kind_are_found(keys: list[Key]) -> None:
    names = {dotted(key.path) for key in keys}
    assert {"seed", "train.epochs", "data.classes.items.*.name", "augment.transforms.*.probability"} <= names
    assert {("optimizer", "lr", name) for name in ("adam", "adamw", "muon", "sgd")} <= {
        (*key.path, key.within[-1][1]) for key in keys if key.path == ("optimizer", "lr")
    }
    assert any(
        key.path == ("model", "head", "rank") and key.within[-1] == (("model", "head"), "unet_v2") for key in keys
    )


def test_every_key_says_what_it_is(keys: list[Key]) -> None:
    assert [dotted(key.path) for key in keys if not key.field.description and key.path[-1] != "name"] == []


def test_every_default_is_plain(keys: list[Key]) -> None:
    import json

    for key in keys:
        if not key.field.is_required():
            json.dumps(key.default)


def test_what_must_be_given_has_no_default(keys: list[Key]) -> None:
    (model,) = [key for key in keys if key.path == ("model",)]
    assert [table.family for table in model.tables] == ["models"]
    with pytest.raises(LookupError):
        _ = model.default


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "whole number"),
        (Path | None, "path or null"),
        (Annotated[Loss, family(LOSSES)], "one of the losses"),
        (tuple[float, float], "list of 2: number, number"),
        (tuple[str, ...], "list of text"),
        (dict[str, float], "mapping of number"),
        (Annotated[int, Field(ge=1)] | Literal["auto"], "whole number or auto"),
        (Any, "anything"),
    ],
)
def test_types_are_told_in_words(annotation: object, words: str) -> None:
    assert type_words(annotation) == words


def test_limits_inside_unions_and_lists_are_found() -> None:
    assert constraints(Annotated[int, Field(ge=1, lt=9)] | None) == ["at least 1", "less than 9"]
    assert constraints(tuple[Annotated[float, Field(gt=0.5)], ...]) == ["more than 0.5"]
    assert constraints(Annotated[str, Field(min_length=1, pattern="^a$")]) == ["at least 1 long", "like ^a$"]
    assert constraints(Literal["auto"]) == []


def test_choices_by_name() -> None:
    assert options(bool) == ["true", "false"]
    assert options(Literal["a", "b"] | None) == ["a", "b"]
    assert "dice" in options(Annotated[Loss, family(LOSSES)])
    assert options(int) == []
