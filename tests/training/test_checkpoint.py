import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from terrazzo.errors import TrainingError
from terrazzo.training.checkpoint import (
    Best,
    Checkpoint,
    RunState,
    flatten_optimizer,
    load_checkpoint,
    read_state,
    restore_optimizer,
    save_checkpoint,
)
from terrazzo.training.optim import Adam, AdamW, Optimizer, Sgd

STATE = RunState(
    fingerprint="abc",
    world_size=2,
    epoch=3,
    batch=5,
    step=40,
    updates=39,
    partial=((1.25, 8.0), (0.1, 7.0)),
    partial_seconds=1.5,
    seconds=20.0,
    history=({"epoch": 1, "val_miou": None, "lr": 0.1, "a last one": 1 / 3},),
    best=(Best(2, 0.5), Best(1, 0.25)),
    reference=0.5,
    stale=1,
    events={"events.out.tfevents.1.ä": 120},
    scaler={"scale": 65536.0, "_growth_tracker": 3},
    numbers={"0/step": 4},
)


def trained(record: Optimizer) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    optimizer = record.build(network)
    for _ in range(3):
        network(torch.randn(2, 2, 6, 6)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network, optimizer


def checkpoint_of(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> Checkpoint:
    tensors, numbers = flatten_optimizer(optimizer)
    return Checkpoint(replace(STATE, numbers=numbers), network.state_dict(), tensors)


def test_the_state_survives_json_whole():
    assert RunState.from_json(STATE.as_json()) == STATE


def test_columns_keep_their_order():
    assert list(RunState.from_json(STATE.as_json()).history[0]) == ["epoch", "val_miou", "lr", "a last one"]


@pytest.mark.parametrize("record", [AdamW(), Adam(), Sgd(), Sgd(momentum=0, nesterov=False)])
def test_a_restored_optimizer_goes_on_to_the_same_bits(record, tmp_path):
    network, optimizer = trained(record)
    save_checkpoint(tmp_path / "a checkpoint.safetensors", checkpoint_of(network, optimizer))
    loaded = load_checkpoint(tmp_path / "a checkpoint.safetensors")
    torch.manual_seed(99)
    other = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    other.load_state_dict(loaded.weights)
    restored = record.build(other)
    restore_optimizer(restored, loaded)
    image = torch.randn(2, 2, 6, 6)
    for one, stepper in ((network, optimizer), (other, restored)):
        one(image).square().sum().backward()
        stepper.step()
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), other.state_dict().values(), strict=True)
    )


def test_only_the_state_can_be_read(tmp_path):
    save_checkpoint(tmp_path / "c.safetensors", checkpoint_of(*trained(Sgd())))
    assert replace(read_state(tmp_path / "c.safetensors"), numbers=STATE.numbers) == STATE


def test_tied_and_strided_and_scalar_tensors_are_kept(tmp_path):
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    weights = {"a": weight, "b": weight, "count": torch.tensor(7), "half": torch.ones(3, dtype=torch.bfloat16)}
    save_checkpoint(tmp_path / "c.safetensors", Checkpoint(STATE, weights, {}))
    loaded = load_checkpoint(tmp_path / "c.safetensors").weights
    assert sorted(loaded) == sorted(weights)
    assert all(
        torch.equal(loaded[name], weights[name]) and loaded[name].dtype == weights[name].dtype for name in weights
    )


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint_of(*trained(AdamW())))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="does not match its checksum"):
        load_checkpoint(path)


def test_a_changed_state_is_noticed(tmp_path):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint_of(*trained(AdamW())))
    path.write_bytes(path.read_bytes().replace(b'\\"epoch\\": 3', b'\\"epoch\\": 4'))
    assert read_state(path).epoch == 4
    with pytest.raises(TrainingError, match="checksum"):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 4, 60, 0.5])
def test_a_truncated_file_is_refused(tmp_path, kept):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, checkpoint_of(*trained(AdamW())))
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if kept < 1 else int(kept)])
    with pytest.raises(TrainingError, match=r"c\.safetensors cannot be used.*copy a best"):
        load_checkpoint(path)


def test_a_missing_file_is_refused(tmp_path):
    for reader in (load_checkpoint, read_state):
        with pytest.raises(TrainingError, match="nothing here"):
            reader(tmp_path / "nothing here.safetensors")


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(TrainingError, match="no checkpoint of format 1"):
        load_checkpoint(path)
    save_file({"weight": torch.ones(2)}, path, metadata={"format": "2", "state": "{}"})
    with pytest.raises(TrainingError, match="says '2'"):
        read_state(path)


@pytest.mark.parametrize("state", ["[]", "{", json.dumps({"partial": [], "history": [], "best": [], "more": 1})])
def test_an_unreadable_state_is_refused(tmp_path, state):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.ones(2)}, path, metadata={"format": "1", "state": state})
    with pytest.raises(TrainingError, match="state cannot be read"):
        read_state(path)


def test_a_state_of_other_parameters_is_refused():
    network, optimizer = trained(AdamW())
    small = torch.nn.Linear(2, 2)
    with pytest.raises(TrainingError, match="state of 4 parameters, but the network has 2"):
        restore_optimizer(AdamW().build(small), checkpoint_of(network, optimizer))


def test_writing_replaces_and_leaves_nothing_beside(tmp_path):
    network, _ = trained(Sgd())
    for epoch in (1, 2):
        state = replace(STATE, epoch=epoch)
        save_checkpoint(tmp_path / "last.safetensors", Checkpoint(state, network.state_dict(), {}))
    assert read_state(tmp_path / "last.safetensors").epoch == 2
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
