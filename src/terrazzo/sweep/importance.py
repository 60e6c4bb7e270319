"""Which of several varied settings matters: the share of the differences between runs that each explains alone."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from scipy import stats

from terrazzo.sweep.groups import Setting

__all__ = ["FEWEST_SETTINGS", "Importance", "importance"]

FEWEST_SETTINGS = 8
"""With fewer, chance explains as much as any setting."""
_GROUPS = 4
_SHUFFLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True)
class Importance:
    """How much one setting explains.

    Attributes:
        key: Dotted key.
        share: Share of the variance of ranks between groups of its values, 0..1 (eta squared).
        chance: The share that 19 of 20 random shuffles stay below: a smaller one says nothing.
    """

    key: str
    share: float
    chance: float


def importance(settings: Sequence[Setting], values: Sequence[float], *, seed: int = 0) -> tuple[Importance, ...]:
    """Return how much each varied setting explains, the most important first.

    Figures count by their ranks, so that a run that diverged weighs no more than a bad one. Numbers are cut into four
    groups of about equal size. What several settings do together is not told apart.

    Args:
        settings: Those with a figure.
        values: The figure of each.
        seed: Of the shuffles.

    Returns:
        Nothing for fewer than `FEWEST_SETTINGS` settings, or where all figures are equal.

    Source: Kruskal and Wallis, Use of Ranks in One-Criterion Variance Analysis, 1952.
    """
    if len(settings) < FEWEST_SETTINGS or len(set(values)) < 2:
        return ()
    ranks = np.asarray(stats.rankdata(np.asarray(values, dtype=np.float64)), dtype=np.float64)
    generator = np.random.Generator(np.random.PCG64(seed))
    shuffled = np.stack([generator.permutation(ranks) for _ in range(_SHUFFLES)])
    found = []
    for key in dict.fromkeys(key for setting in settings for key in setting.varied):
        groups = _grouped([setting.varied for setting in settings], key)
        if groups.max() == 0:
            continue
        share = float(_explained(ranks[None], groups)[0])
        chance = float(np.quantile(_explained(shuffled, groups), _LEVEL))
        found.append(Importance(key, share, chance))
    return tuple(sorted(found, key=lambda one: -one.share))


def _grouped(varied: Sequence[Mapping[str, Any]], key: str) -> Int64[np.ndarray, " setting"]:
    """Return the group that each setting's value is in, from 0."""
    values = [one.get(key) for one in varied]
    names = [json.dumps(value, sort_keys=True, default=str) for value in values]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if numeric and len(set(names)) > _GROUPS:
        order = stats.rankdata(np.asarray(values, dtype=np.float64), method="average") - 0.5
        cut: Int64[np.ndarray, " setting"] = np.minimum(order * _GROUPS / len(values), _GROUPS - 1).astype(np.int64)
        return cut
    numbers: dict[str, int] = defaultdict(lambda: len(numbers))
    return np.array([numbers[name] for name in names], dtype=np.int64)


def _explained(
    ranks: Float64[np.ndarray, "draw setting"], groups: Int64[np.ndarray, " setting"]
) -> Float64[np.ndarray, " draw"]:
    """Return the variance between the means of groups over the whole variance."""
    mean = ranks.mean(axis=1, keepdims=True)
    between = np.zeros(len(ranks))
    for group in range(int(groups.max()) + 1):
        inside = groups == group
        if inside.any():
            between += inside.sum() * (ranks[:, inside].mean(axis=1) - mean[:, 0]) ** 2
    shares: Float64[np.ndarray, " draw"] = between / ((ranks - mean) ** 2).sum(axis=1)
    return shares
