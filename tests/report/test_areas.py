"""The page and the section of estimated areas: figures, what limits them, and damaged files."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from terrazzo.report.areas import AREAS_PATH, areas_part, areas_section, write_areas_page
from terrazzo.report.page import write_report


def amounts(m2: float | None) -> dict[str, float | None]:
    return {unit: None if m2 is None else m2 * factor for unit, factor in (("m2", 1), ("ha", 1e-4), ("km2", 1e-6))}


def row(name: str, mapped: float, adjusted: float, margin: float | None) -> dict[str, Any]:
    figure = {"value": 0.9, "standard_error": 0.01, "margin": 0.02, "low": 0.88, "high": 0.92}
    ends = (None, None) if margin is None else (adjusted - margin, adjusted + margin)
    return {
        "name": name, "value": 1, "colour": None, "points": 60, "unfilled": 0, "found": 58,
        "mapped": amounts(mapped), "adjusted": amounts(adjusted),
        "standard_error": amounts(None if margin is None else margin / 1.96), "margin": amounts(margin),
        "low": amounts(ends[0]), "high": amounts(ends[1]), "user": figure, "producer": dict(figure),
    }  # fmt: skip


def summary(*rows: dict[str, Any]) -> dict[str, Any]:
    count = len(rows)
    return {
        "source": "area/p.gpkg", "basis": "sample", "caveat": None, "unit": "m2", "level": 0.95, "points": 60 * count,
        "unfilled": 2, "total": amounts(sum(one["mapped"]["m2"] for one in rows)),
        "overall": {"value": 0.9465, "margin": 0.0185, "standard_error": 0.01, "low": 0.93, "high": 0.97},
        "classes": list(rows), "shares": [[1 / count**2] * count] * count, "counts": [[3] * count] * count,
        "notes": ["2 points have no reference class."], "folder": "area", "seconds": 1.0, "report": "r.html",
    }  # fmt: skip


PUBLISHED = summary(
    row("deforestation", 1.8e8, 211_577_622, 61_575_212), row("stable <forest>", 2.88e9, 2_857_699_301, 155_095_513)
)


def test_figures_and_intervals_stand_in_the_table() -> None:
    html = areas_section(PUBLISHED)
    assert "2 858 ± 155" in html
    assert "212 ± 62" in html
    assert "150 to 273" in html
    assert "stable &lt;forest&gt;" in html
    assert "2 points have no reference class." in html


@pytest.mark.parametrize(("largest", "sign"), [(4_000.0, "m²"), (5e6, "ha"), (5e12, "km²")])
def test_the_unit_suits_the_largest_class(largest: float, sign: str) -> None:
    assert f"mapped, {sign}" in areas_section(summary(row("a", largest, largest, 1.0), row("b", 1.0, 1.0, 1.0)))


def test_pixels_where_nothing_else_is_known() -> None:
    content = summary(row("a", 10.0, 12.0, 3.0))
    content["unit"] = "pixels"
    for part in (
        content["total"],
        *(content["classes"][0][name] for name in ("mapped", "adjusted", "margin", "low", "high")),
    ):
        value = part["m2"]
        part.clear()
        part["pixels"] = value
    assert "12.0 ± 3.0" in areas_section(content)
    assert "mapped, pixels" in areas_section(content)


def test_what_has_no_interval_says_so() -> None:
    html = areas_section(summary(row("a", 5e6, 4e6, None), row("b", 5e6, 0.0, 0.0)))
    assert "<td>–</td>" in html
    assert "nan" not in html.lower()
    assert len(re.findall("<rect", html)) == 4


def test_bars_stay_inside_their_drawing() -> None:
    html = areas_section(summary(row("a", 1.0, 9e6, 9e6), row("b", 5e6, 1e-9, 5.0)))
    places = [float(found) for found in re.findall(r' x[12]?="([-\d.]+)"', html)]
    assert min(places) >= 0
    assert max(places) <= 380
    assert all(float(found) >= 0 for found in re.findall(r'<rect[^>]* width="([-\d.]+)"', html))


@pytest.mark.parametrize("count", [1, 2, 8, 9, 20])
def test_any_number_of_classes_has_a_page(count: int, tmp_path: Path) -> None:
    names = [f"a very long name of class number {k}, with mixed and broad-leaved parts" for k in range(count)]
    content = summary(*(row(name, 1e6 * (k + 1), 1e6 * (k + 2), 2e5) for k, name in enumerate(names)))
    write_areas_page(tmp_path / "r.html", content)
    html = (tmp_path / "r.html").read_text()
    for name in names:
        # Areas, accuracies, and both sides of the error matrix.
        assert len(re.findall(rf">{re.escape(name)}<", html)) == 4
    assert ("<small>3</small>" in html) == (count <= 8)
    ids = set(re.findall(r'id="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids
    assert "0.946 ± 0.018" in html or "0.947 ± 0.018" in html


def test_the_caveat_of_a_split_comes_first() -> None:
    content = {**PUBLISHED, "basis": "split", "caveat": "The split test is no probability sample."}
    html = areas_section(content)
    assert html.index("no probability sample") < html.index("no reference class")


def test_axis_labels_do_not_meet() -> None:
    for largest in (3.0, 47.0, 99_999.0, 7.3e8, 4.4e13):
        html = areas_section(summary(row("a", largest, largest, largest / 9)))
        axis = html[html.rindex("<svg") :]
        labels = re.findall(r'<text x="([\d.]+)" y="12"[^>]*>([^<]+)<', axis)
        assert len(labels) >= 2
        # Digits of this size are about seven units wide.
        ends = [float(x) + 3.5 * len(text) for x, text in labels]
        begins = [float(x) - 3.5 * len(text) for x, text in labels[1:]]
        assert all(end < begin for end, begin in zip(ends[:-1], begins, strict=True)), labels


def test_a_runs_page_has_its_areas(make_run: Any) -> None:
    run = make_run()
    assert "No areas have been estimated" in areas_part(run)
    path = run / AREAS_PATH
    path.parent.mkdir()
    path.write_text(json.dumps(PUBLISHED))
    assert "212 ± 62" in write_report(run).read_text()


def test_damaged_areas_stop_no_page(tmp_path: Path) -> None:
    path = tmp_path / AREAS_PATH
    path.parent.mkdir()
    broken = copy.deepcopy(PUBLISHED)
    del broken["classes"][0]["margin"]
    for content in ("{", "[]", "{}", json.dumps(broken)):
        path.write_text(content)
        assert "is damaged" in areas_part(tmp_path)
