"""The cores that a process may use: those it is bound to, and no more than its quota."""

import pytest

from terrazzo import host_cores
from terrazzo.host_cores import usable_cores


@pytest.mark.parametrize(("quota", "expected"), [(None, 8), (16.0, 8), (8.0, 8), (2.0, 2), (2.1, 3), (0.25, 1)])
def test_a_quota_bounds_the_cores(quota: float | None, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(8)))
    monkeypatch.setattr(host_cores, "processor_quota", lambda: quota)
    assert usable_cores() == expected


def test_where_processes_are_not_bound_the_machine_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.setattr(host_cores, "processor_quota", lambda: None)
    assert usable_cores() == 6
