"""`terrazzo areas sample` and `terrazzo areas estimate`."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.cli.areas import parse_expected
from terrazzo.errors import ConfigError
from terrazzo.phases.area_sampling import SampleSettings

Invoke = Callable[..., Result]
PLAIN = {
    "maps": (), "design": None, "split": "test", "level": 0.95, "classes": None, "without": (), "also": (), "out": None
}  # fmt: skip


@pytest.fixture
def area_verbs(verbs: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("terrazzo.phases.area_sampling.sample", verbs.verb("sample"))
    monkeypatch.setattr("terrazzo.phases.areas.estimate", verbs.verb("estimate"))
    return verbs


def test_a_sample_of_so_many_points(invoke: Invoke, area_verbs: Any) -> None:
    result = invoke("areas", "sample", "a.tif", "b c.tif", "--out", "p.gpkg", "--points", 300)
    assert result.exit_code == 0, result.stderr
    expected = ([Path("a.tif"), Path("b c.tif")], Path("p.gpkg"), SampleSettings(points=300))
    assert area_verbs.calls == [("sample", expected, {})]


def test_every_option_of_a_sample(invoke: Invoke, area_verbs: Any) -> None:
    result = invoke(
        "areas", "sample", "a.tif", "--out", "p.csv", "--error", "0.01", "--expected", "0.9,loss=0.7",
        "--allocation", "equal", "--minimum", 75, "--seed", 4, "--classes", "1=forest,2=loss", "--without", "7, loss",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    ((_, arguments, _),) = area_verbs.calls
    assert arguments[2] == SampleSettings(
        error=0.01, expected={"": 0.9, "loss": 0.7}, allocation="equal", minimum=75, seed=4,
        classes="1=forest,2=loss", without=("7", "loss"),
    )  # fmt: skip


def test_estimates_of_a_sample(invoke: Invoke, area_verbs: Any) -> None:
    assert invoke("areas", "estimate", "p.gpkg").exit_code == 0
    assert area_verbs.calls == [("estimate", (Path("p.gpkg"),), PLAIN)]


def test_every_option_of_estimates(invoke: Invoke, area_verbs: Any) -> None:
    result = invoke(
        "areas", "estimate", "run", "--map", "a.tif", "--map", "b.tif", "--split", "val", "--level", "0.9",
        "--classes", "a,b", "--without", "9", "--also", "x,y", "--out", "d", "--design", "p.json", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    ((_, _, settings),) = area_verbs.calls
    assert settings == {
        "maps": [Path("a.tif"), Path("b.tif")], "design": Path("p.json"), "split": "val", "level": 0.9,
        "classes": "a,b", "without": ("9",), "also": ("x", "y"), "out": Path("d"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "--out", "p.csv"),
        ("sample", "a.tif"),
        ("sample", "a.tif", "--out", "p.csv", "--points", "0"),
        ("sample", "a.tif", "--out", "p.csv", "--allocation", "neyman"),
        ("sample", "a.tif", "--out", "p.csv", "--points", "9", "--expected", "high"),
        ("estimate",),
        ("estimate", "p.csv", "--level", "much"),
    ],
)
def test_wrong_arguments_are_status_2(arguments: tuple[str, ...], invoke: Invoke, area_verbs: Any) -> None:
    assert invoke("areas", *arguments).exit_code == 2
    assert area_verbs.calls == []


@pytest.mark.parametrize("text", ["", ",", "x=y", "0.9,0.8", "town=0.9,town=0.8", "0.9;0.8"])
def test_what_is_no_list_of_accuracies(text: str) -> None:
    with pytest.raises(ConfigError, match="--expected"):
        parse_expected(text)


def test_names_may_hold_signs_of_equality() -> None:
    assert parse_expected("a=b=0.5") == {"a=b": 0.5}


@pytest.mark.parametrize("command", [[], ["sample"], ["estimate"]])
def test_every_sentence_of_help_is_whole(command: list[str], invoke: Invoke) -> None:
    result = invoke("areas", *command, "-h")
    assert result.exit_code == 0
    assert not any(line.endswith("...") for line in result.stdout.partition("Commands:")[2].splitlines())


def test_help_loads_nothing_heavy() -> None:
    code = """
import sys
from terrazzo.cli.application import application
for command in (["areas"], ["areas", "sample"], ["areas", "estimate"]):
    application([*command, "--help"], standalone_mode=False)
print("LOADED", *{name.partition('.')[0] for name in sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert loaded & {"torch", "rasterio", "pydantic", "numpy", "yaml", "pandas", "rich"} == set()
