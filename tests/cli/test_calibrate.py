"""`terrazzo calibrate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.calibration.settings import AbstainSettings, CalibrateSettings, HaltingSettings
from terrazzo.config import RunConfig
from terrazzo.phases.model_files import ModelFiles


@pytest.fixture
def calls(verbs: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Calls of the verb, which does nothing."""
    monkeypatch.setattr("terrazzo.phases.calibrate.calibrate", verbs.verb("calibrate"))
    return verbs.calls  # type: ignore[no-any-return]


def test_a_bundle_alone_takes_the_defaults(invoke: Callable[..., Result], calls: list[Any]) -> None:
    result = invoke("calibrate", "runs/first")
    assert result.exit_code == 0, result.output
    ((name, arguments, settings),) = calls
    assert (name, arguments) == ("calibrate", (ModelFiles(Path("runs/first")), None))
    assert settings == {"data": None, "out": None, "settings": CalibrateSettings()}


def test_options_become_settings(invoke: Callable[..., Result], calls: list[Any]) -> None:
    result = invoke(
        *("calibrate", "a.safetensors", "--data", "more data", "--out", "new.safetensors", "--split", "val"),
        *("--allow-selected", "--report-split", "test", "--temperature", "vector", "--epsilon", "0.05"),
        *("--delta", "0.2", "--loss", "iou", "--method", "ltt", "--bound", "0.5", "--decision", "f1"),
        *("--abstain", "0.05", "--sets", "0.1", "--backbone", "w.safetensors"),
    )
    assert result.exit_code == 0, result.output
    ((_, arguments, settings),) = calls
    assert arguments[0] == ModelFiles(Path("a.safetensors"), Path("w.safetensors"))
    assert (settings["data"], settings["out"]) == (Path("more data"), Path("new.safetensors"))
    assert settings["settings"] == CalibrateSettings(
        split="val",
        allow_selected=True,
        report_split="test",
        temperature="vector",
        halting=HaltingSettings(epsilon=0.05, delta=0.2, loss="iou", method="ltt", bound=0.5),
        decision="f1",
        abstain=AbstainSettings(epsilon=0.05),
        sets=0.1,
    )


def test_scenes_without_labels_may_be_several(invoke: Callable[..., Result], calls: list[Any]) -> None:
    assert invoke("calibrate", "a.safetensors", "--unlabelled", "a.tif", "--unlabelled", "more").exit_code == 0
    assert calls[0][2]["settings"].unlabelled == ("a.tif", "more")


def test_options_change_what_the_configuration_says(
    invoke: Callable[..., Result], calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = CalibrateSettings(temperature="vector", halting=HaltingSettings(epsilon=0.03, delta=0.3), sets=0.2)
    config = RunConfig.model_construct(name="other", calibrate=said)
    monkeypatch.setattr("terrazzo.cli.calibrate.load", lambda *_, **__: config)
    assert invoke("calibrate", "a.safetensors", "other.yaml", "--epsilon", "0.04").exit_code == 0
    found = calls[0][2]["settings"]
    assert found == said.model_copy(update={"halting": HaltingSettings(epsilon=0.04, delta=0.3)})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--epsilon", "0.5"), "calibrate.halting: "),
        (("--sets", "1.5"), "calibrate.sets"),
        (("--unlabelled", "a", "--decision", "f1"), "without labels"),
    ],
)
def test_what_contradicts_itself_is_an_error_of_the_settings(
    wrong: tuple[str, ...], words: str, invoke: Callable[..., Result], calls: list[Any]
) -> None:
    result = invoke("calibrate", "a.safetensors", *wrong)
    assert result.exit_code == 2
    assert words in result.stderr
    assert calls == []
