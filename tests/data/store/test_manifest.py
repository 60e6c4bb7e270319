"""The manifest: whole, or as good as absent."""

import json

import pytest

from terrazzo.data.store.manifest import MANIFEST_FILE, StoredFile, StoreManifest, load_manifest

FILE = StoredFile(bytes=3, sha256="ab", bands=2, dtype="uint8", masked=True, label=False)
MANIFEST = StoreManifest("tiles", "in", {"ö": "a.tif"}, {"a.tif": FILE}, ("a note",))


def test_it_is_read_as_it_was_written(tmp_path):
    MANIFEST.save(tmp_path)
    assert load_manifest(tmp_path) == MANIFEST


def test_it_is_complete_where_every_file_has_its_size(tmp_path):
    assert not MANIFEST.complete(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"12")
    assert not MANIFEST.complete(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"123")
    assert MANIFEST.complete(tmp_path)


@pytest.mark.parametrize("damage", ["{", "[]", "{}", '{"format": 1}'])
def test_what_is_no_manifest_is_none(tmp_path, damage):
    (tmp_path / MANIFEST_FILE).write_text(damage)
    assert load_manifest(tmp_path) is None


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("inputs", "other"), ("images", {})])
def test_a_changed_manifest_is_none(tmp_path, key, value):
    MANIFEST.save(tmp_path)
    content = json.loads((tmp_path / MANIFEST_FILE).read_text())
    (tmp_path / MANIFEST_FILE).write_text(json.dumps({**content, key: value}))
    assert load_manifest(tmp_path) is None


def test_a_folder_without_one(tmp_path):
    assert load_manifest(tmp_path / "missing") is None
