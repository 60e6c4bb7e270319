"""Run by torchrun in test_distributed_resume.py: trains on all processes, of which one may kill itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from kill_training import SETTINGS, deadly
from terrazzo.data.prepared import load_prepared
from terrazzo.machine import MachineSettings
from terrazzo.training import checkpoint, loop
from terrazzo.training.distributed import start
from terrazzo.training.settings import TrainSettings
from tiny_training import tiny_job


def main(data: Path, folder: Path, workers: int, place: str) -> None:
    """Train; `place` is who dies where: "rank:update:call", "rank:checkpoint:call", or empty."""
    machine = MachineSettings(accelerator="cpu", precision="float32", threads=1, workers=workers)
    processes = start(machine)
    rank, what, call = place.split(":") if place else ("-1", "", "0")
    if processes.rank == int(rank) and what == "update":
        loop.update = deadly(loop.update, "after", int(call))
    if processes.rank == int(rank) and what == "checkpoint":
        checkpoint.save_file = deadly(checkpoint.save_file, "half", int(call))
    job = tiny_job(folder, load_prepared(data)[0], settings=TrainSettings.model_validate(SETTINGS), machine=machine)
    loop.fit(job, processes=processes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
