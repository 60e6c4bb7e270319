"""Claim: Terrazzo's loop costs at most 3 ms an update over a bare PyTorch loop, and at most 1.02x with Unet/resnet18.

Usage: python benchmarks/train_overhead.py [--updates 200] [--rounds 5] [--unet-updates 8] [--threads N] [--size 240]

Both loops draw the same batches from the same dataset through the same loader (patches read once and kept in memory),
with the same network, loss, optimiser, precision and threads, and take turns in one process; ours is
`terrazzo.training.loop.train_epoch`, as `fit` calls it, with TensorBoard, clipping and the check of the gradients. The
bare loop is forward, backward, clip, step. Prints milliseconds an update of both (median of the rounds) and the ratio;
exits 1 where a bar is missed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey, Sample
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import ARCHITECTURES, Architecture
from terrazzo.progress import Progress
from terrazzo.training.distributed import start
from terrazzo.training.folder import RunFolder
from terrazzo.training.loop import train_epoch
from terrazzo.training.session import Session, begin
from terrazzo.training.settings import TrainSettings
from tiny_training import OneLayer, tiny_job, tiny_prepared

BATCH, CLIP = 8, 1.0


def remember(read: Callable[[PatchDataset, PatchKey], Sample]) -> Callable[[PatchDataset, PatchKey], Sample]:
    """Keep each patch in memory, for both loops alike: what is measured is the loop, not the disk."""
    kept: dict[int, Sample] = {}

    def reading(dataset: PatchDataset, key: PatchKey) -> Sample:
        if key.row not in kept:
            kept[key.row] = read(dataset, key)
        return kept[key.row]

    return reading


def bare(session: Session, updates: list[list[list[PatchKey]]]) -> None:
    """Train an epoch as a tutorial would."""
    job, network, optimizer = session.job, session.network, session.optimizer.optimizer
    dataset = PatchDataset(
        job.prepared,
        normalisation=job.input_normalisation,
        augmentation=job.augmentation,
        pad_to=job.prepared.patch_size,
    )
    execution, ignore = session.processes.execution, job.prepared.classes.ignore
    network.train()
    for batch in loader(dataset, [keys for group in updates for keys in group]):
        with torch.autocast(execution.device, dtype=execution.dtype, enabled=execution.precision != "float32"):
            output = network(batch.image)
        loss = job.loss(output, batch.target, batch.ignored(ignore))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def measure(session: Session, *, updates: int, rounds: int) -> tuple[float, float]:
    """Return seconds an update of ours and of the bare loop: the median of rounds in turn."""
    chosen = session.updates(0)
    chosen = (chosen * (updates // len(chosen) + 1))[:updates]
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    session.updates = lambda _epoch: chosen  # type: ignore[method-assign]

    def ours() -> None:
        session.state = replace(session.state, batch=0, epoch=0)
        with Progress("train", total=len(chosen)) as progress:
            train_epoch(session, progress)

    loops: Iterable[tuple[str, Callable[[], None]]] = [("bare", lambda: bare(session, chosen)), ("ours", ours)]
    for turn in range(rounds + 1):
        for name, run in loops if turn % 2 else reversed(list(loops)):
            begun = time.perf_counter()
            run()
            if turn > 0:  # the first round warms caches and kernels
                times[name].append((time.perf_counter() - begun) / len(chosen))
    return statistics.median(times["ours"]), statistics.median(times["bare"])


def session_of(root: Path, prepared: Prepared, architecture: Architecture, machine: MachineSettings) -> Session:
    settings = TrainSettings(epochs=1, batch_size=BATCH, clip_norm=CLIP)
    job = tiny_job(root, prepared, architecture=architecture, settings=settings, machine=machine)
    job = replace(job, augmentation=Augmentation(set="none"))
    return begin(job, RunFolder(root), start(machine))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--unet-updates", type=int, default=8, help="0 leaves Unet/resnet18 out")
    parser.add_argument("--size", type=int, default=240, help="side of a patch in pixels")
    parser.add_argument("--threads", type=int, default=0, help="0 for all cores")
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    machine = MachineSettings.model_validate(
        {"threads": arguments.threads or "auto", "precision": arguments.precision, "workers": 0, "accelerator": "cpu"}
    )
    PatchDataset.__getitem__ = remember(PatchDataset.__getitem__)  # type: ignore[assignment, method-assign]
    missed = False
    with tempfile.TemporaryDirectory() as name:
        root, side = Path(name), arguments.size
        shape = (side * 2, side * 4)
        prepared = tiny_prepared(root / "data", patch=side, overlap=0, sizes={"train": [shape], "val": [(side, side)]})
        one = session_of(root / "one", prepared, OneLayer(), machine)
        print(f"{one.processes.execution}, batches of {BATCH} x 3 x {side} x {side}")
        ours, plain = measure(one, updates=arguments.updates, rounds=arguments.rounds)
        cost = (ours - plain) * 1000
        missed |= cost > 3.0
        print(f"one layer:      ours {ours * 1000:8.2f} ms, bare {plain * 1000:8.2f} ms: {cost:+.2f} ms (bar +3.00)")
        if arguments.unet_updates:
            unet = ARCHITECTURES.create("smp", architecture="unet", encoder="resnet18")
            if not isinstance(unet, Architecture):
                raise TypeError("models smp is no Architecture")
            large = session_of(root / "unet", prepared, unet, machine)
            ours, plain = measure(large, updates=arguments.unet_updates, rounds=arguments.rounds)
            missed |= ours / plain > 1.02
            ratio = f"{ours / plain:.4f}x (bar 1.02)"
            print(f"Unet/resnet18: ours {ours * 1000:8.2f} ms, bare {plain * 1000:8.2f} ms: {ratio}")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
