"""Folders that are written to."""

import os
from collections import namedtuple
from pathlib import Path

import pytest

from terrazzo.diagnosis import Finding, Level, disk
from terrazzo.diagnosis.disk import check_disk

Usage = namedtuple("Usage", "total used free")
GIB = 2**30


@pytest.fixture(autouse=True)
def _wide_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Usage(900 * GIB, 0, 100 * GIB))
    monkeypatch.setattr(disk, "_SLOW", 0.0)
    monkeypatch.setattr(disk, "_file_system", lambda _: "ext4")


def runs(path: Path, *, needed: bool = True) -> Finding:
    return check_disk({"runs": path}, needed=needed)[0]


def test_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    found = runs(tmp_path / "größe 1" / "runs")
    assert found.level is Level.FINE
    assert f"to be made in {tmp_path}" in found.said
    assert found.facts["locks"] is True
    assert list(tmp_path.iterdir()) == []


def test_the_place_of_temporary_files_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.tempfile, "gettempdir", lambda: str(tmp_path))
    assert [finding.subject for finding in check_disk({}, needed=False)] == ["temporary files"]

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(disk.tempfile, "gettempdir", none)
    (found,) = check_disk({}, needed=False)
    assert found.level is Level.FAULT


@pytest.mark.parametrize(("needed", "level"), [(True, Level.FAULT), (False, Level.WARNING)])
def test_a_folder_that_cannot_be_written(
    needed: bool, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.tempfile, "mkstemp", refuse)
    found = runs(tmp_path, needed=needed)
    assert found.level is level
    assert "Permission denied" in found.said


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    assert runs(tmp_path / "runs" / "first").level is Level.FAULT


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    found = runs(tmp_path)
    assert found.level is Level.FAULT
    assert "room" in str(found.advice)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free", "level"), [(GIB // 4, Level.WARNING), (2 * GIB, Level.NOTE), (100 * GIB, Level.FINE)])
def test_little_room(free: int, level: Level, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Usage(900 * GIB, 0, free))
    assert runs(tmp_path).level is level


def test_a_slow_disk_and_a_network_are_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_SLOW", 1e15)
    assert "slow disk" in str(runs(tmp_path).advice)
    monkeypatch.setattr(disk, "_file_system", lambda _: "nfs4")
    assert "network" in str(runs(tmp_path).advice)
    assert runs(tmp_path).level is Level.NOTE


def test_locks_that_do_not_hold_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.fcntl, "flock", lambda *_: None)
    assert runs(tmp_path).level is Level.WARNING
    assert runs(tmp_path).facts["locks"] is False


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    inner = tmp_path / "a b"
    inner.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {str(inner).replace(' ', chr(92) + '040')} nfs4 rw 0 0\nbroken\n"
    )
    monkeypatch.setattr(disk, "_MOUNTS", mounts)
    assert disk._file_system(inner / "..") == "ext4"
    assert disk._file_system(inner) == "nfs4"
    monkeypatch.setattr(disk, "_MOUNTS", tmp_path / "none")
    assert disk._file_system(inner) is None
