"""The page of a sweep: whole and at home, whatever the sweep came to."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from terrazzo.errors import StorageError
from terrazzo.report.sweep import figure_name, sweep_facts
from terrazzo.report.sweep_figures import Scale, scale_of
from terrazzo.report.sweep_page import render_sweep, write_sweep_page
from terrazzo.storage import write_json


def spread(mean: float, runs: int) -> dict:
    several = runs > 1
    return {
        "mean": mean,
        "deviation": 0.01 if several else None,
        "lowest": mean - 0.01 * several,
        "highest": mean + 0.01 * several,
        "low": mean - 0.02 if several else None,
        "high": mean + 0.02 if several else None,
        "runs": runs,
        "units": runs,
        "values": [{"run": f"seed={seed}", "value": mean} for seed in range(runs)],
    }


def sweep(settings: int = 3, runs: int = 2, name: str = "model") -> dict:
    """Return what `sweep.json` may hold."""
    labels = [f"{name}=m{number} optimizer.lr={10.0 ** -(number % 5)}" for number in range(settings)]
    figures = {"val": {"miou": spread, "iou open water": spread}}
    return {
        "name": "a sweep",
        "seconds": 12.0,
        "states": {"finished": settings * runs, "failed": 1},
        "splits": ["val"],
        "figure": "miou",
        "ranking": {"split": "val", "figure": "miou", "more_is_better": True},
        "ranked": labels[::-1],
        "settings": [
            {
                "label": label,
                "varied": {name: f"m{number}", "optimizer.lr": 10.0 ** -(number % 5)},
                "runs": runs,
                "finished": runs,
                "figures": {
                    split: {key: make(0.5 + 0.01 * number, runs) for key, make in found.items()}
                    for split, found in figures.items()
                },
                "seconds": {"mean": 60.0},
            }
            for number, label in enumerate(labels)
        ],
        "differences": [
            {
                "first": labels[0], "second": labels[1], "split": "val", "figure": "miou", "refused": None,
                "left_out": ["x: seed=9"], "mean": -0.01, "low": -0.02, "high": 0.0, "bootstrap_low": -0.015,
                "bootstrap_high": -0.005, "p_value": 0.01, "p_holm": 0.2, "wins": 0, "losses": 2, "pairs": 2,
                "units": 2,
                "by_images": {"value": -0.01, "low": -0.02, "high": 0.0, "p_value": 0.03, "images": 7},
            },
            {"first": labels[0], "second": labels[-1], "split": "val", "figure": "miou", "refused": "no shared run"},
        ] if settings > 1 else [],
        "folds": [
            {
                "setting": labels[0], "split": "val", "run": "", "folds": [0, 1], "missing": [2], "refused": None,
                "miou": 0.61, "accuracy": 0.9, "mean_miou": 0.59, "images": 4, "pixels": 100, "apart": True,
            },
            {"setting": labels[0], "split": "test", "refused": "2 of 2 images were judged by more than one"},
        ],
        "importance": [{"key": "optimizer.lr", "share": 0.6, "chance": 0.2}],
        "trials": [
            {
                "number": 0, "name": "größe#1?", "state": "finished", "reason": "", "setting": 0, "run": "seed=1",
                "seconds": 60.0, "epochs": 2, "monitor": "val_miou", "best": 0.5, "curve": [[1, 0.4], [2, 0.5]],
                "figures": {"val": {"miou": 0.5}}, "report": "trials/größe#1?/report.html",
                "problems": ["damaged.json"],
            },
            {"number": 1, "name": "other", "state": "failed", "reason": "out <b>of</b> memory", "setting": 0},
        ],
    }  # fmt: skip


class Reader(HTMLParser):
    """Collects what a page holds."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "br", "col"}:
            self.open.append(tag)
        self.addresses += [value or "" for key, value in attrs if key in {"href", "src"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in {"href", "src"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def read(content: dict) -> tuple[str, list[str]]:
    reader = Reader()
    reader.feed(render_sweep(sweep_facts(content)))
    assert reader.open == []
    return " ".join(reader.words), reader.addresses


def test_a_sweep_is_told_whole() -> None:
    words, addresses = read(sweep())
    for part in ("Settings", "Differences", "Folds", "Training", "Values", "Trials"):
        assert part in words
    assert "0.520 ± 0.010" in words
    assert "0.500 to 0.540" in words
    assert "Best by mIoU of val: model=m2" in words
    assert "are not compared: no shared run." in words
    assert "for want of a partner: x: seed=9." in words
    assert "2 of 3 (without 2)" in words
    assert "Not pooled: 2 of 2 images" in words
    assert "out <b>of</b> memory" in words
    assert "damaged.json" in words
    assert "trials/gr%C3%B6%C3%9Fe%231%3F/report.html" in addresses


def test_p_values_are_stressed_only_once_corrected() -> None:
    page = render_sweep(sweep_facts(sweep()))
    assert "<b>0.0100</b>" not in page
    assert "<b>0.0300</b>" in page


@pytest.mark.parametrize(("settings", "runs"), [(1, 1), (1, 5), (40, 1), (40, 3)])
def test_of_any_size(settings: int, runs: int) -> None:
    words, addresses = read(sweep(settings, runs))
    assert all(re.match(r"#|trials/", address) for address in addresses)
    assert ("20 further settings" in words) == (settings == 40)
    assert ("Each setting ran once" in words) == (runs == 1)
    assert ("Search" in words.split()) == (settings == 40)
    assert ("What explains the differences" in words) == (settings == 40)


def test_harmful_names_are_only_text() -> None:
    page = render_sweep(sweep_facts(sweep(name="<script>alert(1)</script>")))
    assert "<script" not in page


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"settings": 3, "trials": "x", "ranking": []},
        {"settings": [{"figures": {"val": {"miou": {"mean": "?"}}}}], "trials": [{"curve": [[1], "ab", [1, None]]}]},
        {"trials": [{}], "importance": [{}], "folds": [{}], "states": {"finished": "many"}},
    ],
)
def test_content_of_another_shape_stops_no_page(content: dict) -> None:
    words, _ = read(content)
    assert "Settings" in words


def test_the_page_is_written_from_the_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="sweep"):
        write_sweep_page(tmp_path)
    write_json(tmp_path / "sweep.json", sweep())
    assert write_sweep_page(tmp_path) == tmp_path / "report.html"
    assert "a sweep" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_axes_have_room_for_every_run() -> None:
    facts = sweep_facts(sweep(2, 3))
    spreads = [one.figures["val"]["miou"] for one in facts.settings]
    scale = scale_of(spreads)
    assert scale.low < min(one.lowest for one in spreads)
    assert scale.high > max(one.highest for one in spreads)
    assert Scale(0.0, 2.0).across(3.0) == 1.0
    wild = sweep(1, 2)
    wild["settings"][0]["figures"]["val"]["miou"] |= {"low": -9.0, "high": 9.0}
    wide = scale_of([sweep_facts(wild).settings[0].figures["val"]["miou"]])
    # An interval of two runs may be a hundred times as wide as they lie apart.
    assert wide.high - wide.low < 0.1


def test_names_of_figures() -> None:
    assert figure_name("boundary_iou") == "boundary IoU"
    assert figure_name("mean_accuracy") == "mean accuracy"
