"""Claim: where cells settle one by one, a step costs about what the blocks cost in which cells still change.

Usage: python benchmarks/cell_halting.py [--side 512] [--tiles 4] [--rounds 5]

Times a step of each refiner on tiles of which a square, or single cells strewn at random, still change, by blocks and
as a whole map, one after the other in the same run, and prints their ratio beside the share of cells that blocks make
of it. The largest difference of the answers stands beside it. Exits 1 if blocks are slower than the whole map by more
than 5 %, or if answers differ by more than 1e-3.
"""

import argparse
import statistics
import sys
import time
from dataclasses import replace

import torch

from terrazzo.models.architecture import build
from terrazzo.models.refiner.blocks import blocks_around

SHARES = (0.01, 0.05, 0.2, 0.5)


def left_over(height: int, width: int, share: float, *, strewn: bool, tiles: int) -> torch.Tensor:
    """Return cells that still change."""
    generator = torch.Generator().manual_seed(0)
    if strewn:
        return torch.rand(tiles, height, width, generator=generator) < share
    changing = torch.zeros(tiles, height, width, dtype=torch.bool)
    rows, columns = round(height * share**0.5), round(width * share**0.5)
    for tile in range(tiles):
        top = int(torch.randint(0, height - rows + 1, (), generator=generator))
        left = int(torch.randint(0, width - columns + 1, (), generator=generator))
        changing[tile, top : top + rows, left : left + columns] = True
    return changing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--tiles", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bad = False
    print(
        f"{'refiner':15}{'changing':>10}{'where':>9}{'cells':>8}{'whole':>10}{'blocks':>10}{'ratio':>8}{'difference':>12}"
    )
    for name in ("trm", "trm_deepglobe"):
        torch.manual_seed(0)
        network = build(name, classes=6, pixel_act=True).eval()
        # The published net works at full resolution.
        side = options.side if network.stride > 1 else options.side // 2
        with torch.inference_mode():
            first = network.step(network.start(torch.rand(options.tiles, 3, side, side)))
            height, width = first.change.shape[1:]
            for strewn in (False, True):
                for share in SHARES:
                    frozen = ~left_over(height, width, share, strewn=strewn, tiles=options.tiles)
                    state = replace(first, frozen=frozen, skipped=torch.zeros_like(frozen, dtype=torch.int32))
                    reach = network.reach
                    whole, blocks = blocks_around(~frozen, reach=reach)
                    cells = len(whole) * height * width + sum(h * w * len(some) for (h, w), some in blocks.items())
                    seconds: dict[bool, list[float]] = {True: [], False: []}
                    answers = {}
                    for _ in range(options.rounds):
                        for in_blocks in (True, False):
                            network.reach = reach if in_blocks else None
                            begun = time.perf_counter()
                            answers[in_blocks] = network.step(state).logits
                            seconds[in_blocks].append(time.perf_counter() - begun)
                    network.reach = reach
                    dense, fast = statistics.median(seconds[False]), statistics.median(seconds[True])
                    difference = float((answers[True] - answers[False]).abs().max())
                    bad |= fast > 1.05 * dense or difference > 1e-3
                    where = "strewn" if strewn else "square"
                    print(
                        f"{name:15}{100 * share:9.0f}%{where:>9}{cells / frozen.numel():8.2f}{1000 * dense:8.0f} ms"
                        f"{1000 * fast:8.0f} ms{fast / dense:8.2f}{difference:12.1e}",
                        flush=True,
                    )
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
