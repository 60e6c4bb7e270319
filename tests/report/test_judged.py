"""What whole images were judged by, as it is read and as it is shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from terrazzo.report.contents import Evaluated, RunContents
from terrazzo.report.facts import split_facts
from terrazzo.report.judged import JudgedFacts, boundaries, images, judged_facts, notes, regions
from terrazzo.report.scores import scores_section

Parse = Callable[[str], Any]

ENDS = {"value": 0.5, "low": 0.4, "high": 0.625}
CONTENT = {
    "on": "images",
    "miou": 0.5,
    "accuracy": 0.75,
    "classes": [{"name": "sky ä", "iou": 0.5}, {"name": "road", "iou": None}],
    "intervals": {
        "miou": ENDS,
        "accuracy": {"value": 0.75, "low": None, "high": None},
        "classes": [{"name": "sky ä", "iou": ENDS, "f1": ENDS}, {"name": "road", "iou": None}],
    },
    "boundary": {
        "tolerances": ["0", "0.75%"],
        "f1": [0.125, 0.25],
        "boundary_iou": 0.375,
        "classes": [{"name": "sky ä", "f1": [0.1, None], "boundary_iou": 0.2}],
        "intervals": {"f1": [[0.1, 0.2], None], "boundary_iou": [0.3, 0.4]},
    },
    "reliability": {"ece": 0.0625},
    "without_calibration": {"ece": 0.1875, "unknown": 1.0},
    "regions": [{"region": "Lyon", "images": 2, "pixels": 1200, "miou": 0.5, "accuracy": 0.75, "ece": None}],
    "warnings": ["a <warning>"],
}
TABLE = "image,region,pixels,miou,accuracy\ngood,,10,0.9,0.95\nbad <b>,Lyon,10,0.1,0.2\nnothing,,0,,\n"


def test_what_is_written_is_read() -> None:
    facts = judged_facts(CONTENT, TABLE)
    assert facts.intervals == {"miou": (0.4, 0.625)}
    assert facts.class_intervals == {"sky ä": (0.4, 0.625)}
    assert facts.boundary_f1 == (0.125, 0.25)
    assert facts.boundary_f1_intervals == ((0.1, 0.2), None)
    assert facts.boundary_iou_interval == (0.3, 0.4)
    assert facts.class_boundaries == (("sky ä", (0.1, None), 0.2),)
    assert [row["image"] for row in facts.images] == ["good", "bad <b>", "nothing"]


def test_the_page_shows_intervals_boundaries_regions_and_images(parse: Parse) -> None:
    evaluated = Evaluated(split_facts("test", CONTENT), (), judged_facts(CONTENT, TABLE))
    page = parse(scores_section(RunContents(folder=Path("run"), evaluated=(evaluated,))))
    for told in (
        "mIoU 0.500 (0.400 to 0.625)",
        "0.400 to 0.625",
        "F1 0.75 %",
        "0.300–0.400",
        "Lyon",
        "ECE 0.188 instead of 0.062",
        "a <warning>",
        "All 2 images, by accuracy",
        "bad <b>",
    ):
        assert told in page.text, told
    assert "unknown" not in page.text
    assert page.text.index("bad <b>") < page.text.index("good")


def test_patches_and_damaged_parts_show_nothing() -> None:
    for content in ({}, {"boundary": [], "intervals": "x", "regions": {"a": 1}, "warnings": 3, "reliability": None}):
        facts = judged_facts(content, "\x00")
        assert boundaries(facts, "test") == regions(facts, "test") == images(facts, "test") == notes(facts) == []
    assert judged_facts({"boundary": {"tolerances": ["1"], "f1": [0.1, 0.2]}}, "").boundary_f1 == (None,)
    assert boundaries(JudgedFacts(), "test") == []
