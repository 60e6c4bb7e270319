"""Run by torchrun in test_distributed.py: evaluates a fixed network and trains a short run on all processes."""

import dataclasses
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from terrazzo.data.prepared import load_prepared
from terrazzo.losses import CrossEntropy
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import Network
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.refiner.trm import Trm
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.distributed import start
from terrazzo.training.evaluation import Examination, evaluate_split
from terrazzo.training.loop import fit
from terrazzo.training.settings import TrainSettings
from tiny_training import Tiny, tiny_job

MACHINE = MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=0)
REFINER = Trm(width=4, backbone=Stem(width=4, blocks=0), t_min=1, t_max=3)


def refiner() -> Network:
    """Return a refiner whose tiles stop after different steps: its halting head is no longer as it was initialised."""
    torch.manual_seed(6)
    network = REFINER.build(bands=3, classes=3)
    for name, parameter in network.named_parameters():
        if "halt" in name:
            torch.nn.init.normal_(parameter, std=2.0)
    return network


def main(data: Path, out: Path) -> None:
    prepared = load_prepared(data)[0]
    processes = start(MACHINE)
    torch.manual_seed(5)
    network = Tiny().build(bands=3, classes=3)
    if not processes.first:
        network.layers[1].running_mean += 1.0  # evaluation must use the first process's statistics
    examination = Examination(
        "val", prepared.normalisation, batch_size=3, loss=CrossEntropy(), worst=3, boundary_tolerances=(0, 2)
    )
    found = evaluate_split(network, prepared, examination=examination, processes=processes)
    stepwise = Examination("val", prepared.normalisation, batch_size=3, halting_rule=REFINER.halting_rule)
    refined = evaluate_split(refiner(), prepared, examination=stepwise, processes=processes)
    settings = TrainSettings(epochs=2, batch_size=2, accumulate=2, worst_samples=1)
    job = tiny_job(out.parent / "run", prepared, settings=settings, machine=MACHINE)
    summary = fit(job, processes=processes)
    weights = torch.cat([value.flatten().double() for value in job_weights(network=summary.bundle)])
    same = processes.each(weights.sum().reshape(1))
    if processes.first:
        content = {
            "confusion": found.confusion.counts.tolist(),
            "loss": found.loss,
            "boundaries": found.boundaries.numbers().tolist() if found.boundaries is not None else None,
            "step_confusions": [step.counts.tolist() for step in refined.steps],
            "average_steps": refined.average_steps,
            "worst": [dataclasses.asdict(score) for score in found.worst],
            "world_size": processes.world_size,
            "steps": summary.steps,
            "equal_weights": bool((same == same[0]).all()),
            "state": load_checkpoint(job.folder / "checkpoints" / "last.safetensors").state.world_size,
        }
        out.write_text(json.dumps(content))


def job_weights(network: Path) -> list[torch.Tensor]:
    from terrazzo.bundle import Bundle

    return list(Bundle.load(network).weights.values())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
