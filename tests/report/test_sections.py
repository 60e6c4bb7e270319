from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from terrazzo.report.contents import RunContents, read_run
from terrazzo.report.facts import MapFacts, PhaseFacts, data_facts
from terrazzo.report.sections import (
    config_section,
    curves_section,
    environment_section,
    header,
    maps_section,
    run_name,
    timing_section,
)

MakeRun = Callable[..., Path]
Parse = Callable[[str], Any]
EMPTY = RunContents(folder=Path("runs/some run"))


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_header_tells_the_main_figures(make_run: MakeRun, parse: Parse) -> None:
    page = parse(header(read_run(make_run(("background", "building"), epochs=7))))
    names = [text for element, text in page.texts if element == "dt"]
    assert names[:3] == ["mIoU, test", "mIoU, val", "pixel accuracy, test"]
    assert names[3:] == ["best val_miou", "epochs", "training time"]
    assert "epoch 7" in page.text
    assert "4 min 48 s" in page.text
    assert "2 classes from 4 bands: red, green, blue, nir" in page.text
    assert "begun 2026-11-21 03:30:00 UTC" in page.text


def test_a_binary_run_tells_its_foreground(parse: Parse, make_run: MakeRun) -> None:
    run = read_run(make_run())
    facts = replace(run.evaluated[0].facts, figures={"miou": 0.5, "foreground_iou": 0.25})
    page = parse(header(replace(run, evaluated=(replace(run.evaluated[0], facts=facts),))))
    assert "foreground IoU, test 0.250" in flat(page.text)


def test_a_run_without_figures_says_so(parse: Parse) -> None:
    page = parse(header(EMPTY))
    assert "no figures yet" in page.text
    assert ("h1", "some run") in page.texts


def test_the_name_is_the_written_one_or_the_folders() -> None:
    assert run_name(replace(EMPTY, summary={"name": "a"}, metadata={"run": "b"})) == "a"
    assert run_name(replace(EMPTY, metadata={"run": "b"})) == "b"
    assert run_name(EMPTY) == "some run"


def test_curves_show_loss_scores_and_rate(make_run: MakeRun, parse: Parse) -> None:
    page = parse(curves_section(read_run(make_run())))
    told = [picture["aria-label"].split(" over ")[0] for picture in page.all("svg", role="img")]
    assert told == ["Loss", "Validation mIoU", "Validation IoU by class", "Learning rate"]
    assert "epoch 12, the best by val_miou" in page.text


def test_the_marked_epoch_is_that_of_the_monitored_figure(make_run: MakeRun, parse: Parse) -> None:
    history = [{"epoch": 1.0, "val_loss": 0.1, "val_miou": 0.2}, {"epoch": 2.0, "val_loss": 0.4, "val_miou": 0.3}]
    run = replace(read_run(make_run(monitor="val_loss")), history=tuple(history))
    assert "epoch 1, the best by val_loss" in parse(curves_section(run)).text


def test_further_figures_get_curves_where_they_exist(parse: Parse) -> None:
    rows = ({"epoch": 1.0, "val_bf1": 0.5, "val_avg_steps": 2.0}, {"epoch": 2.0, "val_bf1": 0.6, "val_avg_steps": 1.5})
    text = parse(curves_section(replace(EMPTY, history=rows))).text
    assert "Validation boundary F1" in text
    assert "Steps per pixel" in text


def test_of_many_classes_the_weakest_have_curves(parse: Parse) -> None:
    columns = {f"val_iou_class {index:02d}": index / 30 for index in range(25)}
    rows = tuple({"epoch": float(epoch), "val_miou": 0.5, **columns} for epoch in (1, 2))
    page = parse(curves_section(replace(EMPTY, history=rows)))
    shown = next(picture["aria-label"] for picture in page.all("svg", role="img") if "weakest" in picture["aria-label"])
    assert "the 8 weakest classes" in shown
    assert "class 07" in shown
    assert "class 08" not in shown


@pytest.mark.parametrize(
    ("colour", "halo"), [([0, 0, 0], "dim"), ([255, 255, 255], "pale"), ([200, 30, 30], None), ([0, 0, 128], "dim")]
)
def test_class_curves_wear_their_colour_with_an_edge_where_it_vanishes(
    parse: Parse, colour: list[int], halo: str | None
) -> None:
    rows = tuple({"epoch": float(epoch), "val_iou_snow": 0.1 * epoch} for epoch in (1, 2))
    data = data_facts({"classes": [{"name": "snow", "colour": colour}]})
    page = parse(curves_section(replace(EMPTY, history=rows, data=data)))
    strokes = [path.get("style") for path in page.all("path")]
    assert f"stroke:rgb({colour[0]},{colour[1]},{colour[2]})" in strokes
    edges = [path["class"] for path in page.all("path") if (path["class"] or "").startswith("halo")]
    assert edges == ([f"halo {halo}"] if halo else [])


def test_training_samples_are_shown_where_no_split_was_evaluated(make_run: MakeRun, parse: Parse) -> None:
    trained = parse(curves_section(read_run(make_run(evaluated=()))))
    assert "Worst validation samples of the last epoch" in trained.text
    assert len(trained.all("img")) == 2


def test_evaluated_samples_take_their_place(make_run: MakeRun, parse: Parse) -> None:
    assert parse(curves_section(read_run(make_run()))).all("img") == []


def test_a_run_without_validation_says_so(parse: Parse) -> None:
    page = parse(curves_section(replace(EMPTY, history=({"epoch": 1.0, "train_loss": 0.5, "lr": 0.1},))))
    assert "Nothing was validated" in page.text
    assert "upright line" not in page.text


def test_a_map_tells_size_shares_time_and_warnings(make_run: MakeRun, parse: Parse) -> None:
    page = parse(maps_section(read_run(make_run())))
    assert [text for element, text in page.texts if element == "td"] == ["768", "1 024", "97 %", "4.2 s"]
    assert page.all("span", class_="bar stack")[0]["aria-label"] == "field 33 %, forest 33 %, water 34 %"
    assert "test_0.tif: The scene has a coarser resolution" in page.text
    assert "predict/overview.png: scene, label and map" in page.text


def test_a_map_elsewhere_is_named_by_its_path_alone(parse: Parse) -> None:
    page = parse(maps_section(replace(EMPTY, maps=(MapFacts(out="/maps/ä b.tif"),))))
    assert "/maps/ä b.tif" in page.text
    assert [text for element, text in page.texts if element == "td"] == ["–"] * 5


def test_a_damaged_picture_of_a_map_is_named(make_run: MakeRun, parse: Parse) -> None:
    folder = make_run()
    (folder / "predict" / "overview.png").write_bytes(b"cut")
    page = parse(maps_section(read_run(folder)))
    assert page.all("img") == []
    assert f"damaged): {folder / 'predict' / 'overview.png'}" in page.text


def test_phases_tell_time_or_reason(make_run: MakeRun, parse: Parse) -> None:
    page = parse(timing_section(read_run(make_run())))
    text = flat(page.text)
    assert "train 18 min 32 s" in text
    assert "predict skipped: predict.enable is false" in text
    assert "Training took 8 min 14 s for 12 epochs, 41 s an epoch" in text
    assert "The last call took 19 min 23 s in all." in text
    widths = [span["style"] for span in page.all("span") if "style" in span]
    assert widths[1] == "width:100.0%"
    assert widths[-1] == "width:0.0%"


def test_phases_without_time_do_not_stop_the_page(parse: Parse) -> None:
    run = replace(EMPTY, phases=(PhaseFacts("train", None, ""),))
    assert [text for element, text in parse(timing_section(run)).texts if element == "td"] == ["–"]


def test_the_environment_is_flat_and_without_the_config(make_run: MakeRun, parse: Parse) -> None:
    page = parse(environment_section(read_run(make_run())))
    assert len(page.all("details")) == 1
    text = flat(page.text)
    assert "versions.torch 2.15.0" in text
    assert "command terrazzo run a b.yaml" in text
    assert "monitor" not in text


def test_the_config_is_shown_as_text(make_run: MakeRun, parse: Parse) -> None:
    page = parse(config_section(read_run(make_run())))
    pre = [text for element, text in page.texts if element == "pre"]
    assert "note: '<script>alert(1)</script>'" in "".join(pre)
    assert "${oc.env:DATA}" in "".join(pre)
    assert page.all("script") == []


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (curves_section, "no log.csv with rows"),
        (maps_section, "No scene has been mapped"),
        (timing_section, "No times by phase"),
        (environment_section, "no metadata.json"),
        (config_section, "no config.yaml"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(parse: Parse, part: Callable[[RunContents], str], sentence: str) -> None:
    assert sentence in parse(part(EMPTY)).text


def test_named_validation_sets_have_curves_joined_over_the_epochs_between(parse: Parse) -> None:
    rows = [
        {"epoch": 1.0, "val_loss": 0.5, "val_miou": 0.3, "val_city_loss": None, "val_city_miou": None},
        {"epoch": 2.0, "val_loss": 0.4, "val_miou": 0.4, "val_city_loss": 0.6, "val_city_miou": 0.2},
        {"epoch": 3.0, "val_loss": 0.3, "val_miou": 0.5, "val_city_loss": None, "val_city_miou": None},
        {"epoch": 4.0, "val_loss": 0.2, "val_miou": 0.6, "val_city_loss": 0.5, "val_city_miou": 0.3},
    ]
    shown = [{**row, "train_loss": 1.0, "val_iou_loss": 0.1, "val_mean_miou": row["val_city_miou"]} for row in rows]
    text = flat(str(curves_section(replace(EMPTY, history=tuple(shown)))))
    assert "city from 0.6 to 0.5" in text
    assert "city from 0.2 to 0.3" in text
    assert "mean of all sets from 0.2 to 0.3" in text
    # One stroke from the second to the fourth epoch, without a gap.
    assert text.count("city, epoch 2") == 2
    assert "city, epoch 3" not in text
    assert "Nothing was validated" not in text


def test_a_run_that_looks_at_named_sets_alone_was_validated() -> None:
    rows = ({"epoch": 1.0, "train_loss": 1.0, "val_miou": None, "val_sea_loss": 0.5, "val_sea_miou": 0.25},)
    text = flat(str(curves_section(replace(EMPTY, history=rows))))
    assert "Nothing was validated" not in text
    assert "Validation mIoU" in text


def test_boundaries_have_a_line_a_tolerance(parse: Parse) -> None:
    history = [
        {"epoch": float(epoch), "val_bf1": 0.1 * epoch, "val_bf1_0": 0.1 * epoch, "val_bf1_3": 0.2 * epoch}
        for epoch in (1, 2, 3)
    ]
    page = parse(curves_section(replace(EMPTY, history=tuple(history))))
    told = [text for text in page.text.split("\n") if text.strip()]
    assert "exact" in " ".join(told)
    assert "within 3 px" in " ".join(told)
    alone = parse(curves_section(replace(EMPTY, history=tuple({"epoch": 1.0 * row, "val_bf1": 0.5} for row in (1, 2)))))
    assert "Validation boundary F1" in alone.text or alone.all("svg", role="img")
    assert " px" not in alone.text
