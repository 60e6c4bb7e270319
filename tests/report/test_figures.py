import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from terrazzo.report.figures import Line, bar, css, line_chart, stack, swatch, tick_labels, ticks

Parse = Callable[[str], Any]
WIDEST_LABEL = 9
"""Characters that fit left of an axis at 11 units: 56 units, 6 of them gap, 5.6 units a digit."""


def line(values: Sequence[float | None], *, name: str = "mIoU", first: int = 1, **further: Any) -> Line:
    return Line(name, [(float(first + index), value) for index, value in enumerate(values)], "red", **further)


def labels(page: Any, anchor: str) -> list[tuple[float, str]]:
    """Return place and text of the labels of one axis."""
    places = page.all("text", **{"text-anchor": anchor})
    texts = [text for element, text in page.texts if element == "text"]
    all_places = page.all("text")
    along = "y" if anchor == "end" else "x"
    return [(float(place[along]), texts[all_places.index(place)]) for place in places if place in all_places]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.98, 0.99), (-3.0, 7.0), (0.0, 1e-14), (1e5, 9e8), (0.1, 0.7)])
def test_ticks_are_round_and_inside(bounds: tuple[float, float]) -> None:
    low, high = bounds
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert low - 1e-9 * abs(high) <= found[0]
    assert found[-1] <= high * (1 + 1e-9)
    step = found[1] - found[0]
    leading = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(leading - round_one) for round_one in (1, 2, 5, 10)) < 1e-6


def test_one_value_is_its_own_tick() -> None:
    assert ticks(3, 3) == [3.0]


@pytest.mark.parametrize(
    "values",
    [[0.0, 0.5, 1.0], [0.9876, 0.9878, 0.988], [0.0, 5e-6, 1e-5], [1.0e7, 1.5e7], [1234.5, 1235.0], [-2.0, 0.0]],
)
def test_labels_tell_ticks_apart_and_fit(values: list[float]) -> None:
    found = tick_labels(values)
    assert len(set(found)) == len(values)
    assert all(len(label) <= WIDEST_LABEL for label in found)
    assert [float(label) for label in found] == pytest.approx(values, rel=1e-6)


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 25, 300, 12345])
def test_labels_below_never_meet(parse: Parse, epochs: int) -> None:
    page = parse(line_chart("mIoU", [line([0.5] * epochs)]))
    below = [(place, text) for place, text in labels(page, "middle") if text != "epoch"]
    assert below
    assert all(text.isdigit() and 1 <= int(text) <= epochs for _, text in below)
    for (left, text), (right, following) in itertools.pairwise(below):
        assert right - left > 7 * (len(text) + len(following)) / 2


@pytest.mark.parametrize(
    "values",
    [[0.5], [0.5, 0.5, 0.5], [0.0, 0.0], [1e-9, 2e-9], [0.98761, 0.98762, 0.98769], [3.0, 2.0, 1.0], [-1.0, 1.0]],
)
@pytest.mark.parametrize("floor", [None, 0.0])
def test_labels_beside_never_meet(parse: Parse, values: list[float], floor: float | None) -> None:
    page = parse(line_chart("loss", [line(values)], floor=floor))
    beside = labels(page, "end")
    assert len({text for _, text in beside}) == len(beside) >= 2
    places = sorted(place for place, _ in beside)
    assert all(right - left > 12 for left, right in itertools.pairwise(places))
    assert all(len(text) <= WIDEST_LABEL for _, text in beside)


@pytest.mark.parametrize("values", [[0.2, 0.9, 0.4], [0.0, 0.0], [1e-12, 5e-12], [1e200, 2e200], [1000.0, 1.0, 0.5]])
def test_curves_stay_inside_the_drawing(parse: Parse, values: list[float]) -> None:
    page = parse(line_chart("loss", [line(values)]))
    width, height = (float(part) for part in page.all("svg", role="img")[0]["viewbox"].split()[2:])
    for circle in page.all("circle"):
        assert 0 <= float(circle["cx"]) <= width
        assert 0 <= float(circle["cy"]) <= height


def test_higher_values_stand_higher(parse: Parse) -> None:
    page = parse(line_chart("mIoU", [line([0.1, 0.9, 0.5])]))
    low, high, middle = (float(circle["cy"]) for circle in page.all("circle"))
    assert high < middle < low


def test_a_missing_value_leaves_a_gap(parse: Parse) -> None:
    path = parse(line_chart("mIoU", [line([0.1, 0.2, None, 0.4, 0.5])])).all("path")[0]["d"]
    assert [re.sub(r"[^ML]", "", part) for part in path.split("M")[1:]] == ["L", "L"]
    assert "nan" not in path


def test_a_value_alone_in_a_long_run_is_still_seen(parse: Parse) -> None:
    values: list[float | None] = [0.5] * 100
    values[49] = values[51] = None
    circles = parse(line_chart("mIoU", [line(values)])).all("circle")
    assert len(circles) == 1


def test_a_curve_without_values_is_left_out(parse: Parse) -> None:
    page = parse(line_chart("Loss", [line([0.1, 0.2], name="training"), line([None, None], name="validation")]))
    assert "validation" not in page.text
    assert len(page.all("path")) == 1


def test_a_chart_without_values_says_so(parse: Parse) -> None:
    page = parse(line_chart("Loss", [line([None])]))
    assert "No values." in page.text
    assert page.all("svg") == []


def test_a_loss_that_exploded_gets_an_axis_in_powers_of_ten(parse: Parse) -> None:
    page = parse(line_chart("Loss", [line([1000.0, 10.0, 1.0])]))
    assert "Loss (logarithmic)" in page.text
    first, second, third = (float(circle["cy"]) for circle in page.all("circle"))
    assert (third - second) * 2 == pytest.approx(second - first, abs=0.05)
    assert [text for _, text in labels(page, "end")] == ["1", "10", "100", "1000"]


@pytest.mark.parametrize("values", [[1000.0, 10.0, 0.0], [1000.0, -1.0], [2.0, 1.0]])
def test_values_that_have_no_logarithm_or_need_none_keep_an_even_axis(parse: Parse, values: list[float]) -> None:
    assert "logarithmic" not in parse(line_chart("Loss", [line(values)])).text


def test_scores_keep_an_even_axis_from_zero(parse: Parse) -> None:
    page = parse(line_chart("mIoU", [line([0.001, 0.8])], floor=0.0))
    assert "logarithmic" not in page.text
    assert labels(page, "end")[0][1] == "0"


def test_the_marked_epoch_has_a_line(parse: Parse) -> None:
    page = parse(line_chart("mIoU", [line([0.1, 0.2, 0.3])], mark=2.0))
    mark = page.all("line", class_="mark")[0]
    assert mark["x1"] == mark["x2"] == page.all("circle")[1]["cx"]
    assert parse(line_chart("mIoU", [line([0.1, 0.2])], mark=9.0)).all("line", class_="mark") == []


def test_a_chart_is_told_in_words(parse: Parse) -> None:
    page = parse(line_chart("mIoU", [line([0.2, 0.9, 0.4])]))
    told = page.all("svg", role="img")[0]["aria-label"]
    assert told == "mIoU over epochs 1 to 3: mIoU from 0.2 to 0.4 (within 0.2 to 0.9)"
    assert ("title", told) in page.texts


def test_two_curves_differ_by_more_than_colour(parse: Parse) -> None:
    chart = line_chart("Loss", [line([1.0, 2.0]), line([2.0, 1.0], name="<b>", dashed=True)])
    page = parse(chart)
    assert [path.get("stroke-dasharray") for path in page.all("path")] == [None, "5 3"]
    assert len(page.all("span", class_="key")) == 2
    assert page.all("b") == [{}]


@pytest.mark.parametrize("halo", ["dim", "pale"])
def test_a_colour_that_vanishes_gets_an_edge_in_curve_and_legend(parse: Parse, halo: str) -> None:
    page = parse(line_chart("IoU", [line([0.1, 0.2]), line([0.3, 0.2], name="snow", halo=halo)]))
    assert len(page.all("path", class_=f"halo {halo}")) == 1
    assert len(page.all("line", class_=f"halo {halo}")) == 1


@pytest.mark.parametrize(("share", "width"), [(None, "0.0%"), (0.25, "25.0%"), (1.5, "100.0%"), (-1.0, "0.0%")])
def test_bars_stay_in_their_column(share: float | None, width: str) -> None:
    assert f"width:{width}" in bar(share)


def test_bars_and_swatches_wear_the_class_colour() -> None:
    assert "background:rgb(9,8,7)" in bar(0.5, (9, 8, 7))
    assert "background" not in bar(0.5)
    assert css((9, 8, 7)) in swatch((9, 8, 7))


def test_a_stack_shows_shares_and_leaves_out_nothing_else(parse: Parse) -> None:
    page = parse(stack([("a", 0.25, (1, 1, 1)), ("<b>", 0.75, (2, 2, 2)), ("none", 0.0, (3, 3, 3))]))
    assert [part["title"] for part in page.all("span")[1:]] == ["a: 25 %", "<b>: 75 %"]
    assert page.all("span")[0]["aria-label"] == "a 25 %, <b> 75 %"
