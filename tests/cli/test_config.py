"""`terrazzo config`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result


def test_show_prints_the_whole_configuration(invoke: Callable[..., Result]) -> None:
    result = invoke("config", "show", "demo", "train.epochs=3")
    assert result.exit_code == 0, result.output
    shown = yaml.safe_load(result.stdout)
    assert shown["name"] == "demo"
    assert shown["train"]["epochs"] == 3


def test_what_is_shown_is_read_back(invoke: Callable[..., Result], tmp_path: Path) -> None:
    first = invoke("config", "show", "demo").stdout
    (tmp_path / "again.yaml").write_text(first)
    assert yaml.safe_load(invoke("config", "show", "again.yaml").stdout) == yaml.safe_load(first)


def test_check_says_that_all_is_right(invoke: Callable[..., Result]) -> None:
    result = invoke("config", "check", "demo")
    assert result.exit_code == 0
    assert "demo is right" in result.stdout


@pytest.mark.parametrize("command", ["show", "check"])
def test_every_error_is_told_at_once(command: str, invoke: Callable[..., Result]) -> None:
    result = invoke("config", command, "demo", "train.epoch=3", "machine.threads=0")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "epochs" in result.stderr
    assert "threads" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_file_is_named(invoke: Callable[..., Result]) -> None:
    result = invoke("config", "check", "not here.yaml")
    assert result.exit_code == 2
    assert "not here.yaml" in result.stderr


def test_the_schema_is_json_schema(invoke: Callable[..., Result]) -> None:
    schema = json.loads(invoke("config", "schema").stdout)
    assert schema["type"] == "object"
    assert {"data", "model", "train"} <= set(schema["properties"])
    assert len(invoke("config", "schema", "--indent", "0").stdout) < len(invoke("config", "schema").stdout)


def test_a_key_is_explained(invoke: Callable[..., Result]) -> None:
    result = invoke("config", "explain", "optimizer.lr", "demo", "optimizer.lr=0.5")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("optimizer.lr  (optimizer: adamw)\n")
    assert '0.5  (override "optimizer.lr=0.5")' in result.stdout
    assert "demo.yaml:" in result.stdout


def test_an_explanation_as_json(invoke: Callable[..., Result]) -> None:
    content = json.loads(invoke("config", "explain", "machine", "--json").stdout)
    assert content["found"][0]["kind"] == "section"
    assert {"key", "type", "default", "description"} == set(content["found"][0]["keys"][0])


def test_a_key_that_is_none_is_status_2(invoke: Callable[..., Result]) -> None:
    result = invoke("config", "explain", "epochs")
    assert result.exit_code == 2
    assert "train.epochs" in result.stderr
