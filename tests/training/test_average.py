import contextlib
from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from terrazzo.bundle import Bundle
from terrazzo.data.augment.sets import Augmentation
from terrazzo.errors import ModelError, TrainingError
from terrazzo.models.architecture import Network
from terrazzo.models.external import ExternalWeights
from terrazzo.training.average import Average, decay_at
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.conclusion import validate
from terrazzo.training.folder import RunFolder
from terrazzo.training.loop import _arriving, fit, update
from terrazzo.training.optim import Sgd
from terrazzo.training.schedule import Constant
from terrazzo.training.session import begin, save
from terrazzo.training.settings import EmaSettings, TrainSettings
from terrazzo.training.settling import settle

PLAIN = EmaSettings(decay=0.75, warmup=False)


def trainable() -> torch.nn.Sequential:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Conv2d(4, 2, 1))
    return network.to(memory_format=torch.channels_last)


def move(network: torch.nn.Module, seed: int) -> None:
    """Give every parameter and buffer other values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.state_dict().values():
            value.copy_(value + 1 + torch.rand(value.shape, generator=generator).to(value.dtype))


def copied(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(one, other) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def test_the_decay_warms_up_as_timms():
    timm_utils = pytest.importorskip("timm.utils")
    theirs = timm_utils.ModelEmaV3(torch.nn.Linear(1, 1), decay=0.99, use_warmup=True)
    for updates in (0, 1, 2, 10, 500, 2000):
        # timm counts the update under way.
        assert decay_at(EmaSettings(decay=0.99), updates) == pytest.approx(theirs.get_decay(updates + 1))
    assert [decay_at(PLAIN, updates) for updates in (0, 1, 9)] == [0.0, 0.75, 0.75]


def test_the_mean_is_that_of_the_formula_and_integers_are_copied():
    network = trainable()
    average = Average(network, PLAIN)
    states = []
    for updates in range(4):
        move(network, updates)
        average.update(updates)
        states.append(copied(network))
    for name, found in average.state().items():
        expected = states[0][name].double()
        for later in states[1:]:
            expected = 0.75 * expected + 0.25 * later[name].double()
        if found.is_floating_point():
            torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
        else:
            assert torch.equal(found, states[-1][name])
    assert {"1.running_mean", "1.num_batches_tracked", "0.weight"} <= set(average.state())


def test_the_network_has_the_mean_inside_and_its_own_bits_after():
    network = trainable()
    average = Average(network, PLAIN)
    for updates in range(3):
        move(network, updates)
        average.update(updates)
    before, mean = copied(network), {name: value.clone() for name, value in average.state().items()}
    assert not same(before, mean)
    with contextlib.suppress(ZeroDivisionError), average.in_place():
        assert same(copied(network), mean)
        raise ZeroDivisionError
    assert same(copied(network), before)
    assert same(average.state(), mean)


def test_tied_weights_are_exchanged_once():
    network = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2, bias=False), "b": torch.nn.Linear(2, 2, bias=False)})
    network["b"].weight = network["a"].weight
    average = Average(network, PLAIN)
    before = copied(network)
    average.update(0)
    move(network, 1)
    with average.in_place():
        assert same(copied(network), before)
    assert not same(copied(network), before)
    assert sorted(average.state()) == ["a.weight", "b.weight"]


class Leaning(Network):
    """A network with a frozen layer, and one that stands in a file of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.BatchNorm2d(3).requires_grad_(False)
        self.frozen = torch.nn.Conv2d(3, 3, 1).requires_grad_(False)
        self.head = torch.nn.Conv2d(3, 2, 1)
        self.external = ExternalWeights("theirs", "file", "0" * 64, "backbone.")


def test_what_is_frozen_is_not_copied():
    assert sorted(Average(Leaning(), PLAIN).state()) == ["head.bias", "head.weight"]


def test_a_mean_of_another_network_is_refused():
    average = Average(trainable(), PLAIN)
    with pytest.raises(ModelError, match=r"running mean of 0 tensors, but train\.ema averages 9"):
        average.load({})


@pytest.mark.parametrize("settings", [{"decay": 1.0}, {"decay": -0.1}, {"speed": 1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValidationError):
        EmaSettings.model_validate(settings)


def test_a_bare_decay_is_enough():
    assert TrainSettings.model_validate({"ema": 0.99}).ema == EmaSettings(decay=0.99)
    assert TrainSettings().ema is None


def short(**settings) -> TrainSettings:
    return TrainSettings(
        **({"epochs": 2, "batch_size": 4, "worst_samples": 0, "sanity_batches": 0, "ema": PLAIN} | settings)
    )


@pytest.fixture
def job(tiny, prepared, tmp_path):
    def make(name="run", **changes):
        parts = {"settings": short(), "optimizer": Sgd(lr=0.3), "schedule": Constant()}
        return tiny.tiny_job(tmp_path / name, prepared, **(parts | changes))

    return make


def test_the_mean_is_evaluated_chosen_and_exported_and_the_weights_go_on_training(job, processes):
    record = job()
    summary = fit(record)
    best = load_checkpoint(RunFolder(summary.folder).best(summary.best_epoch))
    assert set(best.average) == set(best.weights)
    assert not same(best.average, best.weights)
    assert same(Bundle.load(summary.bundle).weights, best.average)
    row = dict(best.state.history[summary.best_epoch - 1])
    session = begin(
        replace(record, folder=record.folder.parent / "judge"), RunFolder(record.folder.parent / "j"), processes
    )
    for weights, equal in ((best.average, True), (best.weights, False)):
        session.network.load_state_dict(weights)
        found = validate(session, ["val"])["val"]
        assert (found.loss == row["val_loss"]) is equal
    raw = fit(job("raw", settings=short(ema=None)))
    assert same(
        load_checkpoint(RunFolder(raw.folder).last).weights, load_checkpoint(RunFolder(summary.folder).last).weights
    )


def test_a_stop_within_an_epoch_is_taken_up_to_the_same_bits(job, monkeypatch):
    settings = short(checkpoint_every_steps=2, accumulate=2, batch_size=3, ema=EmaSettings(decay=0.9))
    whole = fit(job("whole", settings=settings))
    calls = []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return update(*arguments)

    record = job("stopped", settings=settings)
    monkeypatch.setattr("terrazzo.training.loop.update", stopping)
    with pytest.raises(KeyboardInterrupt):
        fit(record)
    again = fit(record)
    assert again.resumed
    one, other = (load_checkpoint(RunFolder(run.folder).last) for run in (whole, again))
    assert same(one.average, other.average)
    assert same(one.weights, other.weights)
    assert whole.bundle.read_bytes() == again.bundle.read_bytes()


def test_a_checkpoint_without_a_mean_is_refused(job, processes):
    session = begin(job(), RunFolder(job().folder), processes)
    session.average = None
    save(session)
    with pytest.raises(TrainingError, match="running mean of 0 tensors"):
        begin(job(), RunFolder(job().folder), processes)


def test_a_step_that_the_loss_scaler_skips_moves_no_mean(job, scaled):
    record = job(augmentation=Augmentation(set="none"))
    session = begin(record, RunFolder(record.folder), scaled)
    session.network.train()
    groups = session.updates(0)
    arriving = _arriving(session, [keys for group in groups for keys in group])
    before = {name: value.clone() for name, value in session.average.state().items()}
    update(session, groups[0], arriving)
    assert session.state.updates == 0
    assert same(session.average.state(), before)
    scaled.scaler.update(2.0**8)
    update(session, groups[1], arriving)
    assert session.state.updates == 1
    assert same(session.average.state(), copied(session.network))


def test_a_best_checkpoint_settles_to_the_mean(started, finished_epoch):
    session = started(ema=PLAIN)
    session.average.update(0)
    session.network.layers[0].weight.data.add_(1.0)
    finished_epoch(session)
    settle(session.job, session.folder, session.state)
    assert same(Bundle.load(session.folder.bundle).weights, session.average.state())
