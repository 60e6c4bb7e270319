"""What a run computes on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from terrazzo import machine
from terrazzo.errors import ConfigError
from terrazzo.machine import Execution, MachineSettings, configure


@pytest.fixture(autouse=True)
def _unchanged() -> Iterator[None]:
    """Give the next test the settings of torch that this one found."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def cpu(**settings: object) -> MachineSettings:
    return MachineSettings(accelerator="cpu", **settings)


def test_settings_reach_torch() -> None:
    execution = configure(cpu(threads=1, workers=3, precision="float32", matmul_precision="medium"))
    assert execution == Execution("cpu", "float32", threads=1, workers=3)
    assert torch.get_num_threads() == 1
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"]


def test_determinism_can_be_given_up() -> None:
    configure(cpu(deterministic=False, cudnn_benchmark=True))
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_timing_algorithms_contradicts_determinism() -> None:
    with pytest.raises(ConfigError, match="deterministic: false"):
        configure(cpu(cudnn_benchmark=True))


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 2), (64, 8)])
def test_auto_takes_all_cores_and_half_of_them_for_loading(
    cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(cores)))
    execution = configure(cpu())
    assert (execution.threads, execution.workers) == (cores, workers)


@pytest.mark.parametrize(
    ("flags", "precision"),
    [("flags : fpu avx512_bf16", "bfloat16"), ("flags : amx_bf16", "bfloat16"), ("Features : asimd bf16", "bfloat16"),
     ("flags : fpu avx2 avx512f", "float32"), ("", "float32")],
)  # fmt: skip
def test_auto_takes_bfloat16_where_the_processor_has_it(
    flags: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    description = tmp_path / "cpuinfo"
    description.write_text(flags)
    monkeypatch.setattr(machine, "Path", lambda _path: description)
    assert configure(cpu()).precision == precision


def test_a_processor_that_says_nothing_gets_float32(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "Path", lambda _path: tmp_path / "missing")
    assert configure(cpu()).precision == "float32"


def test_half_precision_needs_a_gpu() -> None:
    with pytest.raises(ConfigError, match="needs a GPU"):
        configure(cpu(precision="float16"))


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bfloat16"), (False, "float16")])
def test_a_gpu_gets_bfloat16_if_it_has_it(has_bfloat16: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_settings: has_bfloat16)
    execution = configure(MachineSettings())
    assert (execution.device, execution.precision) == ("cuda", precision)


@pytest.mark.parametrize("accelerator", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(accelerator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"accelerator is {accelerator}"):
        configure(MachineSettings(accelerator=accelerator))


def test_auto_falls_back_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert configure(MachineSettings()).device == "cpu"


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_has_its_torch_type(precision: str) -> None:
    assert Execution("cpu", precision, 1, 0).dtype is getattr(torch, precision)


@pytest.mark.parametrize(
    "wrong", [{"threads": 0}, {"workers": -1}, {"devices": 0}, {"precision": "fp8"}, {"thread": 2}, {"backend": "mpi"}]
)
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MachineSettings(**wrong)


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in MachineSettings.model_fields.values())
