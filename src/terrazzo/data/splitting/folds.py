"""Folds: parts of the data that take turns to select, dealt so that none is short of a class."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.splitting.settings import FoldSettings
from terrazzo.errors import DataError

__all__ = ["assign_folds", "deal"]

POOL = frozenset({None, "train", "val"})
"""Roles that folds divide; what calibrates or judges stays apart."""


def assign_folds(
    entries: Sequence[ImageEntry], facts: Sequence[ImageFacts], folds: FoldSettings | None, selects: int
) -> list[ImageEntry]:
    """Give every image that trains or selects its fold, and the role that follows from it.

    Args:
        entries: Images; a fold that one has already is kept, and joined by the rest of its group.
        facts: What was found in each.
        folds: How to deal those without a fold; None where the source gives all of them.
        selects: Fold that selects; the others train.

    Returns:
        The images in the same order.

    Raises:
        DataError: An image has no fold or region, there are fewer groups than folds, or no image is in the fold that
            selects.
    """
    pool = [number for number, entry in enumerate(entries) if entry.split in POOL]
    given: dict[int, int] = {number: fold for number in pool if (fold := entries[number].fold) is not None}
    if len(given) < len(pool):
        lost = next(entries[number] for number in pool if number not in given)
        if folds is None:
            raise DataError(
                f"data.fold is {selects}, but nothing says which fold {lost.image} is in; give data.split.folds, or a "
                "source with a column of folds."
            )
        given |= _dealt(entries, facts, folds, pool, given)
    present = sorted(set(given.values()))
    if selects not in present:
        raise DataError(f"no image is in fold {selects} (data.fold); folds are {', '.join(map(str, present))}.")
    return [
        entry
        if number not in given
        else replace(entry, fold=given[number], split="val" if given[number] == selects else "train")
        for number, entry in enumerate(entries)
    ]


def _dealt(
    entries: Sequence[ImageEntry],
    facts: Sequence[ImageFacts],
    folds: FoldSettings,
    pool: Sequence[int],
    given: Mapping[int, int],
) -> dict[int, int]:
    """Return the folds of all images in the pool that have none yet."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number in pool:
        groups[_group(entries[number], folds)].append(number)
    too_high = next((number for number in given if given[number] >= folds.count), None)
    if too_high is not None:
        raise DataError(
            f"the source puts {entries[too_high].image} into fold {given[too_high]}, but data.split.folds.count is "
            f"{folds.count}: folds are 0 to {folds.count - 1}."
        )
    fixed = {name: given[number] for name, group in groups.items() for number in group if number in given}
    if len(groups) < folds.count:
        raise DataError(
            f"data.split.folds.count is {folds.count}, but there are {len(groups)} groups to deal (by {folds.by}); "
            "give fewer folds."
        )
    sizes = {name: _size(group, facts, stratify=folds.stratify) for name, group in groups.items()}
    found = deal(sizes, folds.count, seed=folds.seed, fixed=fixed)
    return {number: found[name] for name, group in groups.items() for number in group if number not in given}


def _group(entry: ImageEntry, folds: FoldSettings) -> str:
    if folds.by != "region":
        # Parts of an image, called name#part, stay together.
        return entry.image_id.rpartition("#")[0] or entry.image_id if entry.area is not None else entry.image_id
    if entry.region is None:
        raise DataError(f"data.split.folds.by is region, but {entry.image} lies in no region.")
    return entry.region


def _size(group: Sequence[int], facts: Sequence[ImageFacts], *, stratify: bool) -> list[float]:
    """Return a group's images, and with `stratify` its labelled pixels of each class."""
    labelled = np.array([facts[number].class_pixels for number in group], dtype=np.float64).sum(axis=0)
    return [float(len(group)), *(labelled.tolist() if stratify else [])]


def deal(
    sizes: Mapping[str, Sequence[float]], count: int, *, seed: int, fixed: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Deal groups to folds so that each fold gets about the same of everything that is counted.

    Every quantity is taken as a share of its total, so that a rare class weighs as much as a frequent one. The largest
    groups come first, each into the fold where the sum of all folds' squared shares grows least. Neither the order of
    the groups nor anything but the arguments matters.

    Args:
        sizes: What each group holds: equally many quantities, at least 0.
        count: Number of folds.
        seed: Decides between groups of equal size.
        fixed: Folds of groups that are not dealt, but count.

    Returns:
        The fold of each group, from 0.

    >>> deal({"a": [3.0], "b": [2.0], "c": [1.0]}, 2, seed=0)
    {'a': 0, 'b': 1, 'c': 1}
    """
    names = sorted(sizes)
    table = np.array([sizes[name] for name in names], dtype=np.float64)
    totals = table.sum(axis=0)
    shares: Float64[np.ndarray, "group quantity"] = table[:, totals > 0] / totals[totals > 0]
    loads = np.zeros((count, shares.shape[1]))
    found = dict(fixed or {})
    for name, fold in found.items():
        loads[fold] += shares[names.index(name)]
    order = sorted(
        (number for number, name in enumerate(names) if name not in found),
        key=lambda number: (-float(shares[number].sum()), _hash(seed, names[number])),
    )
    for number in order:
        # (load + share)^2 - load^2 grows with load x share: the rest is the same in every fold.
        growth = loads @ shares[number]
        fold = min(range(count), key=lambda one: (float(growth[one]), float(loads[one].sum()), one))
        loads[fold] += shares[number]
        found[names[number]] = fold
    return {name: found[name] for name in names}


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()
