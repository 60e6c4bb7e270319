"""Probabilities counted exactly: in 65,536 levels, at whose edges thresholds lie.

A threshold that is a level's edge is a number of float32, and so is a probability times 65,536. Counting levels
therefore tells how many probabilities lie below a threshold as exactly as comparing each of them would.
"""

import torch
from jaxtyping import Float32, Int64

__all__ = ["EDGES", "LEVELS", "level_counts", "levels"]

LEVELS = 65536
"""Levels below 1; probabilities from 1 on are of one more."""


def _edges() -> tuple[int, ...]:
    """Return eight an octave from 1 to 1024, then every 256th."""
    fine = {round(2 ** (place / 8)) for place in range(10 * 8)}
    return tuple(sorted(fine | set(range(LEVELS // 64, LEVELS + 1, LEVELS // 256))))


EDGES = _edges()
"""Levels at whose lower edge thresholds are tried, above 0: fine near 0, then in steps of 1/256 up to 1."""


def levels(probabilities: Float32[torch.Tensor, "*shape"]) -> Int64[torch.Tensor, "*shape"]:
    """Return the level of each probability: `p < k / LEVELS` just if its level is below k, for k up to LEVELS.

    >>> levels(torch.tensor([0.0, 0.5, 1.0])).tolist()
    [0, 32768, 65536]
    """
    return (probabilities * LEVELS).floor().clamp(0, LEVELS).to(torch.int64)


def level_counts(found: Int64[torch.Tensor, " pixel"]) -> Int64[torch.Tensor, "level"]:
    """Return how often each level occurs, LEVELS + 1 counts.

    Args:
        found: Levels.
    """
    return torch.bincount(found, minlength=LEVELS + 1)
