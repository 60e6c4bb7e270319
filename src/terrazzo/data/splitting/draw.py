"""Drawing one of several parts by a hash of a name: the same name and shares always draw the same part."""

import hashlib
from collections.abc import Mapping

__all__ = ["drawn"]


def drawn(key: str, shares: Mapping[str, float]) -> str:
    """Return the part that a name draws, each as likely as its share; it depends on nothing but the arguments.

    Args:
        key: The name; another one draws anew.
        shares: Share of each part, at least 0 and 1 in all; their order counts, parts of share 0 are never drawn.

    >>> drawn("0:a", {"train": 1.0, "val": 0.0})
    'train'
    """
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "big") / 2**56
    reached = 0.0
    positive = [part for part, share in shares.items() if share > 0]
    for part in positive:
        reached += shares[part]
        if number < reached:
            return part
    return positive[-1]
