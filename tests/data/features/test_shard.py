import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from terrazzo.data.features import shard as module
from terrazzo.data.features.shard import ShardFile, open_shard, packed
from terrazzo.errors import DataError

ENTRIES = [
    (torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(number)), torch.full((1, 1, 2), float(number)))
    for number in range(12)
]


def write(path, dtype=torch.float16):
    entries = [tuple(one.to(dtype) for one in taps) for taps in ENTRIES]
    path.write_bytes(packed(entries, {"view": "hflip"}))
    return entries


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_entry_comes_back(tmp_path, dtype):
    entries = write(tmp_path / "a.safetensors", dtype)
    file = ShardFile(tmp_path / "a.safetensors")
    assert len(file) == len(entries)
    for number in (11, 0, 5):
        found = file.read(number)
        assert [one.dtype for one in found] == [dtype, dtype]
        assert all(torch.equal(one, expected) for one, expected in zip(found, entries[number], strict=True))


def test_it_is_a_safetensors_file_that_others_can_read(tmp_path):
    entries = write(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", "pt") as file:
        assert file.metadata() == {"terrazzo": '{"view": "hflip"}'}
        assert torch.equal(file.get_slice("0007.00")[:], entries[7][0])


def test_entries_that_share_memory_are_packed(tmp_path):
    batch = torch.randn(2, 3, 4, 4).half().contiguous(memory_format=torch.channels_last)
    (tmp_path / "a.safetensors").write_bytes(packed([(batch[0],), (batch[1],)], {}))
    assert torch.equal(ShardFile(tmp_path / "a.safetensors").read(1)[0], batch[1])


def test_one_entry_is_one_read(tmp_path, monkeypatch):
    write(tmp_path / "a.safetensors")
    file = ShardFile(tmp_path / "a.safetensors")
    reads = []
    real = os.preadv
    monkeypatch.setattr(module.os, "preadv", lambda *args: reads.append(args) or real(*args))
    file.read(3)
    assert [len(args[1][0]) for args in reads] == [(3 * 2 * 5 + 2) * 2]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], "cut off"),
        (lambda content: content + b"\0", "cut off"),
        (lambda content: content[:20], "cut off"),
        (lambda content: b"", "cut off"),
        (lambda content: b"\xff" * 8 + content[8:], "nothing sensible"),
        (lambda content: content[:8] + b"[" + content[9:], "nothing sensible"),
        (lambda content: content.replace(b'"F16"', b'"F64"'), "nothing sensible"),
    ],
    ids=["last byte", "one too many", "header", "empty", "length", "brace", "type"],
)
def test_damage_is_an_error_that_says_what_to_do(tmp_path, damage, words):
    path = tmp_path / "a.safetensors"
    write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"a\.safetensors.*{words}.*verify --fix"):
        ShardFile(path)


def test_a_file_that_is_cut_off_while_it_is_open_is_an_error_and_no_crash(tmp_path):
    path = tmp_path / "a.safetensors"
    write(path)
    file = open_shard(path)
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(DataError, match="cut off"):
        file.read(11)
    with pytest.raises(DataError, match="cut off"):
        open_shard(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        open_shard(tmp_path / "a.safetensors")


def test_files_stay_open_within_bounds_and_are_opened_again_where_they_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "OPEN_SHARDS", 2)
    for name in "abc":
        write(tmp_path / name)
    before = len(list(Path("/proc/self/fd").iterdir()))
    first = open_shard(tmp_path / "a")
    assert open_shard(tmp_path / "a") is first
    open_shard(tmp_path / "b")
    open_shard(tmp_path / "c")
    entry = first.read(0)
    assert torch.equal(entry[0], ENTRIES[0][0].half())
    del first
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
    last = open_shard(tmp_path / "c")
    write(tmp_path / "c", torch.bfloat16)
    os.utime(tmp_path / "c", ns=(5, 5))
    assert open_shard(tmp_path / "c") is not last
