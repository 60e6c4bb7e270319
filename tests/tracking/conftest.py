"""A service to deliver to, which can be away, refuse, and lose what was not closed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from terrazzo.tracking.entry import Entry
from terrazzo.tracking.tracker import RefusedEntryError, Track, TrackedRun, Tracker


class Service:
    """What the other side has, and how it behaves."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.identities: list[str] = []
        self.ends: list[str] = []
        self.away = 0
        self.refuses = ""
        self.keeps_at_once = True
        self.stuck: Any = None


class _Track(Track):
    def __init__(self, service: Service) -> None:
        self._service = service
        self._pending: list[Entry] = []

    def secure(self) -> bool:
        return self._service.keeps_at_once

    def write(self, entry: Entry) -> None:
        if self._service.stuck is not None:
            self._service.stuck.wait()
        if self._service.away:
            self._service.away -= 1
            raise ConnectionError("no route to s3cr3t-host")
        if entry.kind == self._service.refuses:
            raise RefusedEntryError("too long")
        (self._service.entries if self._service.keeps_at_once else self._pending).append(entry)

    def close(self, status: str) -> None:
        self._service.entries += self._pending
        self._service.ends.append(status)


class Remote(Tracker):
    """A remote tracker of tests."""

    name: Literal["remote"] = "remote"
    project: str = "p"
    service: ClassVar[Service]

    def open(self, run: TrackedRun) -> Track:
        self.service.identities.append(run.identity)
        return _Track(self.service)


@pytest.fixture
def service() -> Service:
    Remote.service = Service()
    return Remote.service


@pytest.fixture
def remote(service: Service) -> Callable[..., Remote]:
    """Make the tracker."""
    del service
    return Remote


@pytest.fixture
def tracked(tmp_path: Path) -> TrackedRun:
    config = {"seed": 3, "train": {"epochs": 2}, "data": {"folder": "${oc.env:ROOT}"}}
    return TrackedRun("fields", tmp_path / "run Äcker", config)
