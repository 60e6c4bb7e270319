"""A machine shared out among trials."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings
from terrazzo.sweep.executors.slots import share_out, usable_cores, visible_gpus

CPU = MachineSettings(accelerator="cpu")


@given(cores=st.integers(1, 12), jobs=st.integers(1, 20))
def test_cores_are_shared_out_evenly(cores: int, jobs: int) -> None:
    slots = share_out(CPU, jobs=jobs, gpus=("0",), cores=range(cores))
    assert len(slots) == jobs
    assert {slot.gpus for slot in slots} == {()}
    assert {len(slot.cores) for slot in slots} == {max(cores // jobs, 1)}
    used = [core for slot in slots for core in slot.cores]
    assert set(used) <= set(range(cores))
    if jobs <= cores:
        assert len(used) == len(set(used))


@pytest.mark.parametrize(
    ("machine", "jobs", "gpus", "found"),
    [
        (MachineSettings(), None, ("0", "1"), [("0",), ("1",)]),
        (MachineSettings(), 1, ("0", "1"), [("0",)]),
        (MachineSettings(), 3, ("0", "1"), [("0",), ("1",), ("0",)]),
        (MachineSettings(devices=2), None, ("0", "1", "2", "3", "4"), [("0", "1"), ("2", "3")]),
        (MachineSettings(devices="auto"), None, ("GPU-a", "GPU-b"), [("GPU-a", "GPU-b")]),
        (MachineSettings(), None, (), [()]),
    ],
)
def test_each_trial_has_its_gpus(
    machine: MachineSettings, jobs: int | None, gpus: Sequence[str], found: list[tuple[str, ...]]
) -> None:
    assert [slot.gpus for slot in share_out(machine, jobs=jobs, gpus=gpus, cores=range(8))] == found


def test_more_gpus_than_there_are_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"machine.devices is 4, but 2 GPUs"):
        share_out(MachineSettings(devices=4), jobs=None, gpus=("0", "1"), cores=range(8))


def test_gpus_keep_the_names_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert visible_gpus({}) == ("0", "1")
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "3, GPU-77"}) == ("3", "GPU-77")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()


def test_usable_cores() -> None:
    assert usable_cores()
