import json
import os

import pytest

from terrazzo.data.features.index import INDEX_FILE, FeatureIndex, load_index, stored


@pytest.fixture
def written(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    index = FeatureIndex({"dtype": "float16"}, {"a": stored(tmp_path / "a")})
    index.save(tmp_path)
    return index


def test_what_is_saved_is_loaded(tmp_path, written):
    assert load_index(tmp_path) == written
    assert written.shards["a"].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"recipe": {}, "shards": {}, "checksum": ""}'])
def test_a_damaged_index_is_none(tmp_path, written, damage):
    (tmp_path / INDEX_FILE).write_text(damage)
    assert load_index(tmp_path) is None


def test_a_changed_index_is_none(tmp_path, written):
    content = json.loads((tmp_path / INDEX_FILE).read_text())
    content["shards"]["a"]["bytes"] = 4
    (tmp_path / INDEX_FILE).write_text(json.dumps(content))
    assert load_index(tmp_path) is None


def test_a_file_of_another_time_is_read_before_it_is_believed(tmp_path, written):
    known, path = written.shards["a"], tmp_path / "a"
    assert known.is_untouched(path)
    os.utime(path, ns=(5, 5))
    assert not known.is_untouched(path)
    assert known.is_at(path)
    path.write_bytes(b"abd")
    assert not known.is_at(path)
    path.write_bytes(b"ab")
    assert not known.is_at(path)
    path.unlink()
    assert not known.is_at(path)
