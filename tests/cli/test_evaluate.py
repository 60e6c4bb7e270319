"""`terrazzo evaluate`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.cli.evaluate import evaluation_settings
from terrazzo.errors import ConfigError
from terrazzo.phases.model_files import ModelFiles
from terrazzo.training.settings import EvaluateSettings

PLAIN = {"data": None, "split": None, "name": None, "out": None, "show": None, "settings": EvaluateSettings()}


@pytest.fixture(autouse=True)
def _several(monkeypatch: pytest.MonkeyPatch, verbs: Any) -> None:
    monkeypatch.setattr("terrazzo.phases.evaluate.evaluate_splits", verbs.verb("evaluate_splits"))


def test_a_model_alone_needs_no_configuration(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("evaluate", "runs/first").exit_code == 0
    assert verbs.calls == [("evaluate", (ModelFiles(Path("runs/first")), None), PLAIN)]


def test_another_configuration_and_split(invoke: Callable[..., Result], verbs: Any) -> None:
    options = ("--split", "test", "--data", "more data", "--out", "x y", "--name", "again")
    result = invoke("evaluate", "a.safetensors", "other.yaml", *options)
    assert result.exit_code == 0
    ((_, arguments, settings),) = verbs.calls
    assert arguments[0] == ModelFiles(Path("a.safetensors"))
    assert arguments[1].name == str(["other.yaml"])
    changes = {"data": Path("more data"), "split": "test", "out": Path("x y"), "name": "again"}
    assert settings == PLAIN | changes


@pytest.mark.parametrize("options", [("--split", "all"), ("--split", "val", "--split", "test")])
def test_several_splits(options: tuple[str, ...], invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("evaluate", "runs/first", *options).exit_code == 0
    ((verb, _, settings),) = verbs.calls
    assert verb == "evaluate_splits"
    assert settings["splits"] == list(options[1::2])


def test_what_is_drawn_goes_into_the_settings(invoke: Callable[..., Result], verbs: Any) -> None:
    options = ("--plots", "--masks", "--probabilities", "--threshold", "0.3", "--limit", "4", "--show", "b.tif")
    assert invoke("evaluate", "runs/first", *options).exit_code == 0
    ((_, _, settings),) = verbs.calls
    assert settings["show"] == "b.tif"
    assert settings["settings"] == EvaluateSettings(plots=True, masks=True, probabilities=True, threshold=0.3, limit=4)


def test_only_plots_and_only_metrics() -> None:
    set_before = EvaluateSettings(plots=True, masks=True, worst_samples=3)
    plots = evaluation_settings(set_before, plots_only=True)
    assert (plots.scores, plots.plots, plots.masks) == (False, True, False)
    metrics = evaluation_settings(set_before, metrics_only=True)
    assert (metrics.scores, metrics.plots, metrics.masks, metrics.worst_samples) == (True, False, False, 0)
    assert evaluation_settings(set_before) == set_before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--metrics-only", "--plots"), "--metrics-only and --plots contradict"),
        (("--plots", "evaluate.on=patches"), "needs whole images"),
        (("--show", "a", "--metrics-only"), "--show draws one image"),
        (("--show", "a", "--split", "all"), "--show looks in all splits"),
    ],
)
def test_contradictions_are_refused(
    options: tuple[str, ...], told: str, invoke: Callable[..., Result], verbs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "evaluate.on=patches" in options:
        with pytest.raises(ConfigError, match=told):
            evaluation_settings(EvaluateSettings(on="patches"), plots=True)
        return
    result = invoke("evaluate", "runs/first", *options)
    assert result.exit_code == 2
    assert told in result.stderr
    assert verbs.calls == []


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


def test_two_systems_are_compared(invoke: Callable[..., Result], verbs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.phases.compare.compare", verbs.verb("compare"))
    assert invoke("compare", "runs/a", "runs/b", "--split", "val", "--limit", "3").exit_code == 0
    ((verb, arguments, settings),) = verbs.calls
    assert (verb, arguments) == ("compare", (Path("runs/a"), Path("runs/b"), None))
    assert settings["split"] == "val"
    assert settings["settings"] == EvaluateSettings(limit=3)
