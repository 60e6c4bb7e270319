import dataclasses
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from terrazzo.errors import ConfigError
from terrazzo.losses import CrossEntropy
from terrazzo.machine import MachineSettings
from terrazzo.training.distributed import Processes, start, started_together
from terrazzo.training.evaluation import Examination, evaluate_split

SCRIPT = Path(__file__).parent / "two_processes.py"


def test_alone_there_is_nothing_to_add(processes):
    values = torch.tensor([3, 4])
    assert processes.total(values) is values
    assert processes.each(values).tolist() == [[3, 4]]
    assert (processes.rank, processes.world_size, processes.first) == (0, 1, True)
    assert processes.device == torch.device("cpu")
    processes.share_buffers(torch.nn.BatchNorm2d(2))
    processes.wait()


def test_float32_and_bfloat16_have_no_loss_scaler(processes):
    assert processes.scaler is None
    assert start(MachineSettings(accelerator="cpu", precision="bfloat16", threads=1)).scaler is None


def test_what_the_machine_lacks_is_refused():
    with pytest.raises(ConfigError):
        start(MachineSettings(accelerator="cpu", precision="float16", threads=1))


def test_two_processes_count_as_one(tiny, prepared, processes: Processes, tmp_path: Path):
    torch.manual_seed(5)
    network = tiny.Tiny().build(bands=3, classes=3)
    examination = Examination(
        "val", prepared.normalisation, batch_size=3, loss=CrossEntropy(), worst=3, boundary_tolerances=(0, 2)
    )
    alone = evaluate_split(network, prepared, examination=examination, processes=processes)
    both = runpy.run_path(str(SCRIPT))
    stepwise = Examination("val", prepared.normalisation, batch_size=3, halting_rule=both["REFINER"].halting_rule)
    refined = evaluate_split(both["refiner"](), prepared, examination=stepwise, processes=processes)
    assert len({tuple(step.counts.flatten().tolist()) for step in refined.steps}) > 1
    assert 1 < refined.average_steps < 3
    out = tmp_path / "found.json"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launcher, str(SCRIPT), str(prepared.folder), str(out)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(out.read_text())
    assert found["world_size"] == found["state"] == 2
    assert found["confusion"] == alone.confusion.counts.tolist()
    assert found["loss"] == alone.loss
    assert found["boundaries"] == alone.boundaries.numbers().tolist()
    assert sum(found["boundaries"]) > 0
    assert found["step_confusions"] == [step.counts.tolist() for step in refined.steps]
    assert found["average_steps"] == refined.average_steps
    assert found["worst"] == [dataclasses.asdict(score) for score in alone.worst]
    rows, in_a_round = len(prepared.training_rows()), 2 * 2 * 2
    assert found["steps"] == 2 * -(-rows // in_a_round)
    assert found["equal_weights"]
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}, True),
        ({"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "1"}, False),
        ({"WORLD_SIZE": "2"}, False),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train"}, True),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}, False),
    ],
)
def test_a_launcher_is_seen(given, expected, monkeypatch):
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert started_together() is expected
