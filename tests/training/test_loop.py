import dataclasses
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import get_total_norm

from terrazzo.bundle import Bundle
from terrazzo.data.augment.sets import Augmentation
from terrazzo.errors import LockedError, TrainingError
from terrazzo.losses import CrossEntropy
from terrazzo.progress import Progress
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.folder import RunFolder
from terrazzo.training.loop import _arriving, fit, train_epoch, update
from terrazzo.training.optim import Sgd
from terrazzo.training.schedule import Constant, Poly
from terrazzo.training.session import begin
from terrazzo.training.settings import Monitor, TrainSettings


class Unfit(CrossEntropy):
    """A loss that is NaN."""

    def __call__(self, *arguments):
        return super().__call__(*arguments) * float("nan")


class Steep(CrossEntropy):
    """A finite loss whose gradient is not."""

    def __call__(self, *arguments):
        loss = super().__call__(*arguments)
        return loss + torch.sqrt((loss - loss.detach()).abs())


def weights_of(folder) -> dict[str, torch.Tensor]:
    return load_checkpoint(RunFolder(folder).last).weights


def equal(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one) and set(one) == set(other)


def short(**settings) -> TrainSettings:
    return TrainSettings(**({"epochs": 1, "batch_size": 4, "worst_samples": 0, "sanity_batches": 0} | settings))


@pytest.fixture
def job(tiny, prepared, tmp_path):
    """Jobs of short settings in run folders of their own."""

    def make(name="run", data=prepared, **changes):
        return tiny.tiny_job(tmp_path / name, data, **({"settings": short()} | changes))

    return make


def test_a_run_leaves_its_whole_folder(job):
    told = []
    record = job(settings=short(epochs=2, worst_samples=2, sanity_batches=1, log_every=2))
    found = fit(record, listener=told.append)
    assert (found.epochs, found.resumed, found.already_finished, found.stopped_early) == (2, False, False, False)
    assert found.steps == 2 * -(-len(record.prepared.training_rows()) // 4)
    names = {str(path.relative_to(record.folder)) for path in record.folder.rglob("*") if path.is_file()}
    assert {"config.yaml", "metadata.json", "log.csv", "bundle.safetensors", "checkpoints/last.safetensors"} <= names
    assert {"samples/worst-1.png", "samples/worst-2.png"} <= names
    assert Bundle.load(record.folder).training["epoch"] == found.best_epoch
    notes = [event.message for event in told if event.kind == "note"]
    assert "from the beginning" in notes[0]
    assert [note.split(":")[0] for note in notes[1:]] == ["epoch 1 of 2", "epoch 2 of 2"]
    metadata = json.loads((record.folder / "metadata.json").read_text())
    assert metadata["data"]["fingerprint"] == record.prepared.fingerprint
    assert (metadata["precision"], metadata["device"], metadata["processes"]) == ("float32", "cpu", 1)


def test_a_finished_run_does_nothing_and_says_so(job):
    record = job()
    first = fit(record)
    stamps = {path: path.stat().st_mtime_ns for path in record.folder.rglob("*safetensors")}
    told = []
    second = fit(record, listener=told.append)
    assert second.already_finished
    assert second.steps == first.steps
    assert any("nothing to do" in event.message for event in told)
    assert {path: path.stat().st_mtime_ns for path in record.folder.rglob("*safetensors")} == stamps


def test_the_same_job_gives_the_same_bits_and_another_seed_others(job):
    runs = [fit(job(name, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    weights = [weights_of(run.folder) for run in runs]
    assert equal(weights[0], weights[1])
    assert not equal(weights[0], weights[2])


def test_a_run_that_learns_gets_better(job):
    found = fit(job(settings=short(epochs=12), optimizer=Sgd(lr=0.1), augmentation=Augmentation(set="none")))
    rows = load_checkpoint(RunFolder(found.folder).last).state.history
    assert rows[-1]["train_loss"] < 0.85 * rows[0]["train_loss"]
    assert found.best_value > 0.4


def test_a_folder_of_another_run_is_refused(job):
    fit(job())
    with pytest.raises(TrainingError, match="seed: 7 there, 8 given"):
        fit(job(seed=8))


def test_a_folder_in_use_is_refused(job):
    record = job()
    with RunFolder(record.folder).held(), pytest.raises(LockedError):
        fit(record)


def test_early_stopping_ends_the_run(job):
    found = fit(job(settings=short(epochs=9, monitor=Monitor(patience=1, min_delta=10.0))))
    assert found.stopped_early
    assert found.epochs == 2


def test_accumulated_batches_are_one_large_batch(job, processes):
    """Without norm statistics and dropout, 3 batches of 2 give the update of 1 batch of 6, its last one included."""
    results = []
    for name, batch_size, accumulate in (("a", 6, 1), ("b", 2, 3)):
        settings = short(batch_size=batch_size, accumulate=accumulate, clip_norm=None)
        record = job(name, settings=settings, optimizer=Sgd(lr=0.01), augmentation=Augmentation(set="none"))
        session = begin(record, RunFolder(record.folder), processes)
        session.network.layers[1] = torch.nn.Identity()
        session.network.layers[3] = torch.nn.Identity()
        with Progress("train") as progress:
            train_epoch(session, progress)
        results.append((session.state.step, session.network.layers[0].weight.detach()))
    assert results[0][0] == results[1][0]
    assert torch.allclose(results[0][1], results[1][1], atol=1e-4)


def test_gradients_are_clipped_to_the_norm(job, processes, monkeypatch):
    record = job(settings=short(clip_norm=0.01), optimizer=Sgd(lr=1.0, momentum=0.0, weight_decay=0.0))
    session = begin(record, RunFolder(record.folder), processes)
    before = [parameter.detach().clone() for parameter in session.parameters]
    one = session.updates(0)[:1]
    monkeypatch.setattr(session, "updates", lambda _epoch: one)
    with Progress("train") as progress:
        train_epoch(session, progress)
    moved = get_total_norm([old - new.detach() for old, new in zip(before, session.parameters, strict=True)])
    rate = record.schedule.factor(0, 1, 1)
    assert float(moved) == pytest.approx(0.01 * rate, rel=1e-3)


def test_the_rate_follows_the_schedule(job):
    record = job(settings=short(epochs=2), schedule=Poly(power=1.0), optimizer=Sgd(lr=0.5))
    found = fit(record)
    rows = load_checkpoint(RunFolder(found.folder).last).state.history
    per_epoch = found.steps // 2
    assert rows[0]["lr"] == pytest.approx(0.5 * (1 - (per_epoch - 1) / found.steps))
    assert rows[1]["lr"] == pytest.approx(0.5 / found.steps)


@pytest.mark.parametrize(("loss", "reason"), [(Unfit(), "the loss is nan"), (Steep(), "norm of the gradients is")])
def test_what_is_not_finite_stops_with_the_batch_saved_and_named(job, loss, reason):
    record = job(loss=loss)
    with pytest.raises(TrainingError, match=reason) as caught:
        fit(record)
    path = RunFolder(record.folder).failure(0, 0)
    assert str(path) in str(caught.value)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["step"] == 0
    assert len(facts["rows"]) == len(facts["images"]) == len(facts["windows"]) == 4
    assert all(
        record.prepared.index.image_id(row) == name for row, name in zip(facts["rows"], facts["images"], strict=True)
    )
    batch = load_file(path)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "image": (4, 3, 16, 16),
        "target": (4, 16, 16),
        "valid": (4, 16, 16),
    }


def test_a_skipped_float16_step_moves_neither_weights_nor_schedule(job, scaled):
    record = job(schedule=Constant(), augmentation=Augmentation(set="none"))
    session = begin(record, RunFolder(record.folder), scaled)
    before = [parameter.detach().clone() for parameter in session.parameters]
    session.network.train()
    groups = session.updates(0)
    arriving = _arriving(session, [keys for group in groups for keys in group])
    update(session, groups[0], arriving)
    assert (session.state.step, session.state.updates) == (1, 0)
    assert all(torch.equal(old, new) for old, new in zip(before, session.parameters, strict=True))
    assert scaled.scaler is not None
    scaled.scaler.update(2.0**8)
    update(session, groups[1], arriving)
    assert (session.state.step, session.state.updates) == (2, 1)
    assert not all(torch.equal(old, new) for old, new in zip(before, session.parameters, strict=True))


def test_float16_that_overflows_at_any_scale_stops(job, scaled):
    record = job(loss=Steep())
    assert scaled.scaler is not None
    scaled.scaler.load_state_dict(scaled.scaler.state_dict() | {"scale": 1.0})
    with pytest.raises(TrainingError, match=r"overflow float16 at the loss scale 0\.5"):
        fit(record, processes=scaled)


def test_bfloat16_trains_and_keeps_float32_weights(job):
    machine = job().machine.model_copy(update={"precision": "bfloat16"})
    found = fit(job(machine=machine))
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights_of(found.folder).values())
    assert found.final["train_loss"] > 0


def test_without_validation_patches_the_training_loss_can_choose(tiny, job, tmp_path):
    data = tiny.tiny_prepared(tmp_path / "data", sizes={"train": [(20, 20)]})
    found = fit(job(data=data, settings=short(monitor=Monitor(figure="train_loss"))))
    assert found.best_epoch == 1
    assert found.final["val_miou"] is None


@pytest.mark.filterwarnings("ignore")
def test_a_profile_is_written_when_asked_for(job):
    record = job(settings=short(profile=2))
    fit(record)
    assert "traceEvents" in json.loads(RunFolder(record.folder).trace.read_text())


def test_a_debug_run_is_short(job):
    found = fit(job(settings=short(epochs=30, batch_size=1, debug=True)))
    assert (found.epochs, found.steps) == (2, 8)


def test_a_stop_within_an_epoch_is_taken_up_to_the_same_bits(job, monkeypatch):
    settings = short(epochs=2, checkpoint_every_steps=2, accumulate=2, batch_size=3)
    whole = fit(job("whole", settings=settings))

    class Stopped(Exception):  # noqa: N818
        pass

    calls = []
    real = update

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise Stopped
        return real(*arguments)

    record = job("stopped", settings=settings)
    monkeypatch.setattr("terrazzo.training.loop.update", stopping)
    with pytest.raises(Stopped):
        fit(record)
    assert load_checkpoint(RunFolder(record.folder).last).state.batch == 4
    again = fit(record)
    assert again.resumed
    assert equal(weights_of(whole.folder), weights_of(again.folder))
    without_time = [{k: v for k, v in dict(run.final).items() if k != "seconds"} for run in (whole, again)]
    assert without_time[0] == without_time[1]


def test_finished_on_other_data_is_refused(job):
    record = job()
    fit(record)
    other = replace(record.prepared, fingerprint="other")
    with pytest.raises(TrainingError, match="trained on other data"):
        fit(dataclasses.replace(record, prepared=other))
