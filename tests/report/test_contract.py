"""What the other rooms write is what the report reads: a field renamed on one side alone fails here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from terrazzo.metrics import Confusion
from terrazzo.phases.summary import EvaluateSummary, PhaseTiming, PredictSummary, RunSummary, plain
from terrazzo.report import write_report
from terrazzo.report.contents import best_epoch, read_run
from terrazzo.scene import SceneSummary
from terrazzo.storage import write_json
from terrazzo.training.settings import TrainSettings
from terrazzo.training.track import write_log, write_metadata

Parse = Callable[[str], Any]
NAMES = ("field", "forest", "snow")


def evaluate(folder: Path) -> None:
    """Write scores as `terrazzo evaluate` does: the summary, with the scores beside it."""
    confusion = Confusion(torch.tensor([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    found = confusion.scores(NAMES)
    scores = found.as_dict()
    scores["classes"] = [{**row, "colour": [place, 9, 9]} for place, row in enumerate(scores["classes"])]
    summary = EvaluateSummary(
        folder=folder,
        seconds=1.0,
        split="val",
        images=2,
        pixels=12,
        miou=found.miou,
        scores=scores,
        confusion=confusion.counts.tolist(),
        loss=0.25,
    )
    further = {key: value for key, value in scores.items() if key != "miou"}
    write_json(folder / "summary.json", plain({**summary.as_dict(), **further}))


def test_scores_are_read_as_they_are_written(tmp_path: Path) -> None:
    evaluate(tmp_path / "evaluate" / "val")
    facts = read_run(tmp_path).evaluated[0].facts
    assert facts.figures["miou"] == (6 / 9 + 3 / 6) / 2
    assert facts.figures["accuracy"] == 9 / 12
    assert facts.figures["mean_accuracy"] == (6 / 8 + 3 / 4) / 2
    assert (facts.figures["images"], facts.figures["pixels"], facts.figures["loss"]) == (2.0, 12.0, 0.25)
    assert facts.confusion == ((6, 2, 0), (1, 3, 0), (0, 0, 0))
    assert facts.absent == ("snow",)
    forest = facts.classes[1]
    assert (forest.name, forest.colour, forest.iou, forest.pixels) == ("forest", (1, 9, 9), 3 / 6, 4.0)
    assert (forest.precision, forest.recall, forest.f1) == (3 / 5, 3 / 4, 6 / 9)
    assert (facts.classes[2].iou, facts.classes[2].recall) == (None, None)


def test_maps_and_phases_are_read_as_they_are_written(tmp_path: Path, summary: Callable[..., SceneSummary]) -> None:
    scene = summary(
        scene=str(tmp_path / "a.tif"),
        out=tmp_path / "predict" / "a.tif",
        height=3,
        width=5,
        windows=1,
        skipped_windows=0,
        class_pixels=(10, 4, 0),
        valid_share=0.9,
        seconds=0.5,
        warnings=("coarse",),
    )
    PredictSummary(folder=tmp_path / "predict", seconds=1.0, maps=(scene,)).save()
    RunSummary(
        folder=tmp_path,
        seconds=9.0,
        name="run 1",
        phases=(PhaseTiming("train", 2.0, None), PhaseTiming("predict", 0.0, "off")),
        miou={"val": float("nan")},
        bundle=None,
        maps=(scene.out,),
        report=tmp_path / "report.html",
    ).save()
    run = read_run(tmp_path)
    found = run.maps[0]
    assert (found.out, found.height, found.width) == (str(scene.out), 3.0, 5.0)
    assert (found.class_pixels, found.valid_share, found.warnings) == ((10, 4, 0), 0.9, ("coarse",))
    assert [(phase.name, phase.seconds, phase.skipped) for phase in run.phases] == [
        ("train", 2.0, ""),
        ("predict", 0.0, "off"),
    ]
    assert run.summary["name"] == "run 1"


def test_log_and_monitor_are_read_as_they_are_written(tmp_path: Path, parse: Parse) -> None:
    rows = [
        {"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "val_loss": loss, "val_miou": None, "val_iou_a, b": 0.5}
        for epoch, loss in ((1, 0.5), (2, 0.25), (3, 0.75))
    ]
    write_log(tmp_path / "log.csv", rows)
    settings = TrainSettings.model_validate({"epochs": 3, "monitor": "val_loss"})
    write_metadata(tmp_path / "metadata.json", {"run": "r", "config": {"train": settings.model_dump(mode="json")}})
    run = read_run(tmp_path)
    assert best_epoch(run.history, run.metadata) == ("val_loss", 2.0, 0.25)
    assert [row["val_iou_a, b"] for row in run.history] == [0.5, 0.5, 0.5]
    page = parse(write_report(tmp_path).read_text(encoding="utf-8"))
    assert "epoch 2, the best by val_loss" in page.text
    assert ("h1", "r") in page.texts
