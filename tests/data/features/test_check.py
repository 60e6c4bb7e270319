import os

import pytest

from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.features.check import check_features, remove_features
from terrazzo.data.features.index import INDEX_FILE
from terrazzo.progress import Event


@pytest.fixture
def cache(prepared, recipe, filled):
    return filled(FeatureCache.of(prepared, recipe))


def kinds(prepared):
    return [(finding.kind, finding.path.name) for finding in check_features(prepared.folder, workers=2)]


def test_a_folder_without_features_has_no_finding(prepared):
    assert check_features(prepared.folder) == []


def test_whole_caches_have_none_and_every_file_is_read(prepared, cache):
    events: list[Event] = []
    assert check_features(prepared.folder, listener=events.append) == []
    assert (events[-1].job, events[-1].done) == ("check features", len(cache.shards))


def test_each_fault_is_told_and_mended(prepared, cache, filled):
    first, second, third = (cache.folder / shard.name for shard in cache.shards[:3])
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    times = first.stat()
    first.write_bytes(content)
    # Even where the time of the file says nothing.
    os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))
    second.unlink()
    third.write_bytes(third.read_bytes()[:-2])
    foreign = cache.folder / f"{'0' * 32}.safetensors"
    foreign.write_bytes(b"")
    assert cache.settled is False
    expected = {("damaged", first.name), ("missing", second.name), ("damaged", third.name), ("unused", foreign.name)}
    assert set(kinds(prepared)) == expected
    remove_features(check_features(prepared.folder))
    assert not foreign.exists()
    assert kinds(prepared) == []
    assert {shard.name for shard in cache.missing()} == {first.name, second.name, third.name}
    filled(cache)
    assert (kinds(prepared), cache.settled) == ([], True)


def test_a_damaged_index_leaves_nothing_to_believe(prepared, cache):
    (cache.folder / "notes.txt").write_text("mine")
    (cache.folder / INDEX_FILE).write_text("{}")
    assert kinds(prepared) == [("index", INDEX_FILE)]
    remove_features(check_features(prepared.folder))
    assert [path.name for path in cache.folder.iterdir()] == ["notes.txt"]
    assert kinds(prepared) == []


def test_an_unfinished_cache_is_a_hint_and_stays(prepared, cache):
    (cache.folder / INDEX_FILE).unlink()
    assert kinds(prepared) == [("unfinished", INDEX_FILE)]
    remove_features(check_features(prepared.folder))
    assert cache.missing() == []


def test_foreign_folders_are_left_alone(prepared, cache):
    foreign = prepared.folder / "features" / "mine"
    foreign.mkdir()
    (foreign / INDEX_FILE).write_text("not yours")
    assert kinds(prepared) == []
