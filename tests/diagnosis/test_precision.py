"""Arithmetic is tried, not believed."""

import pytest
import torch

from terrazzo.diagnosis import Level, precision
from terrazzo.diagnosis.precision import check_precision


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_SIDE", {"cpu": 32, "cuda": 32, "mps": 32})
    monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)


def test_errors_are_those_of_the_formats() -> None:
    (found,) = check_precision()
    assert found.level is Level.FINE
    single, half = found.facts["float32"]["error"], found.facts["bfloat16"]["error"]
    assert 0 < single < 1e-6
    assert 1e-4 < half < 1e-2


def test_what_does_not_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = precision._timed

    def timed(kind: precision.Kind, first: torch.Tensor, second: torch.Tensor) -> float:
        if first.dtype == torch.bfloat16:
            raise RuntimeError('"addmm" not implemented for BFloat16')
        return real(kind, first, second)

    monkeypatch.setattr(precision, "_timed", timed)
    monkeypatch.setattr(precision, "precision_of", lambda *_: "bfloat16")
    (found,) = check_precision()
    assert found.level is Level.WARNING
    assert "bfloat16 does not run" in found.said
    assert found.advice == "Set machine.precision=float32."


def test_a_processor_that_cannot_multiply_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_attempt", lambda *_: "illegal instruction")
    (found,) = check_precision()
    assert found.level is Level.FAULT


def test_the_setting_of_matrix_products_is_put_back() -> None:
    before = torch.get_float32_matmul_precision()
    with pytest.raises(ZeroDivisionError):
        precision._with_tf32(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    assert torch.get_float32_matmul_precision() == before
