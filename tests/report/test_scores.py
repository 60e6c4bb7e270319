from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terrazzo.report.contents import Evaluated, RunContents, read_run
from terrazzo.report.facts import split_facts
from terrazzo.report.scores import MOST_SAMPLES, samples, scores_section

MakeRun = Callable[..., Path]
Parse = Callable[[str], Any]


def evaluated(**content: object) -> RunContents:
    return RunContents(folder=Path("run"), evaluated=(Evaluated(split_facts("val", content), ()),))


def test_each_split_has_its_scores_matrix_and_samples(make_run: MakeRun, parse: Parse) -> None:
    page = parse(scores_section(read_run(make_run())))
    assert [text for element, text in page.texts if element == "h3"] == ["test", "val"]
    assert len(page.all("table", class_="figures")) == 2
    assert len(page.all("table", class_="confusion")) == 2
    assert len(page.all("img")) == 6
    assert "Sample of val, 2 of 3" in page.text
    assert "the image, its label, the prediction, and the errors" in page.text


def test_a_score_that_does_not_exist_is_absent_and_not_zero(parse: Parse) -> None:
    classes = [{"name": "a", "iou": 0.0, "pixels": 3}, {"name": "snow", "iou": None, "pixels": 0}]
    page = parse(scores_section(evaluated(miou=0.0, classes=classes, absent=["snow"])))
    cells = [text for element, text in page.texts if element == "td"]
    assert cells == ["0.000", "absent", "absent", "absent", "3", "absent", "absent", "absent", "absent", "0"]
    assert "left out of means: snow" in page.text


def test_bars_are_as_long_as_the_iou_and_wear_the_class_colour(parse: Parse) -> None:
    page = parse(scores_section(evaluated(classes=[{"name": "a", "colour": [1, 2, 3], "iou": 0.25}])))
    assert "width:25.0%;background:rgb(1,2,3)" in [span.get("style") for span in page.all("span")]


@pytest.mark.parametrize(("images", "told"), [(1, "1 image ·"), (2, "2 images ·")])
def test_the_figures_of_a_split_stand_in_a_line(parse: Parse, images: int, told: str) -> None:
    page = parse(scores_section(evaluated(miou=0.5, loss=0.25, images=images, pixels=1234, foreground_iou=0.4)))
    assert "mIoU 0.500 · foreground IoU 0.400 · pixel accuracy absent" in page.text
    assert "loss 0.25" in page.text
    assert told in page.text
    assert "1 234 labelled pixels, each counted once" in page.text


def test_steps_are_told_where_there_are_some(parse: Parse) -> None:
    text = parse(scores_section(evaluated(miou=0.5, miou_by_step=[0.25, None, 0.5], avg_steps=1.75))).text
    assert "mIoU of each step: 0.250, absent, 0.500 · the halting rule needs 1.75 steps on average" in text
    assert "needs" not in parse(scores_section(evaluated(miou_by_step=[0.25]))).text
    assert "each step" not in parse(scores_section(evaluated(miou=0.5, miou_by_step=[], avg_steps=None))).text


def test_figures_that_do_not_apply_are_left_out(parse: Parse) -> None:
    text = parse(scores_section(evaluated(miou=0.5))).text
    assert "foreground" not in text
    assert "loss" not in text


def test_what_is_missing_is_said(parse: Parse) -> None:
    assert "No split has been evaluated" in parse(scores_section(RunContents(folder=Path("run")))).text
    assert "names no classes" in parse(scores_section(evaluated(miou=0.5))).text
    text = parse(scores_section(evaluated(classes=[{"name": "a"}], confusion=[[1, 2]]))).text
    assert "no confusion matrix of these classes" in text
    assert "No pictures of samples" in text


def test_samples_beyond_the_most_are_named(make_run: MakeRun, parse: Parse) -> None:
    folder = make_run()
    first = folder / "samples" / "worst-1.png"
    paths = [folder / "samples" / f"{place:02d}.png" for place in range(MOST_SAMPLES + 2)]
    for path in paths:
        path.write_bytes(first.read_bytes())
    page = parse("".join(samples(paths, "Sample")))
    assert len(page.all("img")) == MOST_SAMPLES
    assert str(paths[-1]) in page.text
    assert str(paths[0]) not in page.text
