"""What the tests of the command line share: verbs that only note how they were called."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import terrazzo.config
from terrazzo.cli.application import application
from terrazzo.config import RunConfig
from terrazzo.progress import Progress


@dataclass
class Done:
    """A summary."""

    content: dict[str, Any] = field(default_factory=lambda: {"folder": "runs/first", "seconds": 61.0, "miou": 0.5})

    def as_dict(self) -> dict[str, Any]:
        return self.content


@dataclass
class Verbs:
    """Calls of the public verbs, and what they shall do."""

    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    error: BaseException | None = None
    summary: Done = field(default_factory=Done)

    def verb(self, name: str) -> Callable[..., Done]:
        def call(*arguments: Any, **settings: Any) -> Done:
            listener = settings.pop("listener")
            self.calls.append((name, arguments, settings))
            with Progress(f"{name} something", listener=listener, total=2, unit="patches") as progress:
                progress.advance()
                if self.error is not None:
                    raise self.error
                progress.advance()
            return self.summary

        return call


def config_of(*arguments: object) -> RunConfig:
    """Return an empty configuration that says what it was asked for."""
    return RunConfig.model_construct(name=repr([str(argument) for argument in arguments]))


@pytest.fixture
def verbs(monkeypatch: pytest.MonkeyPatch) -> Verbs:
    """Replace the public verbs and the loading of configurations."""
    found = Verbs()
    for name in ("demo", "prepare", "train", "evaluate", "predict", "profile", "run"):
        monkeypatch.setattr(f"terrazzo.phases.{name}.{name}", found.verb(name))
    monkeypatch.setitem(vars(terrazzo.config), "load_config", lambda *arguments: config_of(*arguments))
    return found


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run the command line in this process."""
    return lambda *arguments: CliRunner().invoke(application, [str(part) for part in arguments], prog_name="terrazzo")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
