import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.index import INDEX_FILE
from terrazzo.data.features.views import drawn, viewed
from terrazzo.data.sample import PatchKey
from terrazzo.errors import DataError

NONE = Augmentation(set="none")


def small(prepared):
    return [row for row in range(len(prepared.index)) if prepared.index.window(row)[2:] != (16, 16)]


def test_each_entry_is_found(prepared, recipe, filled, features_of):
    cache = filled(FeatureCache.of(prepared, recipe))
    for shard in cache.shards:
        for row in shard.rows:
            found = cache.read(row, shard.view, padded=shard.padded)
            expected = features_of(row, shard.view, padded=shard.padded)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_evaluation_gets_the_features_of_the_patch_as_it_is(prepared, recipe, filled, features_of):
    cache = filled(FeatureCache.of(prepared, recipe))
    dataset = PatchDataset(prepared, normalisation=recipe.normalisation, features=cache)
    plain = PatchDataset(prepared, normalisation=recipe.normalisation)
    rows = prepared.index.rows("val")
    assert cache.holds(rows)
    assert set(rows) & set(small(prepared))
    for row in rows:
        sample, expected = dataset[PatchKey(row, 3)], plain[PatchKey(row, 3)]
        assert torch.equal(sample.image, expected.image)
        assert sample.core == expected.core
        assert torch.equal(sample.features[0], features_of(row, "identity", padded=False)[0])


def test_training_gets_a_view_of_the_padded_patch_with_its_own_features(prepared, recipe, filled, features_of):
    cache = filled(FeatureCache.of(prepared, recipe))
    dataset = PatchDataset(prepared, normalisation=recipe.normalisation, augmentation=NONE, pad_to=16, features=cache)
    plain = PatchDataset(prepared, normalisation=recipe.normalisation, pad_to=16)
    views = set()
    for row in prepared.training_rows():
        for seed in range(4):
            sample, whole = dataset[PatchKey(row, seed)], plain[PatchKey(row, seed)]
            view = drawn(recipe.views, NONE, seed)
            views.add(view)
            for part in ("image", "target", "valid"):
                assert torch.equal(getattr(sample, part), viewed(getattr(whole, part), view))
            expected = features_of(row, view, padded=row in small(prepared))
            assert torch.equal(sample.features[1], expected[1])
            assert sample.core.height == 0
    assert views == {"identity", "hflip"}
    assert not cache.holds(small(prepared))


def test_loader_processes_give_the_same_batches(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    dataset = PatchDataset(prepared, normalisation=recipe.normalisation, augmentation=NONE, pad_to=16, features=cache)
    keys = [[PatchKey(row, row) for row in prepared.training_rows()[first : first + 4]] for first in (0, 4)]
    found = [list(loader(dataset, keys, workers=workers)) for workers in (0, 1)]
    for one, other in zip(*found, strict=True):
        assert torch.equal(one.image, other.image)
        assert len(one.features) == 2
        assert all(torch.equal(*pair) for pair in zip(one.features, other.features, strict=True))


def test_it_pickles_without_open_files(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    cache.read(0)
    again = pickle.loads(pickle.dumps(cache))
    assert torch.equal(again.read(0)[0], cache.read(0)[0])


def test_nothing_is_ready_before_the_index_stands(prepared, recipe, filled):
    cache = FeatureCache.of(prepared, recipe)
    assert cache.missing() == list(cache.shards)
    assert not cache.ready
    filled(cache)
    assert (cache.missing(), cache.ready, cache.settled) == ([], True, True)
    (cache.folder / INDEX_FILE).unlink()
    # As after a kill: whole files are kept, but nothing says that all are there.
    assert (cache.missing(), cache.ready, cache.settled) == ([], False, False)


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_what_is_damaged_is_missing(prepared, recipe, filled, features_of, damage):
    cache = filled(FeatureCache.of(prepared, recipe))
    path = cache.folder / cache.shards[0].name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(content if damage == "flip" else content[:-2])
    assert cache.missing() == [cache.shards[0]]
    assert not cache.ready
    before = cache.read
    filled(cache)
    assert cache.settled
    row = cache.shards[0].rows[0]
    expected = features_of(row, cache.shards[0].view, padded=cache.shards[0].padded)
    assert torch.equal(before(row, cache.shards[0].view, padded=cache.shards[0].padded)[0], expected[0])


def test_touched_files_are_hashed_once(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    os.utime(cache.folder / cache.shards[0].name, ns=(5, 5))
    assert (cache.missing(), cache.ready, cache.settled) == ([], True, False)
    cache.finish({})
    assert cache.settled


def test_a_damaged_index_makes_all_missing(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    (cache.folder / INDEX_FILE).write_text("{")
    assert cache.missing() == list(cache.shards)


def test_what_no_patch_needs_goes_and_nobody_elses_file_does(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    others = [cache.folder / "notes.txt", cache.folder / "weights.safetensors", prepared.folder / "features" / "x"]
    for path in others:
        path.write_text("mine")
    os.utime(prepared.folder / "ö 0.tif", ns=(1, 1))
    after = FeatureCache.of(prepared, recipe)
    assert after.folder == cache.folder
    assert not after.settled
    assert {shard.name for shard in after.missing()} == {s.name for s in after.shards} - {s.name for s in cache.shards}
    filled(after)
    names = {path.name for path in cache.folder.iterdir()} - {"notes.txt", "weights.safetensors", INDEX_FILE}
    assert names == {shard.name for shard in after.shards}
    assert all(path.read_text() == "mine" for path in others)


def test_a_read_of_a_missing_file_says_what_to_do(prepared, recipe, filled):
    cache = filled(FeatureCache.of(prepared, recipe))
    for shard in cache.shards:
        (cache.folder / shard.name).unlink()
    with pytest.raises(DataError, match=r"cannot be read"):
        cache.read(0)


def test_another_model_finds_nothing(prepared, recipe, filled):
    filled(FeatureCache.of(prepared, recipe))
    other = FeatureCache.of(prepared, replace(recipe, weights="of another training"))
    assert other.missing() == list(other.shards)


def test_values_of_images_do_not_matter_but_files_do(prepared, recipe):
    """What is compared is what a look at the disk tells: no image is opened."""
    here = FeatureCache.of(prepared, recipe)
    (prepared.folder / "ö 0.tif").write_bytes(np.zeros(9, np.uint8).tobytes())
    assert {s.name for s in FeatureCache.of(prepared, recipe).shards} != {s.name for s in here.shards}
