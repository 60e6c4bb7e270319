"""Weights by path or by the name of a publication; nothing is fetched that nobody named."""

import logging
from unittest.mock import MagicMock

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError
from safetensors.torch import save_file

from terrazzo.errors import ModelError
from terrazzo.models.weight_source import WeightSource

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Replace the library's loader by one that notes its calls and answers from a folder."""

    class Hub:
        calls: list = []  # noqa: RUF012
        local: object = None
        remote: object = None

        def __call__(self, identifier, *, revision, allow_patterns, local_files_only=False):
            self.calls.append((identifier, revision, local_files_only))
            answer = self.local if local_files_only else self.remote
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

    found = Hub()
    found.calls = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", found)
    return found


@pytest.fixture
def snapshot(tmp_path):
    folder = tmp_path / "models--a--b" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, folder / "model.safetensors")
    return folder


def test_a_path_is_never_looked_up_on_the_hub(hub, tmp_path):
    file = tmp_path / "owner name" / "w.safetensors"
    file.parent.mkdir()
    save_file({"a": torch.zeros(1)}, file)
    found = WeightSource.of(str(file), licence="L")
    assert (found.path, found.identifier, found.revision) == (file, "owner name/w.safetensors", "file")
    for missing in (tmp_path / "gone", "gone/w.safetensors", "./owner/name", "../owner/name", "a/b/c", "name"):
        with pytest.raises(ModelError, match="does not exist"):
            WeightSource.of(str(missing), licence="L")
    assert hub.calls == []


def test_a_folder_of_this_name_comes_before_the_publication(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    save_file({"a": torch.zeros(1)}, tmp_path / "owner" / "name" / "model.safetensors")
    assert WeightSource.of("owner/name", licence="L").revision == "file"
    assert hub.calls == []


def test_what_is_on_this_machine_is_not_fetched(hub, snapshot):
    hub.local = snapshot
    found = WeightSource.of("owner/name@v1.0", licence="L")
    assert (found.path, found.identifier, found.revision) == (snapshot, "owner/name", COMMIT)
    assert hub.calls == [("owner/name", "v1.0", True)]


@pytest.mark.parametrize("kept", ["nothing", "no weights"])
def test_a_named_publication_is_fetched_and_its_licence_said(kept, hub, snapshot, tmp_path, caplog):
    hub.local = LocalEntryNotFoundError("not here") if kept == "nothing" else tmp_path
    hub.remote = snapshot
    with caplog.at_level(logging.INFO, "terrazzo"):
        assert WeightSource.of("owner/name", licence="Some Terms").path == snapshot
    assert hub.calls == [("owner/name", None, True), ("owner/name", None, False)]
    assert "Fetching owner/name" in caplog.text
    assert "Some Terms" in caplog.text


def test_without_a_connection_the_ways_out_are_named(hub):
    hub.local = hub.remote = LocalEntryNotFoundError("cannot find it.\nmore lines")
    with pytest.raises(ModelError) as caught:
        WeightSource.of("facebook/some-model@main", licence="Some Terms")
    said = str(caught.value)
    assert "facebook/some-model@main is not on this machine and cannot be fetched: cannot find it." in said
    assert "accept its licence (Some Terms)" in said
    assert "hf download facebook/some-model --local-dir FOLDER" in said
    assert "weights: FOLDER" in said
    assert "more lines" not in said


def test_the_librarys_own_refusal_offline_is_understood(monkeypatch, tmp_path):
    """No stand-in here: the real loader, told to stay offline."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="nobody/nothing is not on this machine and cannot be fetched"):
        WeightSource.of("nobody/nothing", licence="L")


def test_a_gated_publication_is_an_error_of_ours(hub):
    hub.local = LocalEntryNotFoundError("not here")
    hub.remote = GatedRepoError("Access is restricted", response=MagicMock())
    with pytest.raises(ModelError, match="cannot be fetched: Access is restricted"):
        WeightSource.of("owner/name", licence="L")
