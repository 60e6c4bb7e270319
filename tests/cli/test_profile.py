"""`terrazzo profile`: arguments become settings, and figures become tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from terrazzo.machine import MachineSettings
from terrazzo.profiling import ProfileSettings


def test_options_may_be_given_several_times(invoke: Callable[..., Result], verbs: Any) -> None:
    options = ["--size", "512", "--size", "1024x2048", "--batch", "1", "--batch", "8", "--steps", "2"]
    more = ["--precision", "float32", "--device", "cpu", "--repeats", "5", "--warmup", "2", "--mean-steps", "3.5"]
    assert invoke("profile", "camvid", "train.epochs=3", *options, *more, "--bands", "4", "--no-fuse").exit_code == 0
    ((name, (subject,), given),) = verbs.calls
    assert name == "profile"
    assert subject.name == "['camvid', 'train.epochs=3']"
    wanted = ProfileSettings(
        sizes=(512, (1024, 2048)),
        batch_sizes=(1, 8),
        steps=(2,),
        precisions=("float32",),
        devices=("cpu",),
        repeats=5,
        warmup=2,
        mean_steps=3.5,
        bands=4,
        fuse=False,
    )
    assert given == {"settings": wanted, "machine": None}


def test_what_is_left_out_keeps_its_default(invoke: Callable[..., Result], verbs: Any) -> None:
    assert invoke("profile", "camvid").exit_code == 0
    ((_, _, given),) = verbs.calls
    assert given["settings"] == ProfileSettings()


@pytest.mark.parametrize("name", ["run", "model.safetensors"])
def test_a_trained_network_takes_settings_of_the_machine(
    name: str, invoke: Callable[..., Result], verbs: Any, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.mkdir() if not path.suffix else path.touch()
    assert invoke("profile", str(path), "machine.threads=1").exit_code == 0
    assert invoke("profile", str(path)).exit_code == 0
    assert [(arguments, given["machine"]) for _, arguments, given in verbs.calls] == [
        ((path,), MachineSettings(threads=1)),
        ((path,), None),
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--size", "wide"), "profile.sizes"),
        (("--batch", "0"), "profile.batch_sizes"),
        (("--device", "tpu"), "profile.devices"),
        (("--repeats", "0"), "profile.repeats"),
    ],
)
def test_a_wrong_option_is_named(
    arguments: tuple[str, ...], complaint: str, invoke: Callable[..., Result], verbs: Any
) -> None:
    result = invoke("profile", "camvid", *arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not verbs.calls


@pytest.mark.parametrize("argument", ["train.epochs=3", "machine.speed=9", "other.safetensors"])
def test_a_trained_network_takes_no_other_settings(
    argument: str, invoke: Callable[..., Result], verbs: Any, tmp_path: Path
) -> None:
    result = invoke("profile", str(tmp_path), argument)
    assert result.exit_code == 2
    assert not verbs.calls


def test_json_is_all_that_is_printed(invoke: Callable[..., Result], verbs: Any) -> None:
    result = invoke("profile", "camvid", "--json")
    assert result.stdout.startswith("{")
