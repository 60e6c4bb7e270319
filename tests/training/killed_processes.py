"""Run by test_distributed_resume.py: starts trainings of two processes each, in which one may kill itself.

They train by Muon, with a running mean of the weights and accumulated batches.

Takes the prepared data and a JSON list of starts, each `[folder, loader workers of process 1, place]`, and prints how
each process of each start ended, as JSON. A place is "rank:update:call", "rank:checkpoint:call", or empty. Processes
are forks of this one, which has imported everything and computed nothing: a launcher would import it again for each.
"""

import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

PROCESSES = 2


def train(data: Path, folder: Path, workers: int, place: str) -> None:
    """Train as one of the processes, and die at the place if it is this one's."""
    # Imported here, not above: loader processes import this file again, and need none of it.
    import torch

    from kill_training import SETTINGS, deadly
    from terrazzo.data.prepared import load_prepared
    from terrazzo.machine import MachineSettings
    from terrazzo.training import checkpoint, loop
    from terrazzo.training.distributed import start
    from terrazzo.training.muon import Muon
    from terrazzo.training.settings import TrainSettings
    from tiny_training import Tiny, tiny_job

    machine = MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=workers)
    processes = start(machine)
    assert processes.world_size == PROCESSES
    rank, what, call = place.split(":") if place else ("-1", "", "0")
    if processes.rank == int(rank) and what == "update":
        loop.update = deadly(loop.update, "after", int(call))
    if processes.rank == int(rank) and what == "checkpoint":
        checkpoint.save_file = deadly(checkpoint.save_file, "half", int(call))
    job = tiny_job(
        folder,
        load_prepared(data)[0],
        architecture=Tiny(hidden=1),
        optimizer=Muon(lr=3e-3),
        settings=TrainSettings.model_validate(SETTINGS | {"ema": 0.9}),
        machine=machine,
    )
    loop.fit(job, processes=processes)
    torch.distributed.destroy_process_group()


def launch(data: Path, folder: Path, workers: int, place: str) -> list[int]:
    """Start all processes as torchrun would, end the others after a failure, and return how each ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks: dict[int, int] = {}
    for rank in range(PROCESSES):
        process = os.fork()
        if process == 0:
            status = 1
            try:
                numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": PROCESSES, "LOCAL_WORLD_SIZE": PROCESSES}
                os.environ |= {name: str(number) for name, number in numbers.items()}
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GROUP_RANK": "0"}
                os.environ["TORCHELASTIC_RUN_ID"] = "killed"
                train(data, folder, workers if rank == 1 else 0, place)
                status = 0
            finally:
                os._exit(status)
        ranks[process] = rank
    codes = [0] * PROCESSES
    while ranks:
        process, ended = os.wait()
        codes[ranks.pop(process)] = os.waitstatus_to_exitcode(ended)
        if any(codes):
            for other in ranks:
                os.kill(other, signal.SIGTERM)
    return codes


if __name__ == "__main__":
    for needed in ("kill_training", "terrazzo.training.loop", "tiny_training"):
        importlib.import_module(needed)
    starts = json.loads(sys.argv[2])
    ends = [launch(Path(sys.argv[1]), Path(folder), workers, place) for folder, workers, place in starts]
    sys.stdout.write(json.dumps(ends))
