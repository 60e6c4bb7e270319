"""Trackers of a training that was killed and taken up again have what those of an undisturbed one have."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCRIPT = Path(__file__).parent / "killed_runs.py"
KILLED = -signal.SIGKILL
TIMED = {"time", "seconds"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs: `whole`, and `killed` before a first checkpoint, between checkpoints, and in another epoch."""
    folder = tmp_path_factory.mktemp("killed")
    starts = [["whole", 0], ["killed", 2], ["killed", 5], ["killed", 11], ["killed", 0]]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), json.dumps(starts)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout) == [0, KILLED, KILLED, KILLED, 0], done.stderr
    return folder


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMED}
    return value


def read(path: Path) -> list[Any]:
    return [without_times(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def test_json_lines_are_those_of_an_undisturbed_run(folder: Path) -> None:
    whole = read(folder / "whole" / "track.jsonl")
    assert read(folder / "killed" / "track.jsonl") == whole
    assert [line["kind"] for line in whole].count("epoch") == 3


def test_tables_are_those_of_an_undisturbed_run(folder: Path) -> None:
    names = sorted(path.name for path in (folder / "whole" / "csv").iterdir())
    assert names == ["confusion.csv", "epochs.csv", "hyperparameters.csv", "summary.csv", "updates.csv"]
    for name in ("updates.csv", "confusion.csv", "hyperparameters.csv"):
        assert (folder / "killed" / "csv" / name).read_bytes() == (folder / "whole" / "csv" / name).read_bytes()
    rows = [(folder / run / "csv" / "epochs.csv").read_text().splitlines() for run in ("killed", "whole")]
    place = rows[0][0].split(",").index("seconds")
    figures = [[[*row.split(",")[:place], *row.split(",")[place + 1 :]] for row in run] for run in rows]
    assert figures[0] == figures[1]


def test_curves_and_pictures_are_those_of_an_undisturbed_run(folder: Path) -> None:
    def content(run: str) -> dict[str, Any]:
        events = EventAccumulator(str(folder / run / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
        tags = events.Tags()
        curves = {tag: [(point.step, point.value) for point in events.Scalars(tag)] for tag in tags["scalars"]}
        images = {tag: [(one.step, one.encoded_image_string) for one in events.Images(tag)] for tag in tags["images"]}
        return curves | images

    whole = content("whole")
    assert content("killed") == whole
    assert {"epoch/val_miou", "step/loss", "confusion/val", "worst/1"} <= set(whole)


def test_a_service_is_told_everything_once_in_one_run(folder: Path) -> None:
    whole, killed = (read(folder / f"{run}.service") for run in ("whole", "killed"))
    assert len({line["run"] for line in killed}) == 1
    assert [{**line, "run": ""} for line in killed] == [{**line, "run": ""} for line in whole]
    assert [line["number"] for line in killed] == list(range(1, len(killed) + 1))
