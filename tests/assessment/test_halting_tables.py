"""A sweep as rows of plain values."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from terrazzo.assessment.halting_losses import RunOutcome
from terrazzo.assessment.halting_results import HaltingSweep, ImageSweep, joined
from terrazzo.assessment.halting_samples import HaltingSamples
from terrazzo.assessment.halting_tables import exit_rows, image_rows, step_rows, sweep_findings, tau_rows, write_rows
from terrazzo.models.halting import HaltingRule

NAMES = ["field", "forêt"]
GRID = (1.0, 0.5, 0.0)


def run(right: int, *, pixels: int = 100, differing: int = 0, labelled: bool = True) -> RunOutcome:
    counts = np.array([[right // 2, 0], [pixels - right, right - right // 2]])
    return RunOutcome(pixels, differing, counts if labelled else None, float(pixels - right))


def sweep_of(*, labelled: bool = True) -> HaltingSweep:
    images = []
    for name, windows, cost in (("a", 1, 100), ("b", 3, 50)):
        runs = [run(80 - 10 * place, differing=5 * place, labelled=labelled) for place in range(3)]
        exits = np.array([[0, 0, windows], [0, windows, 0], [windows, 0, 0]])
        macs = np.array([cost * 6, cost * 5, cost * 4]) * windows
        images.append(
            ImageSweep(name, runs[0], tuple(runs), tuple(reversed(runs)), exits, macs, macs[::-1], int(macs[0]), 256)
        )
    q = np.array([[0.1, 0.6, 0.9]] * 2 + [[0.7, 0.8, 0.9]] * 2, np.float32)
    gain = np.array([[0.2, 0.1, np.nan]] * 2 + [[0.0, 0.0, np.nan]] * 2, np.float32)
    losses = ("disagreement", "error") if labelled else ("disagreement",)
    return joined(images, [HaltingSamples(q, gain)], ["c"], GRID, losses, HaltingRule(0.5, 1, 3))


def test_a_row_says_what_a_threshold_saves_and_costs() -> None:
    rows = tau_rows(sweep_of(), NAMES, bound=0.15, uppers={"error": [0.02, 0.13, float("nan")]})
    assert list(rows[0]) == [
        "tau", "miou", "mean_steps", "saving", "risk_disagreement", "risk_error", "upper_error",
    ]  # fmt: skip
    assert [row["mean_steps"] for row in rows] == [3, 2, 1]
    assert [row["saving"] for row in rows] == pytest.approx([0, 1 / 6, 1 / 3])
    # At the last threshold the loss of 0.2 is clipped at the bound.
    assert [row["risk_error"] for row in rows] == pytest.approx([0, 0.1, 0.15])
    assert [row["upper_error"] for row in rows] == [0.02, 0.13, None]
    assert rows[0]["miou"] == pytest.approx((40 / 60 + 40 / 60) / 2)


def test_a_row_says_what_a_step_is_worth() -> None:
    first, second, last = step_rows(sweep_of(), NAMES, tau=0.65, kappa=0.05)
    assert (first["step"], first["samples"], first["auroc"], first["share_above_tau"]) == (1, 4, 1.0, 0.5)
    assert second["q_mean"] == pytest.approx(0.7)
    assert last["should_go_on"] is None
    assert last["miou"] == tau_rows(sweep_of(), NAMES)[0]["miou"]
    assert first["disagreement"] == pytest.approx(0.1)
    assert first["saving"] == pytest.approx(1 / 3)


def test_windows_and_images_are_listed() -> None:
    sweep = sweep_of()
    assert exit_rows(sweep)[1] == {"tau": 0.5, "step_1": 0, "step_2": 4, "step_3": 0}
    assert image_rows(sweep, 2)[1] == {
        "image": "b",
        "mean_steps": 1.0,
        "disagreement": 0.1,
        "error": pytest.approx(0.2),
    }


def test_without_labels_nothing_is_made_up(tmp_path: Path) -> None:
    sweep = sweep_of(labelled=False)
    rows = tau_rows(sweep, NAMES)
    assert {row["miou"] for row in rows} == {None}
    assert {row["miou"] for row in step_rows(sweep, NAMES, tau=0.5)} == {None}
    write_rows(tmp_path / "täu.csv", rows)
    with (tmp_path / "täu.csv").open(encoding="utf-8") as file:
        assert [row["miou"] for row in csv.DictReader(file)] == ["", "", ""]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = tau_rows(sweep_of(), NAMES)
    write_rows(tmp_path / "rows.csv", rows)
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        found = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert found == rows
    write_rows(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == "\n"


def test_findings_are_plain_json() -> None:
    found = sweep_findings(
        sweep_of(), NAMES, tau=0.5, loss="error", epsilon=0.1, bound=0.2, uppers=[0.01, 0.1, float("nan")]
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["left_out"] == ["c"]
    assert found["thresholds"][2]["upper_error"] is None
