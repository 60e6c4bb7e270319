"""`terrazzo prepare`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result


@pytest.mark.parametrize(
    ("arguments", "config"),
    [
        ([], (None,)),
        (["settings.yaml"], ("settings.yaml",)),
        (["demo", "train.epochs=3", "model=unet"], ("demo", "train.epochs=3", "model=unet")),
        (["train.epochs=3"], (None, "train.epochs=3")),
    ],
)
def test_it_hands_the_configuration_on(
    arguments: list[str], config: tuple[Any, ...], invoke: Callable[..., Result], verbs: Any
) -> None:
    result = invoke("prepare", *arguments)
    assert result.exit_code == 0, result.output
    ((name, given, _settings),) = verbs.calls
    assert name == "prepare"
    assert [asked.name for asked in given] == [str([str(part) for part in config])]
    assert "prepare done in 1 min 01 s: runs/first" in result.stdout


def test_its_summary_as_json_is_all_of_standard_output(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("prepare", "--json")
    assert json.loads(result.stdout) == verbs.summary.content
    assert "prepare something" in result.stderr


def test_a_word_after_the_configuration_is_refused(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("prepare", "settings.yaml", "epochs")
    assert result.exit_code == 2
    assert '"epochs" is no setting' in result.stderr
    assert verbs.calls == []


def test_force_and_preview(invoke: Callable[..., Result], verbs: Any) -> None:
    invoke("prepare", "--force", "--preview", "8")
    invoke("prepare")
    assert [settings for _, _, settings in verbs.calls] == [
        {"force": True, "preview": 8, "masks": None},
        {"force": False, "preview": None, "masks": None},
    ]


def test_masks(invoke: Callable[..., Result], verbs: Any) -> None:
    for kind in ("none", "index", "colour", "both"):
        invoke("prepare", "--masks", kind)
    assert [settings["masks"] for _, _, settings in verbs.calls] == ["none", "index", "colour", "both"]
    refused = invoke("prepare", "--masks", "rainbow")
    assert refused.exit_code == 2
    assert "'rainbow' is not one of" in refused.stderr
    assert len(verbs.calls) == 4


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_preview_draws_at_least_one(count: str, invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("prepare", "--preview", count)
    assert result.exit_code == 2
    assert verbs.calls == []
