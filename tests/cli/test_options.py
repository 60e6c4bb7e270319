"""Arguments that several commands share."""

from pathlib import Path

import pytest

from terrazzo.cli.options import load, split_arguments
from terrazzo.errors import ConfigError


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (None, (None, [])),
        ([], (None, [])),
        (["demo"], ("demo", [])),
        (["a=1"], (None, ["a=1"])),
        (["demo", "a=1", "b.c=x=y"], ("demo", ["a=1", "b.c=x=y"])),
        (["a="], (None, ["a="])),
    ],
)
def test_the_first_argument_with_a_sign_of_equality_is_a_setting(
    arguments: list[str] | None, expected: tuple[str | None, list[str]]
) -> None:
    assert split_arguments(arguments) == expected


def test_a_file_is_a_file_whatever_its_name() -> None:
    Path("lr=0.1.yaml").write_text("name: x")
    assert split_arguments(["lr=0.1.yaml", "seed=1"]) == ("lr=0.1.yaml", ["seed=1"])


@pytest.mark.parametrize("arguments", [["a.yaml", "b.yaml"], ["a=1", "b.yaml"], ["demo", "a=1", "b"]])
def test_a_second_configuration_is_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="is no setting; after the configuration write KEY=VALUE"):
        split_arguments(arguments)


def test_the_given_arguments_are_not_changed() -> None:
    arguments = ["demo", "a=1"]
    split_arguments(arguments)
    assert arguments == ["demo", "a=1"]


@pytest.mark.usefixtures("verbs")
def test_a_run_folder_without_a_configuration_leaves_it_to_discovery(tmp_path: Path) -> None:
    assert load(["a=1"], folder=tmp_path).name == str(["None", "a=1"])
    (tmp_path / "config.yaml").write_text("")
    assert load(["a=1"], folder=tmp_path).name == str([str(tmp_path / "config.yaml"), "a=1"])
    assert load(["demo"], folder=tmp_path).name == str(["demo"])
