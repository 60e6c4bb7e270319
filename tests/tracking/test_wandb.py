"""Weights & Biases: what counts after a kill."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from terrazzo.tracking.entry import Entry
from terrazzo.tracking.wandb import FINISHED, _remove_unfinished, _Run


class Live:
    """A run of the library that goes on at its fourth step."""

    starting_step = 4

    def __init__(self, folder: Path) -> None:
        self.dir = str(folder / "files")
        self.told: list[tuple[dict[str, Any], int]] = []
        self.summary: dict[str, Any] = {}
        self.ended: int | None = None
        self.axes: dict[str, str] = {}

    def log(self, values: dict[str, Any], step: int) -> None:
        self.told.append((values, step))

    def define_metric(self, name: str, *, step_metric: str) -> None:
        assert name not in self.axes
        self.axes[name] = step_metric

    def finish(self, exit_code: int) -> None:
        self.ended = exit_code


def test_what_the_server_has_is_not_sent_again(tmp_path: Path) -> None:
    live = Live(tmp_path)
    track = _Run(SimpleNamespace(), live)  # type: ignore[arg-type]
    for number in (2, 3, 4, 5):
        track.write(Entry("update", {"loss": 0.5, "lr": 0.1}, epoch=1, update=10 * number, number=number))
    assert not track.secure()
    assert [(values["update"], step) for values, step in live.told] == [(40, 4), (50, 5)]
    assert live.axes == {"step/loss": "update", "step/lr": "update"}
    track.close("failed")
    assert live.ended == 1
    assert (tmp_path / FINISHED).exists()


def test_folders_of_killed_starts_are_written_again_and_others_stay(tmp_path: Path) -> None:
    names = ["offline-run-1-abc", "offline-run-2-abc", "offline-run-3-xyz", "run-4-abc"]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "offline-run-1-abc" / FINISHED).touch()
    _remove_unfinished(tmp_path, "abc")
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[0], *names[2:]]
