"""`terrazzo predict`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.cli.predict import parse_memory, split_inputs
from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.phases.model_files import ModelFiles
from terrazzo.phases.plan import PlanSummary
from terrazzo.scene.planning import PlannedScene
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


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--memory", "4GiB"], {"memory_gib": 4.0}),
        (["--memory", "512MiB"], {"memory_gib": 0.5}),
        (["--tau", "0.7", "--steps", "3"], {"tau": 0.7, "steps": 3}),
        (["--workers", "2"], {"workers": 2}),
        (["--aoi", "my area.gpkg"], {"area": Path("my area.gpkg")}),
        (["--layers", "confidence,entropy"], {"layers": ("confidence", "entropy")}),
        (["--mosaic", "last"], {"mosaic": "last"}),
        (["--max-errors", "5"], {"max_errors": 5}),
        (["--polygons", "parquet"], {"polygons": {"format": "parquet"}}),
    ],
)
def test_an_option_is_the_same_as_its_setting(
    options: list[str], expected: dict[str, object], invoke: Callable[..., Result], verbs: Any
) -> None:
    result = invoke("predict", "a.safetensors", "a.tif", "--out", "m", *options)
    assert result.exit_code == 0, result.output
    ((_, _, settings),) = verbs.calls
    assert settings["settings"] == PredictSettings.model_validate(expected)


def test_an_option_and_its_setting_contradict_each_other(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("predict", "a.safetensors", "a.tif", "predict.workers=1", "--out", "m", "--workers", "2")
    assert result.exit_code == 2
    assert "predict.workers is given twice" in result.stderr
    assert verbs.calls == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "much"], '--memory is "much", which is no amount of memory; write for example 4GiB'),
        (["--memory", "0"], '--memory is "0", which is no amount of memory'),
        (["--layers", "sharpness"], "predict.layers.0: Input should be 'confidence'"),
    ],
)
def test_a_wrong_option_is_named(options: list[str], said: str, invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("predict", "a.safetensors", "a.tif", "--out", "m", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert verbs.calls == []


@pytest.mark.parametrize(
    ("text", "gib"),
    [
        ("4GiB", 4),
        ("4 gib", 4),
        ("4G", 4),
        ("4", 4),
        ("2000MB", 2e9 / 2**30),
        (".5TiB", 512),
        ("1048576k", 1),
        ("1048576KiB", 1),
    ],
)
def test_units_of_memory(text: str, gib: float) -> None:
    assert parse_memory(text) == pytest.approx(gib)


@pytest.mark.parametrize("text", ["", "GiB", "-4GiB", "4XB", "4GiBs", "four", "4B"])
def test_no_amount_of_memory(text: str) -> None:
    with pytest.raises(ConfigError, match="no amount of memory"):
        parse_memory(text)


def planned(refusals: tuple[str, ...] = ()) -> PlanSummary:
    scene = PlannedScene(
        scene="a.tif",
        out=Path("m/a.tif"),
        rows=(("windows", "12 of 16 x 16"), ("memory", "1 GiB of 4 GiB")),
        warnings=("values lie elsewhere",),
        refusals=refusals,
        host_bytes=2**30,
        device_bytes=None,
        disk_bytes=5,
        expected_seconds=None,
    )
    return PlanSummary(seconds=1.0, scenes=(scene,))


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Callable[[PlanSummary], list[tuple[Any, ...]]]:
    def answer(summary: PlanSummary) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def plan_maps(*arguments: Any, **settings: Any) -> PlanSummary:
            calls.append((*arguments, settings["settings"]))
            return summary

        monkeypatch.setattr("terrazzo.phases.plan.plan_maps", plan_maps)
        return calls

    return answer


def test_a_plan_is_a_table_and_maps_nothing(invoke: Callable[..., Result], verbs: Any, plans: Any) -> None:
    calls = plans(planned())
    result = invoke("predict", "a.safetensors", "a.tif", "predict.window=16", "--out", "m", "--plan")
    assert result.exit_code == 0, result.output
    assert verbs.calls == []
    assert calls == [(ModelFiles(Path("a.safetensors")), ["a.tif"], Path("m"), PredictSettings(window=16))]
    for said in ("a.tif -> m/a.tif", "12 of 16 x 16", "1 GiB of 4 GiB", "warning", "values lie elsewhere"):
        assert said in result.stdout


def test_a_plan_that_cannot_fit_ends_with_1(invoke: Callable[..., Result], verbs: Any, plans: Any) -> None:
    plans(planned(("Mapping needs more.",)))
    result = invoke("predict", "a.safetensors", "a.tif", "--out", "m", "--plan")
    assert result.exit_code == 1
    assert "does not fit" in result.stdout
    assert "Mapping needs more." in result.stdout


@pytest.mark.parametrize("refusals", [(), ("Mapping needs more.",)])
def test_a_plan_as_json(refusals: tuple[str, ...], invoke: Callable[..., Result], verbs: Any, plans: Any) -> None:
    plans(planned(refusals))
    result = invoke("predict", "a.safetensors", "a.tif", "--out", "m", "--plan", "--json")
    assert result.exit_code == len(refusals)
    content = json.loads(result.stdout)
    assert content["fits"] is not bool(refusals)
    (scene,) = content["scenes"]
    assert scene["plan"] == {"windows": "12 of 16 x 16", "memory": "1 GiB of 4 GiB"}
    assert scene["refusals"] == list(refusals)


@pytest.mark.parametrize("missing", [["a.tif"], ["a.tif", "b.tif"], ["a.tif", "predict.window=3", "--out", "maps"]])
def test_scenes_and_a_place_are_required(missing: list[str], invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("predict", *missing).exit_code == 2
    assert verbs.calls == []
