"""Findings, footprints and samples on the page, whatever the files hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from terrazzo.data.pictures.picture import write_png
from terrazzo.report.contents import RunContents, read_run
from terrazzo.report.data_page import findings_part, map_part, samples_part
from terrazzo.report.html import join
from terrazzo.report.page import render
from terrazzo.storage import write_json

Parse = Callable[[str], Any]


def finding(severity: str = "error", **other: object) -> dict[str, object]:
    told = {"file": "a.png", "check": "unreadable", "what": "is cut off", "to_do": "copy it again"}
    return {**told, "severity": severity, **other}


def run(**content: object) -> RunContents:
    return RunContents(folder=Path("run"), verified=content)


def test_findings_are_counted_and_listed(parse: Parse) -> None:
    many = [finding(file=f"<b>{number}</b>.png") for number in range(9)]
    page = parse(join(findings_part(run(findings=[*many, finding("hint", check="shift")], format=1))))
    assert "9 errors, 1 hint." in page.text
    assert "<b>0</b>.png" in page.text
    assert "4 more of this kind" in page.text
    assert len(page.all("tr")) == 1 + 5 + 1 + 1
    assert [span["class"] for span in page.all("span")] == ["severity error"] * 6 + ["severity hint"]


def test_nothing_found_and_nothing_looked_at(parse: Parse) -> None:
    assert "nothing is wrong" in parse(join(findings_part(run(format=1, findings=[])))).text
    assert "was not verified" in parse(join(findings_part(run()))).text


@pytest.mark.parametrize("findings", [None, 3, "x", [1, None], {"a": 1}])
def test_other_shapes_stop_no_page(parse: Parse, findings: object) -> None:
    assert parse(join(findings_part(run(format=1, findings=findings)))).text


def test_the_map_shows_splits_and_their_distances(parse: Parse) -> None:
    square = [[0, 0], [100, 0], [100, 100], [0, 100]]
    footprints = [
        {"image": "a", "split": "train", "outline": square},
        {"image": "b", "split": "test", "outline": [[x + 300, y] for x, y in square]},
        {"image": "damaged", "split": "val", "outline": [[0, None], [1, 1], [2, 2]]},
        {"image": "line", "split": "val", "outline": [[0, 1], [1, 1]]},
    ]
    distances = [{"splits": ["train", "test"], "metres": 200.0}, {"splits": ["train"], "metres": 1}, {"metres": "x"}]
    page = parse(join(map_part(run(footprints=footprints, distances=distances))))
    assert len(page.all("path", class_="footprint")) == 2
    assert "train to test 200 m." in page.text
    assert map_part(run()) == []


def test_samples_come_from_the_run_folder_alone(tmp_path: Path, parse: Parse) -> None:
    for name in ("data/class-00-0.png", "outside.png"):
        write_png(tmp_path / name, np.full((4, 9, 3), 80, dtype=np.uint8))
    write_json(tmp_path / "data.json", {"classes": [{"name": "snow"}]})
    samples = [
        {"class": "snow", "file": "class-00-0.png", "caption": "scene, 80% <snow>"},
        {"class": "snow", "file": "../outside.png", "caption": "outside"},
    ]
    write_json(tmp_path / "data" / "gallery.json", {"samples": samples})
    contents = read_run(tmp_path)
    page = parse(join(samples_part(contents)))
    assert [image["alt"] for image in page.all("img")] == ["scene, 80% <snow>"]
    assert "What classes look like" in render(contents)
    assert samples_part(run()) == []
