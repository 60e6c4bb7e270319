"""Which batch a device is fastest with: doubled as long as that pays."""

from collections.abc import Callable
from dataclasses import dataclass

from terrazzo.errors import OutOfMemoryError

__all__ = ["BatchChoice", "choose_batch"]


@dataclass(frozen=True)
class BatchChoice:
    """The batch that was chosen.

    Attributes:
        batch: Windows at once.
        rate: Windows a second with it.
        rates: Each batch that was timed, with its rate.
    """

    batch: int
    rate: float
    rates: tuple[tuple[int, float], ...]


def choose_batch(
    rate: Callable[[int], float], *, worth: float, fits: Callable[[int], bool], goes_on: Callable[[], bool]
) -> BatchChoice:
    """Double the batch from 1 while each is clearly faster than the one before.

    Args:
        rate: Measures a batch: windows a second; 0 where it can do nothing.
        worth: How many times as fast a batch has to be, since it takes more memory and makes coarser groups.
        fits: Whether memory allows a batch; 1 is not asked.
        goes_on: Whether there is time for another.

    Raises:
        OutOfMemoryError: Not even a single window has room.

    >>> known = {1: 10.0, 2: 13.0, 4: 13.5}
    >>> choose_batch(known.__getitem__, worth=1.05, fits=lambda batch: batch < 64, goes_on=lambda: True).batch
    2
    """
    batch, best = 1, rate(1)
    rates = [(batch, best)]
    while fits(2 * batch) and goes_on():
        try:
            further = rate(2 * batch)
        except OutOfMemoryError:
            break
        rates.append((2 * batch, further))
        if further < worth * best:
            break
        batch, best = 2 * batch, further
    return BatchChoice(batch, best, tuple(rates))
