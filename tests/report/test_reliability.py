"""The part of the page on reliability: figures lie where the numbers say, and nothing missing is shown as a number."""

import json
import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from terrazzo.calibration.image_reliability import ImageReliability, reliability_differences, reliability_intervals
from terrazzo.calibration.reliability import Reliability
from terrazzo.report.reliability import reliability_block, reliability_section
from terrazzo.report.reliability_facts import BinFacts, EstimateFacts, reliability_facts
from terrazzo.report.reliability_figures import class_diagram, reliability_diagram, whisker_axis, whiskers

Parse = Callable[[str], Any]
NAMES = ("broad-leaved <forest> & größtenteils bewaldete Flächen mit Lichtungen", "水田", "eau")


def counted(seed: int, temperature: float, classes: int) -> Reliability:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn((classes, 12, 12), generator=generator)
    target = (logits + torch.randn(logits.shape, generator=generator))[: max(classes - 1, 1)].argmax(0)
    return Reliability.of(torch.softmax(logits / temperature, 0), target, target < 0, detail="binned")


def measured(temperature: float, classes: int) -> tuple[dict[str, Any], list[ImageReliability]]:
    images = [counted(seed, temperature, classes) for seed in range(3)]
    summaries = [ImageReliability.of(image) for image in images]
    first = images[0].as_dict()
    region = {
        "name": "Île <b>",
        "images": 1,
        "scores": first,
        "intervals": reliability_intervals(summaries[:1]).as_dict(),
    }
    content = {
        "scores": (images[0] + images[1] + images[2]).as_dict(),
        "boundary": first,
        "intervals": reliability_intervals(summaries, draws=50).as_dict(),
        "regions": [region],
    }
    return content, summaries


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    """Return a file of three classes, the last one absent, before and after."""
    return made(3)


def made(classes: int) -> dict[str, Any]:
    before, one = measured(0.4, classes)
    after, other = measured(1.0, classes)
    found = {
        "images": 3,
        "boundary_width": 5,
        "fitted_on_these": False,
        "classes": [{"name": NAMES[k % 3] + " ?" * (k // 3), "colour": [k, 100, 200]} for k in range(classes)],
        "before": before,
        "after": after,
        "difference": reliability_differences(one, other, draws=50).as_dict(),
    }
    return json.loads(json.dumps(found, allow_nan=False))


class TestBlock:
    def test_figures_with_intervals_and_change(self, content: dict[str, Any], parse: Parse) -> None:
        page = parse(reliability_section([("test", content)]))
        assert [text for element, text in page.texts if element == "h3"] == ["test"]
        cells = [text for element, text in page.texts if element in ("td", "small")]
        before, after = content["before"], content["after"]
        ece = [f"{one['scores']['ece']:.4f}" for one in (before, after)]
        place = cells.index(ece[0])
        low, high = (before["intervals"]["ece"][key] for key in ("low", "high"))
        assert cells[place + 1] == f"{low:.4f} to {high:.4f}"
        assert cells[place + 2] == ece[1]
        change = content["difference"]["ece"]["value"]
        assert cells[place + 4] == f"{change:+.4f}".replace("-", "−")
        assert change == pytest.approx(after["scores"]["ece"] - before["scores"]["ece"])
        assert "3 images" in page.text
        assert "432 labelled pixels" in page.text
        assert f"{before['boundary']['nll']:.4f}" in cells
        assert "at most 5 pixels from another class" in page.text

    def test_what_was_not_measured_has_no_row(self, content: dict[str, Any], parse: Parse) -> None:
        page = parse(reliability_block("test", content))
        heads = [text for element, text in page.texts if element == "th"]
        assert "class-wise ECE" in heads
        assert "ACE" not in heads

    def test_each_class_and_region_has_its_place(self, content: dict[str, Any], parse: Parse) -> None:
        page = parse(reliability_block("test", content))
        heads = [text for element, text in page.texts if element in ("th", "b")]
        for name in NAMES:
            assert heads.count(name) == 2
        assert "Île <b>" in heads
        assert len(page.all("svg", class_="whiskers")) == 2 + 3 + 1
        # The third class has no label, so no error of its own pixels.
        cells = [text for element, text in page.texts if element == "td"]
        assert cells.count("absent") == 2

    def test_one_way_alone(self, content: dict[str, Any], parse: Parse) -> None:
        page = parse(reliability_block("val", content | {"after": None, "difference": None}))
        assert "change" not in page.text
        assert "calibrated" not in page.text
        assert next(text for element, text in page.texts if element == "b").startswith("As measured: ECE 0.")
        assert not any(path.get("stroke-dasharray") for path in page.all("path", class_="curve"))

    def test_measured_where_it_was_fitted_is_a_warning(self, content: dict[str, Any], parse: Parse) -> None:
        assert not parse(reliability_block("a", content)).all("ul", class_="warnings")
        page = parse(reliability_block("a", content | {"fitted_on_these": True}))
        assert page.all("ul", class_="warnings")
        assert "these very images" in page.text

    @pytest.mark.parametrize("classes", [1, 2, 20])
    def test_few_and_many_classes(self, classes: int, parse: Parse) -> None:
        page = parse(reliability_block("test", made(classes)))
        assert len(page.all("figure")) == 2 + classes

    def test_no_split_and_no_scores(self, parse: Parse) -> None:
        assert "No reliability has been measured" in parse(reliability_section([])).text
        assert "holds no scores" in parse(reliability_block("x", {})).text

    @pytest.mark.parametrize(
        "damage",
        [
            {"classes": "abc"},
            {"classes": [{"colour": [300, "a", None]}]},
            {"difference": [1]},
            {"images": "many", "boundary_width": {}},
            {"after": {"scores": {"bins": [{"pixels": 3}, 7, None], "classes": [5, {"bins": 3}]}}},
            {"before": {"scores": {"ece": "x", "pixels": math.inf, "bins": [{"pixels": -1, "stated": 0, "found": 9}]}}},
            {"after": {"scores": {"ece": 0.1}, "intervals": {"ece": {"low": 0.3, "high": 0.2}, "classes": {}}}},
            {"before": {"scores": {"ece": 0.1}, "regions": [{"name": None}, 3, {"images": "x"}]}, "after": None},
        ],
    )
    def test_damaged_files_stop_no_page(self, content: dict[str, Any], damage: dict[str, Any], parse: Parse) -> None:
        page = parse(reliability_block("test", content | damage))
        assert not re.search(r"\b(nan|inf|None)\b", page.text)


class TestDiagram:
    def test_bars_end_where_the_share_lies(self, parse: Parse) -> None:
        bins = (BinFacts(30, 0.5, 0.25), BinFacts(10, 0.75, 1.0))
        page = parse(reliability_diagram("Before", bins))
        blue = page.all("rect", class_="box")
        (missing,), (excess,) = page.all("rect", class_="missing-bar"), page.all("rect", class_="excess-bar")
        scale = float(blue[0]["height"]) / 0.25
        assert float(missing["height"]) == pytest.approx(0.25 * scale, abs=0.02)
        assert float(blue[1]["height"]) == pytest.approx(0.75 * scale, abs=0.02)
        assert float(excess["height"]) == pytest.approx(0.25 * scale, abs=0.02)
        # What is missing or too much lies on the bar.
        assert float(missing["y"]) + float(missing["height"]) == pytest.approx(float(blue[0]["y"]), abs=0.02)
        counts = [float(one["height"]) for one in page.all("rect", class_="count-bar")]
        assert counts[0] == pytest.approx(3 * counts[1], abs=0.02)
        assert float(blue[0]["x"]) < float(blue[1]["x"])
        assert "75 %" in page.text

    def test_bars_stay_within_their_bins(self, parse: Parse) -> None:
        bins = tuple(BinFacts(1, (place + 0.5) / 15, 0.5) for place in range(15))
        boxes = parse(reliability_diagram("a", bins)).all("rect", class_="box")
        ends = [(float(box["x"]), float(box["x"]) + float(box["width"])) for box in boxes]
        assert all(one[1] <= other[0] for one, other in pairwise(ends))

    def test_bins_that_chance_moves_are_pale(self, parse: Parse) -> None:
        page = parse(reliability_diagram("a", (BinFacts(1, 0.1, 1.0), BinFacts(1e6, 0.9, 0.9))))
        assert len(page.all("g", class_="rare")) == 1

    def test_certain_and_always_wrong(self, parse: Parse) -> None:
        page = parse(reliability_diagram("a", (BinFacts(5, 1.0, 0.0),)))
        (missing,) = page.all("rect", class_="missing-bar")
        assert float(missing["x"]) + float(missing["width"]) < 360
        assert float(missing["height"]) > 200

    def test_nothing_to_show(self, parse: Parse) -> None:
        assert "No values." in parse(reliability_diagram("a", ())).text


class TestClassDiagram:
    def test_points_and_their_line(self, parse: Parse) -> None:
        bins = (BinFacts(60, 0.0, 0.5), BinFacts(40, 1.0, 1.0))
        page = parse(class_diagram("a", (1, 2, 3), "ECE 0.3", [("before", bins, "red"), ("after", bins[1:], "blue")]))
        (first, second) = page.all("path", class_="curve")
        assert first["stroke-dasharray"] == "4 3"
        assert second.get("stroke-dasharray") is None
        dots = page.all("circle")
        assert len(dots) == 3
        assert dots[1]["cx"] == dots[2]["cx"]
        assert float(dots[0]["cy"]) > float(dots[1]["cy"])
        (mark,) = page.all("line", class_="mark")
        # Both ends of the line of perfect calibration are the points that are perfect there.
        assert (mark["x2"], mark["y2"]) == (dots[1]["cx"], dots[1]["cy"])

    def test_rare_bins_are_left_out(self, parse: Parse) -> None:
        bins = (BinFacts(1e6, 0.01, 0.01), BinFacts(3, 0.5, 1.0))
        assert len(parse(class_diagram("a", (1, 2, 3), "", [("x", bins, "red")])).all("circle")) == 1

    def test_not_measured(self, parse: Parse) -> None:
        assert "Not measured." in parse(class_diagram("a", (1, 2, 3), "", [("x", (), "red")])).text


class TestWhiskers:
    def test_the_point_lies_between_its_ends(self, parse: Parse) -> None:
        page = parse(whiskers([(EstimateFacts(0.2, 0.1, 0.4), "red"), (EstimateFacts(0.1), "blue")], 0.5))
        dots = [float(dot["cx"]) for dot in page.all("circle")]
        lines = page.all("line", class_="whisker")
        span = lines[0]
        assert len(lines) == 3
        assert float(span["x1"]) < dots[0] < float(span["x2"])
        # On one scale: a half of the value lies half as far from the left end.
        assert dots[1] == pytest.approx(float(span["x1"]))
        ticks = [float(one["x1"]) for one in page.all("line", class_="grid")]
        labels = [float(one["x"]) for one in parse(whisker_axis(0.5)).all("text")]
        assert np.allclose(sorted(set(ticks)), labels)

    @pytest.mark.parametrize("highest", [0.0, 1e-6, 1.0])
    def test_nothing_known(self, highest: float, parse: Parse) -> None:
        assert not parse(whiskers([(EstimateFacts(), "red")], highest)).all("circle")
        assert parse(whisker_axis(highest)).all("svg")


def test_facts_of_a_file(content: dict[str, Any]) -> None:
    facts = reliability_facts(content)
    assert facts.before is not None
    assert [name for name, _ in facts.classes] == list(NAMES)
    assert facts.before.figures["ece"].value == content["before"]["scores"]["ece"]
    assert sum(one.pixels for one in facts.before.bins) == content["before"]["scores"]["pixels"]
    assert facts.before.classes[2].ece.value is None
    assert facts.before.regions["Île <b>"].ece.low is None
