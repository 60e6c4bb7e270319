"""`terrazzo init`."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from terrazzo.cli.application import application


@pytest.fixture
def invoke_init() -> Callable[..., Result]:
    """Run the command."""
    return lambda *arguments: CliRunner().invoke(application, ["init", *map(str, arguments)])


def test_it_says_what_it_found_and_where_it_wrote(invoke_init, real_data, tmp_path):
    result = invoke_init(real_data / "zion_rgb_nir_tiles", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert f"{tmp_path}/terrazzo.yaml" in result.stdout
    assert "6 images with label; all were read." in result.stdout
    assert "values and names come from classes.txt" in result.stdout
    again = invoke_init(real_data / "zion_rgb_nir_tiles", "--out", tmp_path)
    assert again.exit_code == 1
    assert "exists already and is not overwritten" in again.stderr


def test_the_written_file_passes_the_check(invoke_init, real_data, tmp_path):
    invoke_init(real_data / "cvat_moor", "--out", tmp_path / "mine.yaml")
    result = CliRunner().invoke(application, ["config", "check", str(tmp_path / "mine.yaml")])
    assert result.exit_code == 0, result.output
    assert "is right" in result.stdout


def test_json_is_all_of_standard_output(invoke_init, real_data, tmp_path):
    result = invoke_init(real_data / "cloud38_sample", "--out", tmp_path, "--json")
    found = json.loads(result.stdout)
    assert (found["source"], found["bands"]) == ("band_files", ["red", "green", "blue", "nir"])
    assert found["config"] == str(tmp_path / "terrazzo.yaml")


def test_a_folder_of_nothing(invoke_init, tmp_path):
    result = invoke_init(tmp_path)
    assert result.exit_code == 1
    assert "no data set is recognised, since it is empty" in result.stderr
    assert not list(tmp_path.iterdir())
