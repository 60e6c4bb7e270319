from dataclasses import replace

import torch

from terrazzo.bundle import Bundle
from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.distribution import Distribution
from terrazzo.training import settling
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.folder import RunFolder
from terrazzo.training.session import begin, save
from terrazzo.training.settings import KeepSettings
from terrazzo.training.settling import settle


def test_settling_makes_log_links_and_bundle_and_can_be_repeated(started, finished_epoch):
    session = started(keep=KeepSettings(best=2, every=1))
    finished_epoch(session)
    for _ in range(2):
        settle(session.job, session.folder, session.state)
        names = sorted(path.name for path in session.folder.checkpoints.iterdir())
        assert names == ["best-0001.safetensors", "epoch-0001.safetensors", "last.safetensors"]
        assert len(session.folder.log.read_text().splitlines()) == 2
    bundle = Bundle.load(session.folder.bundle)
    assert bundle.training["epoch"] == 1
    assert bundle.classes.names == ("wood", "roof", "water")
    assert bundle.patch_size == 16
    pairs = zip(bundle.weights.values(), session.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_bundle_states_how_the_trainings_values_are_distributed(started, finished_epoch):
    session = started()
    finished_epoch(session)
    prepared = session.job.prepared
    quantiles = (tuple(map(float, range(9))),) * len(prepared.bands)
    stated = Distribution(quantiles=quantiles, deviation=(2.0,) * len(prepared.bands))
    job = replace(session.job, prepared=replace(prepared, distribution=stated))
    settle(job, session.folder, session.state)
    assert Bundle.load(session.folder.bundle).distribution == stated


def test_checkpoints_that_are_no_longer_best_go(started, finished_epoch):
    session = started(keep=KeepSettings(best=1))
    finished_epoch(session, epoch=1, best=(1,))
    settle(session.job, session.folder, session.state)
    session.network.layers[0].weight.data.add_(1.0)
    finished_epoch(session, epoch=2, best=(2,))
    settle(session.job, session.folder, session.state)
    assert sorted(path.name for path in session.folder.checkpoints.glob("best-*")) == ["best-0002.safetensors"]
    assert Bundle.load(session.folder.bundle).training["epoch"] == 2


def test_a_kept_checkpoint_does_not_follow_the_last_one(started, finished_epoch):
    session = started()
    finished_epoch(session)
    settle(session.job, session.folder, session.state)
    before = load_checkpoint(session.folder.best(1)).weights
    session.network.layers[0].weight.data.add_(1.0)
    session.state = replace(session.state, batch=2)
    save(session)
    after = load_checkpoint(session.folder.best(1)).weights
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_worse_epoch_leaves_the_bundle_alone(started, finished_epoch):
    session = started()
    finished_epoch(session)
    settle(session.job, session.folder, session.state)
    stamp = session.folder.bundle.stat().st_mtime_ns
    finished_epoch(session, epoch=2, best=(1,))
    settle(session.job, session.folder, session.state)
    assert session.folder.bundle.stat().st_mtime_ns == stamp


def test_where_links_do_not_exist_a_copy_is_made(started, finished_epoch, monkeypatch):
    def refuse(*_arguments):
        raise PermissionError("no links here")

    monkeypatch.setattr(settling.os, "link", refuse)
    session = started()
    finished_epoch(session)
    settle(session.job, session.folder, session.state)
    assert session.folder.best(1).read_bytes() == session.folder.last.read_bytes()


def test_the_bundle_carries_resize_and_licence(tiny, prepared, processes, tmp_path, finished_epoch):
    augmentation = Augmentation.model_validate([{"name": "resize", "height": 8, "width": 8}])
    job = tiny.tiny_job(tmp_path / "run", prepared, augmentation=augmentation, licence="CC-BY-4.0")
    session = begin(job, RunFolder(job.folder), processes)
    finished_epoch(session)
    settle(job, session.folder, session.state)
    bundle = Bundle.load(session.folder.bundle)
    assert bundle.resize is not None
    assert (bundle.resize.height, bundle.resize.width, bundle.licence) == (8, 8, "CC-BY-4.0")
