"""Which patches make which batch: everything a function of the arguments, so that any stop can be taken up again.

Nothing is remembered between calls and no global generator is touched. An epoch's order and every sample's seed come
from counter-based generators keyed by (seed, epoch), so a resumed run, another number of loader processes or a fresh
process gets the same batches.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64, UInt64

from terrazzo.data.patches import PatchIndex
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey
from terrazzo.errors import ConfigError, DataError

__all__ = ["balanced_weights", "evaluation_batches", "training_batches"]

ORDER_STREAM, SEED_STREAM = 0, 1
"""Each kind of number comes from a stream of its own."""


def training_batches(
    rows: Sequence[int],
    *,
    weights: Sequence[float] | Float64[np.ndarray, " row"] | None = None,
    seed: int,
    epoch: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[list[PatchKey]]:
    """Return one process's batches of one epoch.

    Without weights, every row comes once in random order; with weights, as many rows are drawn with replacement. On one
    process the last batch may be smaller. On several, batches of the global order are dealt in turn, all full and
    equally many for each: the last round is filled up from the epoch's beginning (with seeds of their own). A sample's
    seed depends on its place in the global order, never on the process that reads it.

    Args:
        rows: Rows of the patch index to train on.
        weights: How likely each row is, at least 0, in any unit; uniform without replacement if None.
        seed: The run's seed, at least 0.
        epoch: Number of the epoch from 0.
        batch_size: Patches in one process's batch.
        rank: Number of this process.
        world_size: Processes in all.

    Raises:
        ConfigError: A number is out of its range.
        DataError: There is no row, or the weights do not fit them.
    """
    _check_dealing(batch_size, rank, world_size)
    if min(seed, epoch) < 0:
        raise ConfigError(f"seed and epoch must be at least 0, not {seed} and {epoch}.")
    if not len(rows):
        raise DataError("There is no patch to train on; check the split and `data.max_ignored_share`.")
    order = _order(len(rows), weights, seed, epoch)
    if world_size > 1:
        in_a_round = batch_size * world_size
        order = np.resize(order, math.ceil(len(order) / in_a_round) * in_a_round)
    # 63 bits: what a torch generator and every signed integer in between can hold.
    seeds = (_stream(seed, epoch, SEED_STREAM, len(order)) >> np.uint64(1)).tolist()
    keys = [PatchKey(int(rows[position]), number) for position, number in zip(order.tolist(), seeds, strict=True)]
    batches = [keys[first : first + batch_size] for first in range(0, len(keys), batch_size)]
    return batches[rank::world_size]


def _stream(seed: int, epoch: int, stream: int, count: int) -> UInt64[np.ndarray, " count"]:
    """Raw 64-bit numbers, which numpy promises never to change for a bit generator.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), Philox-4x64-10.
    """
    numbers: np.ndarray = np.random.Philox(np.random.SeedSequence([seed, epoch, stream])).random_raw(count)
    return numbers


def _order(
    count: int, weights: Sequence[float] | Float64[np.ndarray, " row"] | None, seed: int, epoch: int
) -> Int64[np.ndarray, " count"]:
    """Positions in `rows`, in the epoch's order."""
    numbers = _stream(seed, epoch, ORDER_STREAM, count)
    if weights is None:
        return np.argsort(numbers, kind="stable")
    chances = np.asarray(weights, dtype=np.float64)
    if len(chances) != count:
        raise DataError(f"{len(chances)} weights were given for {count} patches.")
    if not (np.isfinite(chances).all() and (chances >= 0).all() and chances.sum() > 0):
        raise DataError("Weights of patches must be finite, at least 0, and above 0 for at least one patch.")
    bounds = np.cumsum(chances)
    # 53 bits fill a double's fraction, so that the draw lies in [0, total).
    draws = (numbers >> np.uint64(11)).astype(np.float64) * 2.0**-53 * bounds[-1]
    # Rounding may lift a draw onto the total: the last patch with a chance takes it.
    drawn: np.ndarray = np.minimum(np.searchsorted(bounds, draws, side="right"), np.flatnonzero(chances)[-1])
    return drawn.astype(np.int64)


def evaluation_batches(
    index: PatchIndex | Prepared, rows: Sequence[int], *, batch_size: int, rank: int = 0, world_size: int = 1
) -> list[tuple[int, list[PatchKey]]]:
    """Return one process's batches of an evaluation, each with its number among all processes' batches.

    Patches of equal shape go together in the order of `rows`, never padded, and shapes follow one another as they first
    appear. The batches are the same whatever the number of processes; they are dealt whole, in turn.

    Args:
        index: The patch index, or the prepared data that holds it.
        rows: Rows of the index to evaluate, each once.
        batch_size: At most this many patches in a batch.
        rank: Number of this process.
        world_size: Processes in all.

    Raises:
        ConfigError: A number is out of its range.
        DataError: A row is listed twice, which would count its pixels twice.
    """
    _check_dealing(batch_size, rank, world_size)
    if len(set(rows)) != len(rows):
        raise DataError(f"{len(rows) - len(set(rows))} patches are listed twice for evaluation; list each once.")
    patches = index.index if isinstance(index, Prepared) else index
    heights, widths = (patches.frame[side].to_numpy() for side in ("height", "width"))
    by_shape: dict[tuple[int, int], list[PatchKey]] = {}
    for row in rows:
        by_shape.setdefault((int(heights[row]), int(widths[row])), []).append(PatchKey(int(row), 0))
    batches = [
        keys[first : first + batch_size] for keys in by_shape.values() for first in range(0, len(keys), batch_size)
    ]
    return list(enumerate(batches))[rank::world_size]


def _check_dealing(batch_size: int, rank: int, world_size: int) -> None:
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1, not {batch_size}.")
    if not 0 <= rank < world_size:
        raise ConfigError(f"rank must lie in 0..{world_size - 1}, not {rank}.")


def balanced_weights(index: PatchIndex, rows: Sequence[int]) -> Float64[np.ndarray, " row"]:
    """Return weights of patches that make every class equally likely.

    Drawing by them is drawing a class, each of those present equally likely, then one of its labelled pixels in `rows`,
    each equally likely, and taking that pixel's patch: the weight of patch p is the sum over classes c of
    pixels(p, c) / pixels(c). A class without a labelled pixel takes no part; a patch without one has weight 0.

    Args:
        index: The patch index.
        rows: Rows to draw from.

    Returns:
        One weight a row, at least 0; their sum is the number of classes present.

    Raises:
        DataError: No pixel of these patches is labelled.
    """
    counts = np.array([index.frame["counts"].iloc[row] for row in rows], dtype=np.float64).reshape(len(rows), -1)
    totals = counts.sum(axis=0)
    if not (totals > 0).any():
        raise DataError("No pixel of the training patches is labelled, so classes cannot be balanced.")
    weights: np.ndarray = (counts[:, totals > 0] / totals[totals > 0]).sum(axis=1)
    return weights
