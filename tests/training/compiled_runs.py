"""Run by test_compiled.py: short trainings, compiled with torch's eager backend, which traces and needs no compiler.

In a process of its own, since types checked at run time cannot be traced. Takes the prepared data, a folder for the
runs and the backend, and prints what was found as JSON.
"""

import functools
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from terrazzo.bundle import Bundle
from terrazzo.data.prepared import load_prepared
from terrazzo.training import loop
from terrazzo.training.checkpoint import load_checkpoint
from terrazzo.training.folder import RunFolder
from terrazzo.training.muon import Muon
from terrazzo.training.settings import TrainSettings
from tiny_training import Tiny, tiny_job

made: list[tuple[int, ...]] = []


def counting(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> object:
    """Compile nothing, and note the size of the batch that the graph is for."""
    images = [one for one in inputs if isinstance(one, torch.Tensor) and one.ndim == 4 and one.shape[2] == 16]
    made.append(tuple(images[0].shape))
    return graph.forward


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


def main(data: Path, out: Path, backend: str) -> None:
    torch.compile = functools.partial(torch.compile, backend=counting if backend == "counting" else backend)
    prepared = load_prepared(data)[0]

    def run(name: str, **changes: object) -> dict[str, torch.Tensor]:
        given = {"epochs": 2, "batch_size": 4, "worst_samples": 0, "compile": True, "checkpoint_every_steps": 2}
        settings = TrainSettings.model_validate(given | {"ema": 0.9} | changes)
        loop.fit(tiny_job(out / name, prepared, settings=settings, architecture=Tiny(hidden=1), optimizer=Muon()))
        found = load_checkpoint(RunFolder(out / name).last)
        return {**found.weights, **{f"mean {key}": value for key, value in found.average.items()}}

    whole = run("whole")
    sizes = list(made)
    calls, real = [], loop.update

    def stopping(*arguments: object) -> float:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    loop.update = stopping
    try:
        run("stopped")
    except KeyboardInterrupt:
        loop.update = real
    torch._dynamo.reset()
    resumed = run("stopped")
    found = {
        "sizes": sizes,
        "stopped": len(calls),
        "resumed equals whole": same(whole, resumed),
        "equals uncompiled": same(whole, run("plain", compile=False)),
        "names": sorted(Bundle.load(out / "whole").weights),
        "rows": len(prepared.training_rows()),
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
