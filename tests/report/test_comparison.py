"""Comparisons that were kept in a run, on its page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from terrazzo.metrics.intervals import paired_comparison
from terrazzo.report.comparison import comparisons_section, kept_comparisons
from terrazzo.report.contents import read_run
from terrazzo.report.page import render

Parse = Callable[[str], Any]


def keep(run: Path, name: str = "other") -> Path:
    """Keep a comparison as `terrazzo compare` does."""
    better = np.array([[[9, 1], [0, 10]]] * 4, dtype=np.int64)
    worse = np.array([[[8, 2], [3, 7]]] * 4, dtype=np.int64)
    found = paired_comparison(better, worse, ["wood", "größe"]).as_dict()
    file = run / "evaluate" / "compare" / name / "compare.json"
    file.parent.mkdir(parents=True)
    content = {"first": "runs/a", "second": "runs/b", "split": "test", "images": 4, "comparison": found}
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def test_a_run_without_comparisons_has_no_such_part(make_run: Callable[..., Path], parse: Parse) -> None:
    run = make_run()
    assert comparisons_section(run) == ""
    assert "Comparisons" not in parse(render(read_run(run))).text


def test_each_figure_has_its_difference_and_interval(tmp_path: Path, parse: Parse) -> None:
    keep(tmp_path)
    page = parse(comparisons_section(tmp_path))
    told = " ".join(page.text.split())
    assert "a less b, test" in told
    assert "4 images" in told
    assert "accuracy 0.950 0.750 +0.200 +0.200 to +0.200" in told
    assert "IoU größe" in told
    assert page.all("div", role="region")


def test_the_page_of_the_run_leads_there(make_run: Callable[..., Path], parse: Parse) -> None:
    run = make_run()
    keep(run)
    page = parse(render(read_run(run)))
    assert page.all("a", href="#comparisons")
    assert page.all("section", id="comparisons")


def test_a_damaged_file_is_named_and_the_others_are_shown(tmp_path: Path, parse: Parse) -> None:
    keep(tmp_path, "a").write_text('{"comparison": 3}')
    keep(tmp_path, "b")
    assert len(kept_comparisons(tmp_path)) == 2
    told = " ".join(parse(comparisons_section(tmp_path)).text.split())
    assert "compare.json cannot be read" in told
    assert "a less b" in told
