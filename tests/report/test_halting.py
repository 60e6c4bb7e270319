"""What a page says of halting, from the plain findings of a sweep."""

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from terrazzo.report.halting import halting_section


def findings(*, labelled: bool = True) -> dict[str, Any]:
    thresholds = [
        {
            "tau": tau,
            "miou": 0.7 - 0.02 * place if labelled else None,
            "mean_steps": 4.0 - place,
            "saving": 0.2 * place,
            "risk_error": 0.01 * place,
            "upper_error": 0.01 * place + 0.02 if place < 2 else None,
        }
        for place, tau in enumerate((1.0, 0.9, 0.5, 0.0))
    ]
    steps = [
        {
            "step": step,
            "samples": 12,
            "q_mean": 0.2 * step,
            "q_std": 0.1,
            **{f"q_{share}": min(0.2 * step * factor, 1) for share, factor in (("05", 0.5), ("50", 1), ("95", 1.4))},
            "share_above_tau": 0.1 * step,
            "should_go_on": 0.5 if step < 4 else None,
            "auroc": 0.6 + 0.05 * step if step < 4 else None,
            "miou": 0.5 + 0.05 * step if labelled else None,
            "disagreement": 0.1 * (4 - step),
        }
        for step in range(1, 5)
    ]
    exits = [{"tau": row["tau"], "step_1": 3, "step_2": 0, "step_3": 1, "step_4": 8} for row in thresholds]
    return {
        "tau": 0.9,
        "loss": "error",
        "epsilon": 0.04,
        "bound": 0.2,
        "kappa": 0.005,
        "images": 207,
        "left_out": [],
        "thresholds": thresholds,
        "steps": steps,
        "exits": exits,
    }


def text(markup: str) -> str:
    class Reader(HTMLParser):
        found = ""

        def handle_data(self, data: str) -> None:
            self.found += data + " "

    reader = Reader()
    reader.feed(markup)
    return re.sub(r"\s+", " ", reader.found)


def test_the_chosen_threshold_is_told_with_what_it_saves_and_costs() -> None:
    told = text(halting_section(findings()))
    assert "At tau 0.9 the windows of 207 images take 3.00 steps in the mean and save 20 %" in told
    assert "is 1.00 %, bounded by 3.00 % where 4.00 % is allowed; mIoU is 0.680 instead of 0.700." in told
    assert "0.9 (chosen)" in told
    for title in ("mIoU by steps", "Risk by threshold (error)", "Steps by threshold", "Does it know what is left"):
        assert title in told


def test_an_early_answer_that_is_better_is_told_as_such() -> None:
    changed = findings()
    changed["thresholds"][1]["risk_error"] = -0.005
    assert "is −0.50 %, bounded" in text(halting_section(changed))


def test_collapsed_depth_is_told() -> None:
    changed = findings()
    assert "Depth has collapsed" not in text(halting_section(changed))
    for row in changed["steps"]:
        row["miou"] = 0.7
    assert "Depth has collapsed: after one step mIoU is 0.700, after all 0.700." in text(halting_section(changed))


def test_without_labels_there_is_no_miou() -> None:
    told = text(halting_section(findings(labelled=False)))
    assert "mIoU is" not in told
    assert "mIoU by steps" not in told
    assert "Pixels of another class than after the last step" in told


def test_images_left_out_are_named_and_escaped() -> None:
    changed = findings() | {"left_out": ["a<b", "c", "d", "e", "f"]}
    page = halting_section(changed)
    assert "Left out, with nothing to judge: a&lt;b, c, d and 2 more." in page


@pytest.mark.parametrize("given", [None, {}, {"thresholds": []}])
def test_nothing_swept_is_said(given: dict[str, Any] | None) -> None:
    assert "No halting threshold was calibrated." in halting_section(given)


@pytest.mark.parametrize("lacking", ["steps", "exits", "epsilon", "left_out", "images", "kappa"])
def test_parts_may_be_missing(lacking: str) -> None:
    changed = copy.deepcopy(findings())
    del changed[lacking]
    assert "0.9 (chosen)" in text(halting_section(changed))


def test_a_single_threshold_and_a_single_step_are_drawn() -> None:
    changed = findings()
    for name in ("thresholds", "steps", "exits"):
        changed[name] = changed[name][:1]
    assert "1 (chosen)" in text(halting_section(changed | {"tau": 1.0}))


def test_a_long_grid_is_thinned_out_but_keeps_the_chosen_one() -> None:
    changed = findings()
    row = changed["thresholds"][0]
    changed["thresholds"] = [row | {"tau": round(1 - number / 100, 2)} for number in range(101)]
    changed["tau"] = 0.37
    page = halting_section(changed)
    body = page.partition("What each halting threshold saves and costs")[2].partition("</table>")[0]
    assert body.count("<tr>") <= 17
    assert "0.37 (chosen)" in body
