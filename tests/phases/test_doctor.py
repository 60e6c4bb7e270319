"""The verb `doctor`."""

import json
from pathlib import Path

import pytest

from terrazzo.diagnosis import Finding, Level, formats
from terrazzo.phases import doctor as module
from terrazzo.phases.doctor import doctor


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERRAZZO_CONFIG", raising=False)


def test_it_looks_at_everything_and_leaves_nothing(tmp_path: Path) -> None:
    told = []
    summary = doctor(listener=told.append)
    assert summary.usable
    assert list(summary.findings) == ["versions", "devices", "memory", "formats", "surroundings", "disk"]
    assert summary.configuration is None
    assert (told[0].kind, told[-1].kind, told[-1].done) == ("start", "finish", told[-1].total)
    assert list(tmp_path.iterdir()) == []
    content = json.loads(json.dumps(summary.as_dict(), allow_nan=False))
    assert content["usable"] is True
    assert all(finding["said"] for found in content["findings"].values() for finding in found)


@pytest.fixture
def disk_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHECKS", {})
    monkeypatch.setattr(module, "check_packages", list)


@pytest.mark.usefixtures("disk_alone")
def test_folders_are_those_of_the_configuration(tmp_path: Path) -> None:
    summary = doctor("demo", ["paths.runs=elsewhere", "machine.accelerator=cpu", "machine.precision=float32"])
    assert str(tmp_path / "elsewhere" / "demo") in summary.findings["disk"][0].said
    assert summary.configuration is not None
    assert summary.configuration.endswith("demo.yaml")
    assert "cpu, float32" in summary.findings["configuration"][-1].said


@pytest.mark.usefixtures("disk_alone")
@pytest.mark.parametrize(
    ("source", "overrides", "said"),
    [("demo", ["train.epoch=3"], "epochs"), ("demmo", [], "demo"), (None, ["train.epochs=3"], "No configuration")],
)
def test_a_wrong_configuration_is_a_warning(source: str | None, overrides: list[str], said: str) -> None:
    summary = doctor(source, overrides)
    (found,) = summary.findings["configuration"]
    assert found.level is Level.WARNING
    assert said in found.said
    assert summary.usable


@pytest.mark.usefixtures("disk_alone")
def test_a_device_that_is_not_there_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    found = doctor("demo", ["machine.accelerator=mps"]).findings["configuration"][-1]
    assert found.level is Level.WARNING
    assert "machine.accelerator" in found.said


def test_a_check_that_breaks_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[Finding]:
        raise OSError("cannot load")

    monkeypatch.setattr(formats, "check_formats", broken)
    summary = doctor()
    assert not summary.usable
    assert summary.count(Level.FAULT) == 1
    assert "cannot load" in summary.findings["formats"][0].said
    assert summary.findings["surroundings"]
