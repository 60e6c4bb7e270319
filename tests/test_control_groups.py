"""Limits of containers and batch systems, in both versions of Linux's control groups."""

from pathlib import Path

import pytest

from terrazzo import control_groups
from terrazzo.control_groups import memory_groups, processor_quota


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(control_groups, "_ROOT", tmp_path)
    monkeypatch.setattr(control_groups, "_OWN", tmp_path / "own")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_group_above_this_process_counts(root: Path) -> None:
    write(root / "own", "4:memory:/batch/job 7\n0::/slice/unit\n")
    limits = [group.limit.relative_to(root).as_posix() for group in memory_groups()]
    assert limits == [
        "memory.max", "slice/memory.max", "slice/unit/memory.max",
        "memory/memory.limit_in_bytes", "memory/batch/memory.limit_in_bytes",
        "memory/batch/job 7/memory.limit_in_bytes",
    ]  # fmt: skip


@pytest.mark.parametrize("own", [None, "", "nonsense\n", "0::/../outside\n"])
def test_without_a_group_of_its_own_the_root_counts(own: str | None, root: Path) -> None:
    if own is not None:
        write(root / "own", own)
    assert [group.limit.relative_to(root).as_posix() for group in memory_groups()] == [
        "memory.max", "memory/memory.limit_in_bytes",
    ]  # fmt: skip


def test_the_least_quota_counts(root: Path) -> None:
    write(root / "own", "0::/a/b\n")
    assert processor_quota() is None
    write(root / "cpu.max", "max 100000\n")
    assert processor_quota() is None
    write(root / "a" / "cpu.max", "250000 100000\n")
    write(root / "a" / "b" / "cpu.max", "400000 100000\n")
    assert processor_quota() == 2.5


@pytest.mark.parametrize(("quota", "processors"), [("-1", None), ("50000", 0.5), ("", None)])
def test_the_quota_of_version_1(quota: str, processors: float | None, root: Path) -> None:
    write(root / "own", "2:cpu,cpuacct:/a\n")
    write(root / "cpu" / "a" / "cpu.cfs_quota_us", quota)
    write(root / "cpu" / "a" / "cpu.cfs_period_us", "100000\n")
    assert processor_quota() == processors


def test_a_broken_file_is_no_limit(root: Path) -> None:
    write(root / "cpu.max", "1 0\n")
    assert processor_quota() is None
