"""Memory of the machine and of this process, limits of containers included."""

from pathlib import Path

import numpy as np
import pytest

from terrazzo import host_memory
from terrazzo.control_groups import MemoryGroup
from terrazzo.host_memory import free_memory, limited_memory, resident_memory


def test_what_is_held_grows_and_is_given_back() -> None:
    before = resident_memory()
    held = np.ones(64 * 2**20, dtype=np.uint8)
    during = resident_memory()
    assert during - before >= 0.9 * held.nbytes
    del held
    assert resident_memory() - before <= during - before - 0.9 * 64 * 2**20


def test_free_memory_is_a_part_of_the_machine() -> None:
    total = host_memory.os.sysconf("SC_PHYS_PAGES") * host_memory.os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory() <= total


def test_the_least_limit_below_the_machine_counts(group: MemoryGroup) -> None:
    total, limit = limited_memory()
    assert limit is None
    group.limit.write_text(f"{total * 2}\n")
    assert limited_memory() == (total, None)
    group.limit.write_text("2000000\n")
    assert limited_memory() == (total, 2_000_000)


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryGroup:
    files = MemoryGroup(tmp_path / "max", tmp_path / "current", tmp_path / "stat")
    monkeypatch.setattr(host_memory, "memory_groups", lambda: (files,))
    return files


@pytest.mark.parametrize(
    ("name", "cached"), [("inactive_file", 100_000), ("total_inactive_file", 100_000), ("anon", 0)]
)
def test_a_container_has_what_its_limit_leaves(name: str, cached: int, group: MemoryGroup) -> None:
    limit, used, statistics = group
    limit.write_text("2000000\n")
    used.write_text("1500000\n")
    statistics.write_text(f"file 7\n{name} 100000\n")
    assert free_memory() == 500_000 + cached
    used.write_text("3000000\n")
    assert free_memory() == 0


@pytest.mark.parametrize("content", ["max\n", "", None])
def test_without_a_limit_the_machine_counts(content: str | None, group: MemoryGroup) -> None:
    limit, used, statistics = group
    used.write_text("0")
    statistics.write_text("")
    if content is not None:
        limit.write_text(content)
    assert free_memory() > 10_000_000


def test_a_system_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_memory, "memory_groups", lambda: ())
    monkeypatch.setattr(host_memory, "_MACHINE", tmp_path / "missing")
    monkeypatch.setattr(host_memory, "_PROCESS", tmp_path / "missing")
    assert free_memory() > 0
    assert resident_memory() > 2**20
