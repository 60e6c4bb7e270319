"""The processor, its limits and the settings of threads."""

from pathlib import Path

import pytest

from terrazzo.diagnosis import Finding, Level, processor
from terrazzo.diagnosis.processor import check_processor


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_cores", lambda: 4)
    monkeypatch.setattr(processor, "usable_cores", lambda: 4)
    monkeypatch.setattr(processor, "processor_quota", lambda: None)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def found() -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_processor()}


def test_this_machine() -> None:
    assert set(found()) == {"processor", "threads"}
    assert "4 of" in found()["processor"].said
    assert found()["threads"].level is Level.FINE


def test_a_processor_without_wide_vectors_is_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: QEMU Virtual CPU\nflags\t: sse sse2\n")
    monkeypatch.setattr(processor, "_DESCRIPTION", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    assert found()["processor"].level is Level.WARNING
    assert "QEMU" in found()["processor"].said


@pytest.mark.parametrize(("quota", "counted"), [(2.5, 3), (0.5, 1)])
def test_a_quota_below_the_cores_is_told(quota: float, counted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "processor_quota", lambda: quota)
    monkeypatch.setattr(processor, "usable_cores", lambda: counted)
    assert found()["processor limit"].level is Level.NOTE
    assert f"`auto` counts {counted}" in found()["processor limit"].said
    assert f"one a core: {counted}" in found()["threads"].said


def test_a_quota_of_all_cores_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "processor_quota", lambda: 4.0)
    assert "processor limit" not in found()


@pytest.mark.parametrize(("value", "level"), [("2", Level.NOTE), ("64", Level.WARNING), ("", Level.FINE)])
def test_variables_of_threads_are_told(value: str, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert found()["threads"].level is level
