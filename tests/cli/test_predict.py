"""`terrazzo predict`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.cli.predict import split_inputs
from terrazzo.machine import MachineSettings
from terrazzo.phases.model_files import ModelFiles
from terrazzo.scene.settings import PredictSettings


def test_scenes_and_settings_are_told_apart(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke(
        "predict",
        "a.safetensors",
        "my scene.tif",
        "scenes/*.tif",
        "predict.window=512",
        "machine.threads=1",
        "--out",
        "m",
    )
    assert result.exit_code == 0, result.output
    ((_, arguments, settings),) = verbs.calls
    assert arguments == (ModelFiles(Path("a.safetensors")), ["my scene.tif", "scenes/*.tif"], Path("m"))
    assert settings == {"settings": PredictSettings(window=512), "machine": MachineSettings(threads=1)}


def test_a_frozen_backbone_goes_with_its_bundle(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("predict", "a.safetensors", "a.tif", "--out", "m", "--backbone", "my weights").exit_code == 0
    ((_, arguments, _),) = verbs.calls
    assert arguments[0] == ModelFiles(Path("a.safetensors"), Path("my weights"))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("predict.windw=512", 'predict.windw: .* Did you mean "window"'),
        ("predict.window=0", "predict.window: Input should be greater than or equal to 1"),
        ("machine.accelerator=tpu", "machine.accelerator: Input should be"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, said: str, invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("predict", "a.safetensors", "a.tif", setting, "--out", "maps")
    assert result.exit_code == 2
    assert re.search(said, result.stderr)
    assert verbs.calls == []


def test_a_file_whose_name_looks_like_a_setting_is_a_scene(tmp_path: Path) -> None:
    Path("predict.window=3").write_text("x")
    assert split_inputs(["predict.window=3", "predict.margin=3"]) == (
        ["predict.window=3"],
        {"predict": {"margin": 3}, "machine": {}},
    )


def test_other_names_with_a_sign_of_equality_are_scenes() -> None:
    assert split_inputs(["date=2024-05-01/a.tif"])[0] == ["date=2024-05-01/a.tif"]


@pytest.mark.parametrize("missing", [["a.tif"], ["a.tif", "b.tif"], ["a.tif", "predict.window=3", "--out", "maps"]])
def test_scenes_and_a_place_are_required(missing: list[str], invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("predict", *missing).exit_code == 2
    assert verbs.calls == []
