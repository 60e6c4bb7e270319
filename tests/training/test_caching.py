import errno
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.index import INDEX_FILE
from terrazzo.data.features.names import VIEWS
from terrazzo.data.features.views import viewed
from terrazzo.data.sample import PatchKey, collate
from terrazzo.errors import LockedError, ModelError, SpaceError, TrainingError
from terrazzo.losses import CrossEntropy
from terrazzo.storage import locked
from terrazzo.training import loop
from terrazzo.training.cached_network import recipe_of
from terrazzo.training.caching import Encoder, fill
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.evaluation import Examination, evaluate_split
from terrazzo.training.loop import fit
from terrazzo.training.objective import Objective
from terrazzo.training.settings import TrainSettings

CPU = torch.device("cpu")
NONE = Augmentation(set="none")


@pytest.fixture
def data(tiny, tmp_path):
    """Prepared data of our own, with patches that are smaller than the patch size in training and in evaluation."""
    return tiny.tiny_prepared(tmp_path / "prepared", sizes={"train": [(40, 28), (12, 30)], "val": [(28, 20), (9, 20)]})


@pytest.fixture
def make(frozen):
    """Return network and empty cache of some settings."""

    def build(prepared, *, views=("identity", "rot90", "transpose"), dtype="float16", **settings):
        architecture = frozen(**settings)
        network = architecture.build(bands=3, classes=3)
        recipe = recipe_of(architecture, network, prepared.normalisation, dtype=dtype, views=views)
        return network, FeatureCache.of(prepared, recipe)

    return build


@pytest.fixture
def filled(make):
    def build(prepared, **settings):
        network, cache = make(prepared, **settings)
        fill(cache, prepared, Encoder(network, CPU, 4))
        return network, cache

    return build


def contents(cache):
    return {shard.name: (cache.folder / shard.name).read_bytes() for shard in cache.shards}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_entry_is_the_features_of_that_very_image(filled, data, dtype):
    network, cache = filled(data, dtype=dtype)
    assert cache.settled
    for shard in cache.shards:
        side = data.patch_size if shard.padded else None
        dataset = PatchDataset(data, normalisation=data.normalisation, pad_to=side)
        for row in shard.rows:
            image = viewed(dataset[PatchKey(row, 0)].image, shard.view)
            expected = network.encode(image[None])
            found = cache.read(row, shard.view, padded=shard.padded)
            for one, other in zip(found, expected, strict=True):
                assert one.dtype == getattr(torch, dtype)
                torch.testing.assert_close(one.float(), other[0], rtol=2**-7, atol=1e-3)


def test_features_of_a_mirrored_image_are_not_mirrored_features(filled, data):
    network, cache = filled(data, views=("identity", "hflip"))
    row = data.training_rows()[0]
    plain, mirrored = cache.read(row)[0].float(), cache.read(row, "hflip")[0].float()
    image = PatchDataset(data, normalisation=data.normalisation)[PatchKey(row, 0)].image
    honest = network.encode(image.flip(-1)[None])[0][0]
    assert (plain.flip(-1) - honest).abs().max() > 0.1
    torch.testing.assert_close(mirrored, honest, rtol=1e-3, atol=1e-3)


class Part:
    """One of several processes, played by a thread."""

    def __init__(self, rank, barrier):
        self.rank, self.world_size, self.barrier = rank, barrier.parties, barrier

    def wait(self):
        self.barrier.wait(60)


@pytest.mark.parametrize("parties", [1, 2, 3])
def test_bits_do_not_depend_on_processes_or_loaders(make, data, parties):
    network, cache = make(data)
    fill(cache, data, Encoder(network, CPU, 4, workers=1))
    expected = contents(cache)
    shutil.rmtree(cache.folder)
    barrier = threading.Barrier(parties)
    networks = [make(data)[0] for _ in range(parties)]
    threads = [
        threading.Thread(target=fill, args=(cache, data, Encoder(one, CPU, 4, processes=Part(rank, barrier))))
        for rank, one in enumerate(networks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(cache) == expected
    assert cache.settled
    if parties > 1:
        assert all(one.encoded < network.encoded for one in networks)


def test_a_finished_cache_costs_no_work(filled, data):
    network, cache = filled(data)
    network.encode = None
    fill(cache, data, Encoder(network, CPU, 4))
    assert cache.settled


def test_only_what_is_missing_is_computed_and_all_where_that_is_asked_for(filled, data):
    network, cache = filled(data)
    before, times = contents(cache), {p.name: p.stat().st_mtime_ns for p in cache.folder.glob("*.safetensors")}
    first, second = cache.shards[0], cache.shards[-1]
    damaged = bytearray((cache.folder / first.name).read_bytes())
    damaged[-1] ^= 1
    (cache.folder / first.name).write_bytes(damaged)
    (cache.folder / second.name).unlink()
    fill(cache, data, Encoder(network, CPU, 4))
    after = {p.name: p.stat().st_mtime_ns for p in cache.folder.glob("*.safetensors")}
    assert contents(cache) == before
    assert {name for name, time in after.items() if time != times[name]} == {first.name, second.name}
    fill(cache, data, Encoder(network, CPU, 4), force=True)
    again = {p.name: p.stat().st_mtime_ns for p in cache.folder.glob("*.safetensors")}
    assert contents(cache) == before
    assert all(again[name] != after[name] for name in after)


def test_a_killed_process_leaves_whole_files_that_the_next_one_keeps(tiny, filled, make, data):
    script = Path(__file__).parent / "killed_filling.py"
    # After all batches of two files, in the middle of the third.
    done = subprocess.run([sys.executable, script, data.folder, "8"], check=False, capture_output=True, timeout=120)
    assert done.returncode == -9, done.stderr.decode()
    network, cache = make(data)
    kept = {path.name: path.stat().st_mtime_ns for path in cache.folder.glob("[0-9a-f]*.safetensors")}
    assert 0 < len(kept) < len(cache.shards)
    assert not cache.ready
    fill(cache, data, Encoder(network, CPU, 4))
    assert all((cache.folder / name).stat().st_mtime_ns == time for name, time in kept.items())
    assert not [path for path in cache.folder.iterdir() if "partial" in path.name]
    found = contents(cache)
    shutil.rmtree(cache.folder)
    assert contents(filled(data)[1]) == found


def test_too_little_room_is_told_before_anything_is_written(make, data, monkeypatch):
    network, cache = make(data)
    monkeypatch.setattr("terrazzo.storage.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(SpaceError, match=r"a cache of \d+ features \(prepare.cache: features\) needs"):
        fill(cache, data, Encoder(network, CPU, 4))
    assert [path.name for path in cache.folder.iterdir()] == [".lock"]


def test_a_disk_that_becomes_full_leaves_nothing_half_written(make, data, monkeypatch):
    network, cache = make(data)
    real, calls = Path.write_bytes, []

    def full(path, content):
        calls.append(path)
        if len(calls) == 3:
            real(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SpaceError, match=r"keeps the features that are finished; `terrazzo prepare` goes on"):
        fill(cache, data, Encoder(network, CPU, 4))
    monkeypatch.setattr(Path, "write_bytes", real)
    left = sorted(path.name for path in cache.folder.iterdir() if path.name != ".lock")
    assert set(left) < {shard.name for shard in cache.shards}
    assert len(left) >= 2
    assert not cache.ready
    before = network.encoded
    fill(cache, data, Encoder(network, CPU, 4))
    assert cache.settled
    assert network.encoded - before < sum(len(shard.rows) for shard in cache.shards)


def test_two_do_not_fill_the_same_cache(make, data):
    network, cache = make(data)
    with locked(cache.folder), pytest.raises(LockedError):
        fill(cache, data, Encoder(network, CPU, 4))


def test_what_is_too_large_for_the_type_is_told(make, filled, data):
    network, cache = make(data, scale=1e7)
    with pytest.raises(
        ModelError, match=r"Features of .*-\d are not finite in float16; set prepare\.cache_dtype: bfloat16"
    ):
        fill(cache, data, Encoder(network, CPU, 4))
    assert not (cache.folder / INDEX_FILE).exists()
    assert filled(data, scale=1e7, dtype="bfloat16")[1].settled


def test_what_is_done_is_said(make, data):
    network, cache = make(data)
    (cache.folder.parent / ("0" * 32)).mkdir(parents=True)
    (cache.folder.parent / ("0" * 32) / f"{'1' * 32}.safetensors").write_bytes(bytes(2**23))
    events = []
    fill(cache, data, Encoder(network, CPU, 4), listener=events.append)
    entries = sum(len(shard.rows) for shard in cache.shards)
    note = next(event.message for event in events if event.kind == "note")
    assert note.startswith(
        f"{entries} features in 3 views, of which {entries} are missing, at most 0.00 GiB in float16"
    )
    assert "take 0.01 GiB" in note
    assert (events[-1].done, events[-1].total) == (entries, entries)


def batches(data, cache, augmentation):
    dataset = PatchDataset(
        data, normalisation=data.normalisation, augmentation=augmentation, pad_to=data.patch_size, features=cache
    )
    return list(loader(dataset, [[PatchKey(row, 7 * row) for row in data.training_rows()]]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_training_online_and_from_the_cache_gives_the_same_loss(filled, data, dtype):
    dihedral = Augmentation(set="dihedral")
    network, cache = filled(data, views=tuple(VIEWS), dtype=dtype)
    objective = Objective(network, CrossEntropy())
    (online,), (cached,) = (batches(data, one, dihedral) for one in (None, cache))
    assert torch.equal(online.image, cached.image)
    assert torch.equal(online.target, cached.target)
    ignored = online.ignored(data.classes.ignore)
    narrow = tuple(one.to(getattr(torch, dtype)) for one in network.encode(online.image))
    loss = objective(online.image, online.target, ignored)
    read = objective(cached.image, cached.target, ignored, cached.features)
    rounded = objective(online.image, online.target, ignored, narrow)
    assert torch.equal(read, rounded)
    torch.testing.assert_close(read, loss, rtol=2**-9 if dtype == "float16" else 2**-6, atol=0)


def refuse(_self, _image):
    raise AssertionError("the frozen part was computed again")


def test_a_whole_training_reads_instead_of_computing(tiny, frozen, filled, data, processes, tmp_path, monkeypatch):
    network, cache = filled(data, views=("identity", "hflip"))
    settings = TrainSettings(epochs=2, batch_size=4, worst_samples=1)
    chosen = {"architecture": frozen(), "settings": settings, "augmentation": Augmentation.model_validate(["hflip"])}
    online = fit(tiny.tiny_job(tmp_path / "online", data, **chosen), processes=processes)
    monkeypatch.setattr(type(network), "encode", refuse)
    cached = fit(tiny.tiny_job(tmp_path / "cached", data, **chosen, features=cache), processes=processes)
    assert cached.final["train_loss"] == pytest.approx(online.final["train_loss"], rel=1e-3)
    assert cached.final["val_loss"] == pytest.approx(online.final["val_loss"], rel=1e-3)
    with pytest.raises(AssertionError, match="computed again"):
        fit(tiny.tiny_job(tmp_path / "again", data, **chosen), processes=processes)


def test_a_stop_and_resume_from_the_cache_ends_with_the_same_bits(
    tiny, frozen, filled, data, processes, tmp_path, monkeypatch
):
    _, cache = filled(data, views=("identity", "hflip"))
    settings = TrainSettings(epochs=2, batch_size=3, worst_samples=0, checkpoint_every_steps=1)
    chosen = {"architecture": frozen(), "settings": settings, "augmentation": NONE, "features": cache}
    fit(tiny.tiny_job(tmp_path / "whole", data, **chosen), processes=processes)
    real, calls = loop.update, []

    def stop(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(loop, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(tiny.tiny_job(tmp_path / "parts", data, **chosen), processes=processes)
    assert fit(tiny.tiny_job(tmp_path / "parts", data, **chosen), processes=processes).resumed
    weights = [
        load_checkpoint(tmp_path / run / "checkpoints" / "last.safetensors").weights for run in ("whole", "parts")
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_features_of_other_weights_do_not_train(tiny, frozen, filled, data, processes, tmp_path):
    _, cache = filled(data)
    job = tiny.tiny_job(tmp_path / "run", data, architecture=frozen(weights=1), augmentation=NONE, features=cache)
    with pytest.raises(TrainingError, match="other frozen weights"):
        fit(job, processes=processes)


def test_evaluation_reads_patches_as_they_are(filled, data, processes, monkeypatch):
    network, cache = filled(data)
    examination = Examination("val", data.normalisation, batch_size=3, loss=CrossEntropy())
    online = evaluate_split(network, data, examination=examination, processes=processes)
    monkeypatch.setattr(type(network), "encode", refuse)
    read = evaluate_split(network, data, examination=replace(examination, features=cache), processes=processes)
    assert read.loss == pytest.approx(online.loss, rel=1e-3)
    assert int(read.confusion.counts.sum()) == int(online.confusion.counts.sum())


def test_a_split_that_the_cache_does_not_hold_is_computed(filled, data, processes):
    """Training patches of a small image are cached as training pads them; evaluation never does."""
    network, cache = filled(data)
    examination = Examination("train", data.normalisation, batch_size=3, loss=CrossEntropy())
    online = evaluate_split(network, data, examination=examination, processes=processes)
    asked = evaluate_split(network, data, examination=replace(examination, features=cache), processes=processes)
    assert asked.loss == online.loss


def test_samples_of_a_batch_have_features_of_one_size(filled, data):
    _, cache = filled(data)
    dataset = PatchDataset(
        data, normalisation=data.normalisation, augmentation=NONE, pad_to=data.patch_size, features=cache
    )
    batch = collate([dataset[PatchKey(row, row)] for row in data.training_rows()])
    assert [one.shape[1:] for one in batch.features] == [(6, 8, 8), (4, 4, 4)]
