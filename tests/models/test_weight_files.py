"""Published weights on the disk: found, read and known by their bytes."""

import hashlib
import json
import os
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file

from terrazzo.errors import ModelError
from terrazzo.models.weight_files import read_tensors, settings_beside, weight_files, weights_sha256


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "größe 1.safetensors"
    save_file({"a": torch.arange(3.0), "b": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor([7])}, path)
    return path


def sharded(folder, names=("model-1.safetensors", "model-2.safetensors")):
    folder.mkdir()
    for number, name in enumerate(names):
        save_file({f"t{number}": torch.full((2,), float(number))}, folder / name)
    table = {"weight_map": {f"t{number}": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(table))
    return folder


def test_a_file_and_a_folder_with_it_are_the_same_weights(file, tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(file.read_bytes())
    assert weight_files(folder) == (folder / "model.safetensors",)
    assert weights_sha256(folder) == weights_sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_floating_tensors_are_read_in_float32_and_stay_when_the_file_changes(file):
    found = read_tensors(file)
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "a": torch.float32,
        "b": torch.float32,
        "n": torch.int64,
    }
    size = file.stat().st_size
    with file.open("r+b") as handle:
        handle.seek(size - 16)
        handle.write(b"\xff" * 16)
    assert torch.equal(found["a"], torch.arange(3.0))


def test_a_changed_file_gets_another_hash(file):
    before = weights_sha256(file)
    save_file({"a": torch.zeros(3)}, file)
    assert weights_sha256(file) != before


def test_shards_are_known_by_the_listing_of_sha256sum(tmp_path):
    folder = sharded(tmp_path / "parts")
    listing = subprocess.run("sha256sum model-*.safetensors", cwd=folder, shell=True, capture_output=True, check=True)
    assert weights_sha256(folder) == hashlib.sha256(listing.stdout).hexdigest()
    assert set(read_tensors(folder)) == {"t0", "t1"}


def test_an_incomplete_folder_is_refused(tmp_path):
    folder = sharded(tmp_path / "parts")
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks model-2\.safetensors; fetch it again"):
        weight_files(folder)
    with pytest.raises(ModelError, match="holds neither"):
        weight_files(tmp_path)
    with pytest.raises(ModelError, match="does not exist"):
        weight_files(tmp_path / "gone")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/x.safetensors", "model.bin", "sub/a.safetensors"])
def test_an_index_names_nothing_but_what_lies_beside_it(name, tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    save_file({"a": torch.zeros(1)}, tmp_path / "outside.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match=r"names no \.safetensors files beside it"):
        weight_files(folder)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"weight_map": 3}', "[" * 100_000])
def test_a_damaged_index_is_refused(content, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ModelError, match=r"index\.json"):
        weight_files(tmp_path)


def test_a_pickle_is_refused_unread(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "opened"),)

    torch.save({"a": Trap()}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="a pickle can run code"):
        read_tensors(tmp_path / "weights.pth")
    (tmp_path / "renamed.safetensors").write_bytes((tmp_path / "weights.pth").read_bytes())
    with pytest.raises(ModelError, match="damaged or no safetensors"):
        read_tensors(tmp_path / "renamed.safetensors")
    assert not (tmp_path / "opened").exists()


def test_a_truncated_file_is_refused(file):
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ModelError, match="fetch it again"):
        read_tensors(file)


def test_settings_lie_beside_a_file_and_in_a_folder(file, tmp_path):
    assert settings_beside(file, "config.json") is None
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert settings_beside(file, "config.json") == settings_beside(tmp_path, "config.json") == {"a": 1}
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ModelError, match="no JSON object"):
        settings_beside(file, "config.json")


def test_read_names_are_those_of_the_file(file):
    assert set(read_tensors(file)) == set(load_file(file))
