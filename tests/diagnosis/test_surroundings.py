"""Encoding and compiler."""

from types import SimpleNamespace

import pytest

from terrazzo.diagnosis import Finding, Level, surroundings
from terrazzo.diagnosis.surroundings import check_surroundings


def found() -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_surroundings()}


@pytest.mark.parametrize(
    ("files", "text", "level"),
    [("utf-8", "UTF-8", Level.FINE), ("utf-8", "ANSI_X3.4-1968", Level.NOTE), ("ascii", "ascii", Level.WARNING)],
)
def test_encodings(files: str, text: str, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings.sys, "getfilesystemencoding", lambda: files)
    monkeypatch.setattr(surroundings.locale, "getpreferredencoding", lambda *, do_setlocale: text)
    monkeypatch.setattr(surroundings.sys, "stdout", SimpleNamespace(encoding="utf-8"))
    assert found()["encoding"].level is level


def test_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "my-compiler")
    monkeypatch.setattr(surroundings.shutil, "which", lambda name: f"/bin/{name}" if name == "my-compiler" else None)
    assert found()["compiler"].said == "/bin/my-compiler"
    monkeypatch.setattr(surroundings.shutil, "which", lambda _: None)
    assert found()["compiler"].level is Level.NOTE
