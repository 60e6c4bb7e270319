"""`terrazzo evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.testing import Result

from terrazzo.phases.model_files import ModelFiles

PLAIN = {"data": None, "split": None, "out": None}


def test_a_model_alone_needs_no_configuration(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("evaluate", "runs/first").exit_code == 0
    assert verbs.calls == [("evaluate", (ModelFiles(Path("runs/first")), None), PLAIN)]


def test_another_configuration_and_split(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("evaluate", "a.safetensors", "other.yaml", "--split", "test", "--data", "more data", "--out", "x y")
    assert result.exit_code == 0
    ((_, arguments, settings),) = verbs.calls
    assert arguments[0] == ModelFiles(Path("a.safetensors"))
    assert arguments[1].name == str(["other.yaml"])
    assert settings == {"data": Path("more data"), "split": "test", "out": Path("x y")}


def test_a_frozen_backbone_goes_with_its_bundle(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("evaluate", "a.safetensors", "--backbone", "w.safetensors").exit_code == 0
    assert verbs.calls == [("evaluate", (ModelFiles(Path("a.safetensors"), Path("w.safetensors")), None), PLAIN)]


def test_settings_alone_change_the_runs_own_configuration(
    invoke: Callable[..., Result], verbs: Any, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("name: run")
    invoke("evaluate", tmp_path / "run", "evaluate.batch_size=2")
    invoke("evaluate", tmp_path / "run", "demo", "evaluate.batch_size=2")
    first, second = (arguments[1].name for _, arguments, _ in verbs.calls)
    assert first == str([str(tmp_path / "run" / "config.yaml"), "evaluate.batch_size=2"])
    assert second == str(["demo", "evaluate.batch_size=2"])


def test_a_model_is_required(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("evaluate")
    assert result.exit_code == 2
    assert "BUNDLE|RUN" in result.stderr
    assert verbs.calls == []
