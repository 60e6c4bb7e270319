"""Versions of what is installed against what is asked for."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from terrazzo.diagnosis import Finding, Level, packages
from terrazzo.diagnosis.packages import EXTRAS, check_packages


def about(findings: Sequence[Finding], subject: str) -> Finding:
    (found,) = [finding for finding in findings if finding.subject == subject]
    return found


def test_every_extra_of_the_project_is_described() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(EXTRAS) == set(project["optional-dependencies"])


def test_what_is_installed_here_fits() -> None:
    found = check_packages()
    assert {"terrazzo", "python", "packages", "torch"} <= {finding.subject for finding in found}
    assert all(finding.level in {Level.FINE, Level.NOTE} for finding in found)
    assert "torch" in about(found, "packages").facts


NEEDED = {
    "terrazzo": ["torch>=2.11", "numpy>=2", 'mlflow>=3; extra == "mlflow"', 'wandb>=0.19; extra == "wandb"'],
    "torch": ['windows-thing>=1; sys_platform == "win32"', "filelock"],
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    versions = {"terrazzo": "1", "torch": "2.12.0+cu132", "numpy": "2.1", "filelock": "3", "wandb": "0.20"}

    def version(name: str) -> str:
        if name not in versions:
            raise packages.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(packages, "version", version)
    monkeypatch.setattr(packages, "requires", lambda name: NEEDED.get(name))
    return versions


def test_a_local_version_and_what_is_for_other_systems_fit(installed: dict[str, str]) -> None:
    assert about(check_packages(), "packages").level is Level.FINE


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("torch", "2.10", "terrazzo needs torch>=2.11, but 2.10 is installed"),
        ("numpy", None, "terrazzo needs numpy, which is not installed"),
        ("filelock", None, "torch needs filelock, which is not installed"),
    ],
)
def test_what_does_not_fit_is_a_fault(name: str, version: str | None, said: str, installed: dict[str, str]) -> None:
    installed.pop(name)
    if version:
        installed[name] = version
    found = about(check_packages(), "packages")
    assert found.level is Level.FAULT
    assert said in found.said
    assert found.advice


def test_a_missing_extra_is_a_note_and_an_old_one_a_warning(installed: dict[str, str]) -> None:
    found = check_packages()
    assert about(found, "extra mlflow").level is Level.NOTE
    assert "the tracker mlflow" in about(found, "extra mlflow").said
    assert about(found, "extra wandb").level is Level.FINE
    installed["wandb"] = "0.1"
    assert about(check_packages(), "extra wandb").level is Level.WARNING


def test_a_package_that_does_not_load_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    real = packages.importlib.import_module

    def load(name: str) -> object:
        if name == "rasterio":
            raise ImportError("libexpat.so.1: cannot open shared object file")
        return real(name)

    monkeypatch.setattr(packages.importlib, "import_module", load)
    found = about(check_packages(), "rasterio")
    assert found.level is Level.FAULT
    assert "libexpat" in found.said
    assert "rasterio" in str(found.advice)
