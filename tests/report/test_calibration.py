"""What calibrating writes is what the page shows."""

import json
from pathlib import Path

from terrazzo.phases.calibration_outputs import Q_STATISTICS_FILE, RELIABILITY_FILE, SWEEP_FILE, write_table
from terrazzo.phases.summary import CalibrateSummary
from terrazzo.report.calibration import calibration_section
from terrazzo.report.calibration_facts import calibrations

BINS = [{"pixels": 10, "stated": 0.55, "found": 0.4}, {"pixels": 0, "stated": None, "found": None}]


def write(folder: Path) -> None:
    CalibrateSummary(
        folder=folder / "calibrate",
        seconds=1.0,
        bundle=Path("runs/x/bundle-calibrated.safetensors"),
        split="calibrate",
        parts={"fit": 4, "halting": 6},
        calibration={
            "temperature": {"name": "scalar", "temperature": 1.25},
            "window_temperature": {"name": "step", "temperatures": [1.5, 0.75]},
            "decision": {"threshold": 0.4, "figure": "iou", "value": 0.8},
        },
        promises=("with 90 % confidence <all> is well",),
        halting={"tau": 0.5, "feasible": True, "mean_steps": 1.5, "most_steps": 3, "saved": 0.25, "miou_drop": 0.01},
        report_split="test",
        before={"ece": 0.2, "nll": 0.5, "mean_steps": 3.0},
        after={"ece": 0.05, "nll": None, "mean_steps": 1.5},
        warnings=("few images",),
    ).save()
    place = folder / "calibrate"
    sweep = [{"tau": tau, "miou": 0.5, "mean_steps": 3 * tau, "saved": 1 - tau, "risk": (1 - tau) / 8, "bound": None}
             for tau in (1.0, 0.75, 0.5, 0.25)]  # fmt: skip
    write_table(place / SWEEP_FILE, sweep)
    write_table(place / Q_STATISTICS_FILE, [{"step": 1, "mean": 0.25, "auroc": float("nan")}])
    (place / RELIABILITY_FILE).write_text(json.dumps({"before": {"bins": BINS}, "after": {"bins": BINS}}))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    problems: list[str] = []
    (found,) = calibrations(tmp_path, problems)
    assert problems == []
    assert (found.name, found.bundle) == ("calibrate", "bundle-calibrated.safetensors")
    assert found.kinds == (
        "temperature 1.250",
        "temperatures by step: 1.500, 0.750",
        "decision threshold 0.400 (IoU 0.800 on the images it was fitted on)",
    )
    assert found.bins_before == ((0.55, 0.4, 10.0),)
    assert found.sweep[1] == {
        "tau": 0.75,
        "miou": 0.5,
        "mean_steps": 2.25,
        "saved": 0.25,
        "risk": 0.03125,
        "bound": None,
    }
    assert found.steps == ({"step": 1.0, "mean": 0.25, "auroc": None},)


def test_the_section_shows_promise_figures_and_the_chosen_threshold(tmp_path: Path) -> None:
    write(tmp_path)
    html = calibration_section(calibrations(tmp_path, []))
    assert "90 % confidence &lt;all&gt; is well" in html
    assert "few images" in html
    assert "-0.1500" in html  # the change of the ECE
    assert "0.5 (chosen)" in html
    assert "1.50 of 3 steps, 25 % fewer multiplications" in html
    assert "mIoU is -0.0100" in html
    assert html.count("<svg") >= 4


def test_without_any_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    assert "terrazzo calibrate" in calibration_section(calibrations(tmp_path, []))


def test_damaged_files_are_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "calibrate" / RELIABILITY_FILE).write_text("{")
    (tmp_path / "calibrate" / SWEEP_FILE).write_bytes(b"\xff\xfe")
    odd = tmp_path / "odd" / "summary.json"
    odd.parent.mkdir()
    odd.write_text(json.dumps({"promises": 3, "parts": [], "before": {"ece": "x"}, "calibration": {"decision": 1}}))
    problems: list[str] = []
    found = calibrations(tmp_path, problems)
    assert [one.name for one in found] == ["calibrate", "odd"]
    assert len(problems) == 2
    assert "is well" in calibration_section(found)
