"""The feature cache of DINOv3: reading against the disk, and an epoch of head training from it against online.

    python benchmarks/feature_cache.py [--size large] [--side 512] [--patches 128] [--head linear] [--batch 8]
        [--dtype float16] [--device auto] [--rounds 4] [--folder DIR]

Random images of one patch each, a DINOv3 with random weights (`--size tiny` is a shape for trying the script), and a
cache of the identity view are written to a folder on the disk that is to be measured. Then, in turns:

* a sequential read of all files of the cache, 8 MiB at a time into one buffer, with nothing of them in memory;
* a whole epoch of entries in a training's random order, likewise: at least 80 % of that speed;
* an epoch of head training online, and one from the cache.

The best round of each counts. What is read should be larger than the disk's own memory, and times mean something only
on a machine that does nothing else.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.prepared import Prepared
from terrazzo.data.sampler import training_batches
from terrazzo.losses import CrossEntropy
from terrazzo.models.architecture import Network, build
from terrazzo.models.dinov3 import DinoV3
from terrazzo.training.cached_network import recipe_of
from terrazzo.training.caching import Encoder, fill
from terrazzo.training.objective import MEMORY_FORMAT, Objective
from tiny_training import tiny_prepared

BLOCK = 8 * 2**20
TINY = {"channels": 32, "inner": 64, "layers": 4, "heads": 4}


def forget(cache: FeatureCache) -> None:
    """Let the system drop what it keeps of the cache's files."""
    for shard in cache.shards:
        descriptor = os.open(cache.folder / shard.name, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def read_files(cache: FeatureCache) -> int:
    buffer, total = bytearray(BLOCK), 0
    for shard in cache.shards:
        descriptor = os.open(cache.folder / shard.name, os.O_RDONLY)
        while got := os.readv(descriptor, [buffer]):
            total += got
        os.close(descriptor)
    return total


def read_entries(cache: FeatureCache, prepared: Prepared, epoch: int) -> int:
    batches = training_batches(prepared.training_rows(), seed=0, epoch=epoch, batch_size=1)
    return sum(sum(one.nbytes for one in cache.read(key.row)) for batch in batches for key in batch)


def seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


class HeadTraining:
    """Epochs of training the head alone."""

    def __init__(self, network: Network, prepared: Prepared, chosen: argparse.Namespace, device: torch.device) -> None:
        self.prepared, self.batch, self.workers, self.device = prepared, chosen.batch, chosen.workers, device
        self.objective = Objective(network.to(device, memory_format=MEMORY_FORMAT), CrossEntropy()).train()
        self.optimizer = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], lr=1e-3)

    def epoch(self, features: FeatureCache | None, number: int) -> None:
        """Train one epoch, from the cache where there is one."""
        dataset = PatchDataset(
            self.prepared,
            normalisation=self.prepared.normalisation,
            augmentation=Augmentation(set="none"),
            pad_to=self.prepared.patch_size,
            features=features,
        )
        batches = training_batches(self.prepared.training_rows(), seed=0, epoch=number, batch_size=self.batch)
        for host in loader(dataset, batches, workers=self.workers, pin=self.device.type == "cuda"):
            batch = host.to(self.device)
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                loss = self.objective(batch.image, batch.target, batch.ignored(255), batch.features)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="large", help="of DINOv3: tiny, small, base, large, ...")
    parser.add_argument("--side", type=int, default=512, help="of a patch, in pixels")
    parser.add_argument("--patches", type=int, default=128)
    parser.add_argument("--head", default="linear")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="loader processes")
    parser.add_argument("--dtype", choices=("float16", "bfloat16"), default="float16")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; a temporary one by default")
    chosen = parser.parse_args()
    cuda = chosen.device == "cuda" or (chosen.device == "auto" and torch.cuda.is_available())
    device = torch.device("cuda" if cuda else "cpu")
    with tempfile.TemporaryDirectory(dir=chosen.folder) as temporary:
        shapes = {"train": [(chosen.side, chosen.side)] * chosen.patches}
        prepared = tiny_prepared(Path(temporary), patch=chosen.side, overlap=0, sizes=shapes)
        size = TINY if chosen.size == "tiny" else chosen.size
        settings = {"backbone": {"name": "dinov3_vit", "size": size}, "head": {"name": chosen.head}}
        architecture = DinoV3.model_validate(settings)
        network = build("dinov3", bands=3, classes=3, **settings)
        recipe = recipe_of(architecture, network, prepared.normalisation, dtype=chosen.dtype, views=("identity",))
        cache = FeatureCache.of(prepared, recipe)
        filling = seconds(lambda: fill(cache, prepared, Encoder(network, device, chosen.batch, chosen.workers)))
        total = sum((cache.folder / shard.name).stat().st_size for shard in cache.shards)
        print(
            f"{chosen.patches} patches of {chosen.side} pixels, DINOv3 {chosen.size}, {device.type}: "
            f"{total / 2**20:.0f} MiB in {len(cache.shards)} files, filled in {filling:.1f} s",
            flush=True,
        )
        training = HeadTraining(network, prepared, chosen, device)
        disk = entries = online = cached = float("inf")
        for number in range(chosen.rounds):
            # In turns: whoever comes second may find what a host beneath this machine has kept.
            for first in (number % 2 == 0, number % 2 == 1):
                forget(cache)
                if first:
                    disk = min(disk, seconds(lambda: read_files(cache)))
                else:
                    entries = min(entries, seconds(lambda number=number: read_entries(cache, prepared, number)))
            online = min(online, seconds(lambda number=number: training.epoch(None, number)))
            forget(cache)
            cached = min(cached, seconds(lambda number=number: training.epoch(cache, number)))
    speeds = [total / 2**20 / taken for taken in (disk, entries)]
    print(f"files, one after the other    {speeds[0]:8.0f} MiB/s")
    print(f"entries, in random order      {speeds[1]:8.0f} MiB/s")
    share = speeds[1] / speeds[0]
    print(f"share: {share:.2f} (at least 0.80: {'yes' if share >= 0.8 else 'NO'})")
    print(
        f"an epoch of the head {chosen.head}: online {online:.2f} s, from the cache {cached:.2f} s, "
        f"{online / cached:.1f} x"
    )
    return 0 if share >= 0.8 else 1


if __name__ == "__main__":
    sys.exit(main())
