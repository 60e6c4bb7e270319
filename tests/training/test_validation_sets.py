"""Training with named validation sets, each measured at its own interval."""

import csv
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from terrazzo.errors import ConfigError
from terrazzo.training import loop, session
from terrazzo.training.checkpoint import load_checkpoint, read_state
from terrazzo.training.folder import RunFolder
from terrazzo.training.loop import fit
from terrazzo.training.session import begin
from terrazzo.training.settings import KeepSettings, Monitor, TrainSettings

SIZES = {"train": [(32, 32)], "val": [(20, 17)], "val_city": [(17, 16)], "val_sea": [(16, 16), (9, 12)]}


@pytest.fixture(scope="module")
def sets(tiny, tmp_path_factory):
    return tiny.tiny_prepared(tmp_path_factory.mktemp("sets"), sizes=SIZES)


@pytest.fixture
def job(tiny, sets, tmp_path):
    """A job of five epochs; the city is looked at every second one, the sea every third."""

    def make(name="run", **settings):
        given = {"epochs": 5, "batch_size": 4, "worst_samples": 1, "log_every": 1, **settings}
        return tiny.tiny_job(tmp_path / name, sets, settings=TrainSettings(**given), validation={"city": 2, "sea": 3})

    return make


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def measured(rows, column):
    return [int(row["epoch"]) for row in rows if row[column]]


def test_each_set_is_measured_at_its_interval_and_in_the_last_epoch(job):
    summary = fit(job())
    rows = log(summary.folder)
    assert measured(rows, "val_miou") == [1, 2, 3, 4, 5]
    assert measured(rows, "val_city_miou") == measured(rows, "val_city_loss") == [2, 4, 5]
    assert measured(rows, "val_sea_iou_wood") == [3, 5]
    assert measured(rows, "val_mean_miou") == [5]
    last = {name: float(rows[-1][f"{name}_miou"]) for name in ("val", "val_city", "val_sea")}
    assert float(rows[-1]["val_mean_miou"]) == pytest.approx(sum(last.values()) / 3)
    assert len(set(last.values())) == 3
    pictures = {path.name for path in (summary.folder / "samples").glob("*.png")}
    assert pictures == {"worst-1.png", "worst-val_city-1.png", "worst-val_sea-1.png"}
    events = EventAccumulator(str(summary.folder / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("epoch/val_city_miou")] == [2, 4, 5]


def test_a_set_measured_now_and_then_can_choose_the_best_epoch(job):
    summary = fit(job(monitor=Monitor(figure="val_city_miou", patience=1, min_delta=0.9), keep=KeepSettings(best=9)))
    state = read_state(RunFolder(summary.folder).last)
    # Epoch 2 is the first to be measured, epoch 4 no better by 0.9: patience 1 ends the run there.
    assert (state.epoch, state.stopped_early) == (4, True)
    assert {best.epoch for best in state.best} == {2, 4}
    assert {path.name for path in (summary.folder / "checkpoints").glob("best-*")} == {
        "best-0002.safetensors",
        "best-0004.safetensors",
    }


def test_boundaries_stand_in_the_log_and_can_choose(job):
    settings = {"boundary_tolerances": (2, 0), "monitor": Monitor(figure="val_city_bf1_2")}
    summary = fit(job(epochs=2, **settings))
    rows = log(summary.folder)
    assert measured(rows, "val_bf1_2") == measured(rows, "val_bf1_0") == measured(rows, "val_bf1") == [1, 2]
    assert measured(rows, "val_city_bf1_2") == [2]
    # The common column is the first tolerance's.
    assert all(row["val_bf1"] == row["val_bf1_2"] for row in rows)
    assert 0 <= float(rows[1]["val_bf1_0"]) < float(rows[1]["val_bf1_2"]) <= 1
    assert (summary.best_epoch, summary.best_value) == (2, float(rows[1]["val_city_bf1_2"]))
    events = EventAccumulator(str(summary.folder / "tensorboard")).Reload()
    assert [point.step for point in events.Scalars("epoch/val_city_bf1_0")] == [2]


def test_a_log_without_tolerances_has_no_boundaries(job):
    rows = log(fit(job(epochs=1)).folder)
    assert [name for name in rows[0] if "bf1" in name] == ["val_bf1"]
    assert rows[0]["val_bf1"] == ""


def test_the_mean_over_sets_can_choose_too(job):
    summary = fit(job(monitor="val_mean_miou"))
    assert (summary.best_epoch, summary.epochs) == (5, 5)
    assert summary.best_value == pytest.approx(float(log(summary.folder)[-1]["val_mean_miou"]))


@pytest.mark.parametrize(
    ("validate_on", "splits"),
    [("all", ["val", "val_city", "val_sea"]), ("val", ["val"]), ("named", ["val_city", "val_sea"])],
)
def test_a_run_may_look_at_some_sets_only(job, processes, validate_on, splits):
    figure = f"{splits[-1]}_miou"
    made = job(validate_on=validate_on, monitor=Monitor(figure=figure))
    begun = begin(made, RunFolder(made.folder), processes)
    assert list(begun.validation) == splits
    assert begun.due(6) == tuple(splits)
    assert begun.due(1) == tuple(split for split in splits if split == "val")


def test_a_figure_of_a_set_that_is_left_out_is_refused(job, processes):
    made = job(validate_on="val", monitor=Monitor(figure="val_city_miou"))
    with pytest.raises(ConfigError, match=r"'val_city_miou', which is not measured\. Choose from train_loss, val_loss"):
        begin(made, RunFolder(made.folder), processes)
    made = job(validate_on="named")
    with pytest.raises(ConfigError, match=r"'val_miou'.*val_city_loss.*val_mean_miou"):
        begin(made, RunFolder(made.folder), processes)


@pytest.mark.parametrize("stops_at", [1, 2, 3])
def test_a_run_that_was_stopped_leaves_the_log_of_one_that_was_not(job, monkeypatch, stops_at):
    """The stop comes after a checkpoint was saved and before anything was made of it."""
    whole = fit(job("whole"))

    class KilledError(Exception):
        pass

    def settle(made, folder, state, real=session.settle):
        if state.epoch == stops_at:
            raise KilledError
        real(made, folder, state)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "settle", settle)
        with pytest.raises(KilledError):
            fit(job("stopped"))
    resumed = fit(job("stopped"))
    assert resumed.resumed
    assert log(resumed.folder) == log(whole.folder)
    weights = [load_checkpoint(RunFolder(summary.folder).last).weights for summary in (whole, resumed)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    points = []
    for summary in (whole, resumed):
        events = EventAccumulator(str(summary.folder / "tensorboard")).Reload()
        tags = events.Tags()["scalars"]
        points.append({tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in tags})
    assert points[0] == points[1]
    assert "epoch/val_sea_miou" in points[0]
