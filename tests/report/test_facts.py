import math

import pytest

from terrazzo.report.facts import GREY, data_facts, map_facts, number, phase_facts, split_facts


@pytest.mark.parametrize("value", [None, "", "word", math.nan, math.inf, True, [], {}, "1e999", 10**400, 1e305])
def test_what_is_no_figure_is_none(value: object) -> None:
    assert number(value) is None


@pytest.mark.parametrize(("value", "expected"), [(0, 0.0), ("-2.5", -2.5), (1e-300, 1e-300), (7, 7.0)])
def test_figures_are_read(value: object, expected: float) -> None:
    assert number(value) == expected


def test_split_keeps_scores_and_matrix() -> None:
    content = {
        "miou": 0.5,
        "loss": None,
        "classes": [{"name": "a", "colour": [1, 2, 3], "iou": 0.5, "pixels": 7}, {"name": "b", "iou": None}],
        "absent": ["b"],
        "confusion": [[7, 0], [0, 0]],
    }
    facts = split_facts("val", content)
    assert facts.figures["miou"] == 0.5
    assert facts.figures["loss"] is None
    assert [(one.name, one.colour, one.iou) for one in facts.classes] == [("a", (1, 2, 3), 0.5), ("b", GREY, None)]
    assert facts.confusion == ((7, 0), (0, 0))
    assert facts.absent == ("b",)


@pytest.mark.parametrize(
    "matrix",
    [None, [], [[1, 2]], [[1, 2], [3]], [[1, 2], [3, -4]], [[1, 2], [3, "4"]], [[1, 2], 3], "no", [[1.5, 2], [3, 4]]],
)
def test_a_matrix_that_is_not_whole_counts_as_none(matrix: object) -> None:
    classes = [{"name": "a"}, {"name": "b"}]
    assert split_facts("val", {"classes": classes, "confusion": matrix}).confusion is None


@pytest.mark.parametrize("colour", [None, [1, 2], [1, 2, 256], ["red", 0, 0], "#ffffff", [1, 2, -3]])
def test_a_colour_that_is_none_becomes_grey(colour: object) -> None:
    assert split_facts("val", {"classes": [{"name": "a", "colour": colour}]}).classes[0].colour == GREY


def test_counts_of_other_classes_are_left_out() -> None:
    facts = data_facts({"classes": [{"name": "a"}, {"name": "b"}], "pixel_counts": {"train": [1, 2], "val": [1, 2, 3]}})
    assert facts.pixels == {"train": (1, 2)}


def test_bands_meet_their_own_statistics() -> None:
    content = {
        "bands": [{"name": "red", "dtype": "uint8", "nodata": 0}, {"dtype": "float32", "nodata": None}],
        "normalisation": {"mean": [10.0], "std": [2.0]},
    }
    first, second = data_facts(content).bands
    assert (first.name, first.nodata, first.mean, first.deviation) == ("red", 0.0, 10.0, 2.0)
    assert (second.name, second.nodata, second.mean, second.deviation) == ("band 2", None, None, None)


@pytest.mark.parametrize("content", [{}, {"classes": 3, "pixel_counts": [1], "warnings": "text", "bands": {"a": 1}}])
def test_data_of_another_shape_is_empty(content: dict[str, object]) -> None:
    facts = data_facts(content)
    assert (facts.classes, dict(facts.pixels), facts.warnings, facts.bands) == ((), {}, (), ())


def test_maps_come_from_the_mapping_or_else_from_the_run() -> None:
    described = map_facts({"maps": [{"out": "a.tif", "height": 3, "warnings": ["coarse"]}]}, {"maps": ["b.tif"]})
    assert [(one.out, one.height, one.warnings) for one in described] == [("a.tif", 3.0, ("coarse",))]
    assert [one.out for one in map_facts({}, {"maps": ["b.tif"]})] == ["b.tif"]
    assert map_facts({}, {}) == ()


def test_phases_keep_their_order_and_reason() -> None:
    phases = [{"name": "train", "seconds": 2.0, "skipped": None}, {"name": "predict", "skipped": "off"}, "damaged"]
    found = phase_facts({"phases": phases})
    assert [(one.name, one.seconds, one.skipped) for one in found] == [("train", 2.0, ""), ("predict", None, "off")]
