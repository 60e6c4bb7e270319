"""Memory, shared memory and open files."""

import resource
from collections import namedtuple

import pytest

from terrazzo.diagnosis import Finding, Level, memory
from terrazzo.diagnosis.memory import check_memory

GIB = 2**30
Usage = namedtuple("Usage", "total used free")


def found() -> dict[str, Finding]:
    return {finding.subject: finding for finding in check_memory()}


def test_this_machine() -> None:
    assert set(found()) == {"memory", "shared memory", "open files"}
    assert found()["memory"].facts["free_bytes"] > 0


@pytest.mark.parametrize(("free", "level"), [(GIB // 2, Level.WARNING), (3 * GIB, Level.NOTE), (64 * GIB, Level.FINE)])
def test_little_memory(free: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert found()["memory"].level is level


def test_the_limit_of_a_container_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "limited_memory", lambda: (64 * GIB, 2 * GIB))
    assert "allows 2.0 GiB" in found()["memory"].said
    assert found()["memory"].facts["limit_bytes"] == 2 * GIB


@pytest.mark.parametrize(
    ("free", "level"), [(64 * 2**20, Level.WARNING), (GIB // 2, Level.NOTE), (8 * GIB, Level.FINE)]
)
def test_little_shared_memory(free: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.shutil, "disk_usage", lambda _: Usage(free, 0, free))
    assert found()["shared memory"].level is level


def test_no_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory, "SharedMemory", refuse)
    assert found()["shared memory"].level is Level.WARNING
    assert "--shm-size" in str(found()["shared memory"].advice)


@pytest.mark.parametrize(
    ("limits", "level"),
    [
        ((128, 4096), Level.WARNING),
        ((512, 512), Level.NOTE),
        ((4096, 4096), Level.FINE),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), Level.FINE),
    ],
)
def test_few_open_files(limits: tuple[int, int], level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: limits)
    assert found()["open files"].level is level
