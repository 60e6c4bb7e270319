"""`terrazzo run`."""

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
    result = invoke("run", *arguments)
    assert result.exit_code == 0, result.output
    ((name, given, _settings),) = verbs.calls
    assert name == "run"
    assert [asked.name for asked in given] == [str([str(part) for part in config])]
    assert "run done in 1 min 01 s: runs/first" in result.stdout


def test_its_summary_as_json_is_all_of_standard_output(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("run", "--json")
    assert json.loads(result.stdout) == verbs.summary.content
    assert "run something" in result.stderr


def test_a_word_after_the_configuration_is_refused(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("run", "settings.yaml", "epochs")
    assert result.exit_code == 2
    assert '"epochs" is no setting' in result.stderr
    assert verbs.calls == []
