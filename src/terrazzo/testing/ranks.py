"""The server of `terrazzo.testing.processes`: for each line of JSON it forks two processes that train together."""

import copy
import importlib
import importlib.util
import json
import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from terrazzo.models.architecture import Architecture, Network
from terrazzo.testing.gradients import gradients, objective

__all__ = ["serve"]

RANKS = 2
WAIT = timedelta(seconds=120)


class _Objective(torch.nn.Module):
    """A network and a loss of all that it answers, as one module: processes meet in one forward pass."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return objective(self.network(images))


def serve() -> None:
    """Answer requests until standard input ends: a JSON string each, empty where all went well."""
    answers = os.dup(sys.stdout.fileno())
    # What a network prints is no answer.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for line in sys.stdin:
        os.write(answers, (json.dumps(_trained(json.loads(line))) + "\n").encode())


def _trained(request: dict[str, Any]) -> str:
    """Fork the ranks, wait for them, and return the first failure's words."""
    ranks = {_forked(request, rank): rank for rank in range(RANKS)}
    failed: list[int] = []
    running = set(ranks)
    while running:
        process, status = os.wait()
        running.discard(process)
        if os.waitstatus_to_exitcode(status) != 0:
            failed.append(ranks[process])
            for other in running:
                # It waits for one that will not come.
                os.kill(other, signal.SIGKILL)
    told = [_words(request, rank) for rank in failed]
    return next((words for words in told if words), "a process ended without a word" if failed else "")


def _words(request: dict[str, Any], rank: int) -> str:
    path = Path(request["folder"]) / f"{rank}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _forked(request: dict[str, Any], rank: int) -> int:
    """Return the number of a new process that works as a rank."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        _work(request, rank)
        status = 0
    except Exception as error:  # noqa: BLE001 - the process ends here; its words go to who asked
        words = str(error) or "".join(traceback.format_exception_only(error))
        (Path(request["folder"]) / f"{rank}.txt").write_text(words.strip(), encoding="utf-8")
    os._exit(status)


def _work(request: dict[str, Any], rank: int) -> None:
    """Compute half of a batch twice, and compare gradients with those of the halves alone.

    Raises:
        RuntimeError: A parameter took no part.
        ValueError: Gradients are not the mean.
    """
    torch.set_num_threads(1)
    meeting = (Path(request["folder"]) / "meeting").as_uri()
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=RANKS, timeout=WAIT)
    torch.manual_seed(0)
    network = _record(request).build(bands=request["images"][1], classes=request["classes"])
    images = torch.randn(request["images"], generator=torch.Generator().manual_seed(0))
    halves = [gradients(copy.deepcopy(network), images[one : one + 1])[1] for one in range(RANKS)]
    together = DistributedDataParallel(_Objective(network.train()))
    for _ in range(2):
        # The second batch shows whether all took part in the first.
        torch.manual_seed(0)
        network.zero_grad(set_to_none=True)
        together(images[rank : rank + 1]).backward()
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                _compare(name, parameter.grad, [half[name] for half in halves])
    torch.distributed.destroy_process_group()


def _compare(name: str, found: torch.Tensor | None, alone: list[torch.Tensor | None]) -> None:
    parts = [one for one in alone if one is not None]
    if found is None or len(parts) < len(alone):
        raise ValueError(f"{name} has no gradient")
    mean = torch.stack(parts).mean(dim=0)
    if float((found - mean).abs().max()) > 1e-3 * float(mean.abs().max().clamp_min(1e-6)):
        raise ValueError(f"the gradient of {name} is not the mean of the processes'")


def _record(request: dict[str, Any]) -> Architecture:
    """Return the architecture; its class is imported by name, else from its file.

    Raises:
        ModuleNotFoundError: It is in neither.
    """
    name, file = request["module"], request["file"]
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        spec = importlib.util.spec_from_file_location(name, file) if file else None
        if spec is None or spec.loader is None:
            raise
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    record = vars(module)[request["kind"]].model_validate(request["settings"])
    if not isinstance(record, Architecture):
        raise TypeError(f"{request['kind']} is no Architecture")
    return record


if __name__ == "__main__":
    serve()
