"""Run by test_caching.py: fills the feature cache of prepared data, and kills itself after some batches.

Takes the prepared folder and the number of batches.
"""

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from frozen_network import Frozen

from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.prepared import load_prepared
from terrazzo.progress import Event
from terrazzo.training.cached_network import recipe_of
from terrazzo.training.caching import Encoder, fill


def main(folder: Path, batches: int) -> None:
    """Fill, and die by SIGKILL on the way."""
    torch.set_num_threads(1)
    prepared = load_prepared(folder)[0]
    network = Frozen().build(bands=3, classes=3)
    recipe = recipe_of(
        Frozen(), network, prepared.normalisation, dtype="float16", views=("identity", "rot90", "transpose")
    )
    seen = 0

    def listener(event: Event) -> None:
        nonlocal seen
        seen += event.kind == "advance"
        if seen == batches:
            os.kill(os.getpid(), signal.SIGKILL)

    fill(FeatureCache.of(prepared, recipe), prepared, Encoder(network, torch.device("cpu"), 4), listener=listener)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
