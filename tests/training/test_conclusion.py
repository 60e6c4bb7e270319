import math

import pytest

from terrazzo.errors import TrainingError
from terrazzo.training.checkpoint import RunState
from terrazzo.training.conclusion import conclude, sentence, summary
from terrazzo.training.folder import RunFolder
from terrazzo.training.settings import KeepSettings, Monitor, TrainSettings


def after(values, **settings) -> RunState:
    """The state after epochs with these values of the monitored figure."""
    record = TrainSettings(**({"epochs": 10} | settings))
    state = RunState(fingerprint="x", batch=4, partial=((1.0, 2.0),), partial_seconds=3.0)
    for epoch, value in enumerate(values, start=1):
        state = conclude(state, {"epoch": epoch, record.monitor.figure: value, "seconds": 2.0}, record)
    return state


def test_an_epoch_is_added_and_the_next_begins_at_its_start():
    state = after([0.1, 0.2])
    assert (state.epoch, state.batch, state.partial, state.partial_seconds) == (2, 0, (), 0.0)
    assert [row["epoch"] for row in state.history] == [1, 2]
    assert state.seconds == 4.0
    assert not state.finished


def test_the_last_epoch_finishes_the_run():
    state = after([0.1, 0.2], epochs=2)
    assert state.finished
    assert not state.stopped_early


@pytest.mark.parametrize(
    ("figure", "values", "expected"),
    [
        ("val_miou", [0.1, 0.3, 0.2, 0.3], [2, 4]),
        ("val_loss", [0.5, 0.3, 0.2, 0.4], [3, 2]),
        ("val_miou", [0.5], [1]),
    ],
)
def test_the_best_epochs_are_kept_the_earlier_of_equal_ones_first(figure, values, expected):
    state = after(values, monitor=Monitor(figure=figure), keep=KeepSettings(best=2))
    assert [best.epoch for best in state.best] == expected
    assert state.best[0].value == values[expected[0] - 1]


def test_patience_counts_epochs_without_a_better_one():
    monitor = Monitor(patience=2)
    assert not after([0.3, 0.2], monitor=monitor).finished
    state = after([0.3, 0.2, 0.3], monitor=monitor)
    assert state.finished
    assert state.stopped_early
    assert after([0.3, 0.2, 0.4, 0.3], monitor=monitor).stale == 1


def test_min_delta_is_what_better_means_for_patience_and_not_for_best():
    state = after([0.30, 0.34, 0.36], monitor=Monitor(patience=9, min_delta=0.05))
    assert state.stale == 0
    assert state.reference == 0.36
    state = after([0.30, 0.34], monitor=Monitor(patience=9, min_delta=0.05))
    assert (state.stale, state.reference, state.best[0].epoch) == (1, 0.30, 2)


def test_early_stopping_at_the_very_end_is_no_early_stop():
    state = after([0.3, 0.2], epochs=2, monitor=Monitor(patience=1))
    assert state.finished
    assert not state.stopped_early


def test_a_figure_that_does_not_exist_stops_with_its_name():
    with pytest.raises(TrainingError, match=r"val_iou_wood does not exist in epoch 1.*train\.monitor"):
        after([None], monitor=Monitor(figure="val_iou_wood"))


def test_a_sentence_names_the_monitored_figure():
    row = {"epoch": 2, "train_loss": 0.5, "val_miou": 0.25, "val_accuracy": 0.75}
    settings = TrainSettings(epochs=4, monitor=Monitor(figure="val_accuracy"))
    assert sentence(row, settings) == "epoch 2 of 4: train_loss 0.5000, val_miou 0.2500, val_accuracy 0.7500"


def test_a_summary_says_what_the_state_holds(tiny, prepared, tmp_path):
    found = summary(tiny.tiny_job(tmp_path, prepared), RunFolder(tmp_path), after([0.1, 0.4, 0.2]), resumed=True)
    assert (found.epochs, found.best_epoch, found.best_value, found.resumed) == (3, 2, 0.4, True)
    assert found.bundle == tmp_path / "bundle.safetensors"
    assert math.isclose(found.seconds, 6.0)
    assert found.final["epoch"] == 3


def test_epochs_without_the_figure_are_compared_with_no_other():
    """A figure measured every second epoch: the others are neither better nor worse."""
    record = TrainSettings(epochs=9, monitor=Monitor(figure="val_city_miou", patience=2), keep=KeepSettings(best=3))
    state = RunState(fingerprint="x")
    stale = []
    for epoch, value in enumerate([None, 0.5, None, 0.4, None, 0.3], start=1):
        assert not state.finished
        row = {"epoch": epoch, "val_city_miou": value, "seconds": 1.0}
        state = conclude(state, row, record, measured=value is not None)
        stale.append(state.stale)
    assert stale == [0, 0, 0, 1, 1, 2]
    assert (state.finished, state.stopped_early, state.epoch) == (True, True, 6)
    assert [best.epoch for best in state.best] == [2, 4, 6]
    assert len(state.history) == 6


def test_an_epoch_without_the_figure_can_be_the_last():
    record = TrainSettings(epochs=1, monitor=Monitor(figure="val_city_miou"))
    assert conclude(RunState(fingerprint="x"), {"epoch": 1}, record, measured=False).finished
