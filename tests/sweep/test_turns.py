"""Folders that processes need one after the other."""

import threading
from pathlib import Path

import pytest

from terrazzo.errors import LockedError
from terrazzo.storage import locked
from terrazzo.sweep.turns import in_turn, is_held


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.sweep.turns._GLANCE_SECONDS", 0.01)


def test_whoever_comes_later_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrazzo.sweep.turns._SAY_AFTER_SECONDS", 0.03)
    said: list[str] = []
    order: list[str] = []
    first = locked(tmp_path / "held")

    def later() -> None:
        with in_turn(tmp_path / "held", say=said.append):
            order.append("second")

    with first:
        thread = threading.Thread(target=later)
        thread.start()
        while not said:
            thread.join(0.01)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "is in use by process" in said[0]


def test_patience_ends(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(LockedError), in_turn(tmp_path, say=print, patience_s=0.05):
        raise AssertionError


def test_what_happens_inside_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    with pytest.raises(LockedError, match="another one"), in_turn(tmp_path, say=print):
        raise LockedError("another one")


def test_whether_a_folder_is_held(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    assert not is_held(tmp_path)
    with locked(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)
