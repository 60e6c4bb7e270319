"""Graphics processors, and why there are none."""

from types import SimpleNamespace

import pytest

from terrazzo.diagnosis import Level, accelerators
from terrazzo.diagnosis.accelerators import check_accelerators

GIB = 2**30


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with an NVIDIA GPU of which torch sees nothing."""
    monkeypatch.setattr(accelerators.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(accelerators.torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(accelerators.glob, "glob", lambda _: ["/dev/nvidia0"])
    monkeypatch.setattr(accelerators, "_driver_cuda", lambda: "13.0")
    monkeypatch.setattr(accelerators.torch.version, "cuda", "12.8")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return monkeypatch


def test_a_machine_without_gpu_is_no_trouble(without: pytest.MonkeyPatch) -> None:
    without.setattr(accelerators.glob, "glob", lambda _: [])
    without.setattr(accelerators, "_driver_cuda", lambda: None)
    (found,) = check_accelerators()
    assert found.level is Level.NOTE
    assert found.said.startswith("none")


@pytest.mark.parametrize("value", ["", "-1"])
def test_a_hidden_gpu(value: str, without: pytest.MonkeyPatch) -> None:
    without.setenv("CUDA_VISIBLE_DEVICES", value)
    (found,) = check_accelerators()
    assert found.level is Level.WARNING
    assert "CUDA_VISIBLE_DEVICES" in found.said


@pytest.mark.parametrize(
    ("built", "driver", "said"),
    [
        (None, "13.0", "built without CUDA"),
        ("13.2", None, "libcuda"),
        ("13.2", "12.8", "knows CUDA up to 12.8, but torch was built for CUDA 13.2"),
        ("12.8", "13.0", "torch cannot use it"),
    ],
)
def test_why_a_gpu_is_not_used(built: str | None, driver: str | None, said: str, without: pytest.MonkeyPatch) -> None:
    without.setattr(accelerators.torch.version, "cuda", built)
    without.setattr(accelerators, "_driver_cuda", lambda: driver)
    (found,) = check_accelerators()
    assert found.level is Level.WARNING
    assert said in found.said
    assert found.advice


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A GPU that works, played by the processor."""
    cuda = accelerators.torch.cuda
    device = SimpleNamespace(name="H100", major=9, minor=0, total_memory=80 * GIB)
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 1)
    monkeypatch.setattr(cuda, "get_device_properties", lambda _: device)
    monkeypatch.setattr(cuda, "mem_get_info", lambda _: (70 * GIB, 80 * GIB))
    monkeypatch.setattr(accelerators, "_convolve", lambda _: None)
    monkeypatch.setattr(accelerators, "_driver_cuda", lambda: "13.2")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return monkeypatch


def test_a_gpu_that_works(gpu: pytest.MonkeyPatch) -> None:
    (found,) = check_accelerators()
    assert found.level is Level.FINE
    assert "70.0 GiB of 80.0 GiB free" in found.said


def test_a_gpu_that_others_fill(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(accelerators.torch.cuda, "mem_get_info", lambda _: (5 * GIB, 80 * GIB))
    (found,) = check_accelerators()
    assert found.level is Level.WARNING
    assert "nvidia-smi" in str(found.advice)


def test_a_gpu_that_torch_has_no_code_for(gpu: pytest.MonkeyPatch) -> None:
    def fail(_index: int) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    gpu.setattr(accelerators, "_convolve", fail)
    (found,) = check_accelerators()
    assert found.level is Level.WARNING
    assert found.said.endswith("on the device")
    assert "sm_90" in str(found.advice)


def test_a_workspace_that_is_not_repeatable(gpu: pytest.MonkeyPatch) -> None:
    gpu.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    assert [finding.level for finding in check_accelerators()] == [Level.FINE, Level.WARNING]
    gpu.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert len(check_accelerators()) == 1
