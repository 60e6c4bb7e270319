"""What an earlier start has finished, looked at with the scene's pixels as they are now."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

from terrazzo.errors import DataError
from terrazzo.host_cores import usable_cores
from terrazzo.scene.header import Header
from terrazzo.scene.journal import Journal
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.reader import RowSource, hash_strip
from terrazzo.scene.strips import Strip
from terrazzo.scene.work import strip_key

__all__ = ["check_strips", "strips_of_the_same_pixels"]

# Each holds one row of windows over the scene's whole width.
_MOST_READERS = 4


def check_strips(
    journal: Journal,
    plan: ScenePlan,
    open_source: Callable[[], AbstractContextManager[RowSource]],
    header: Header,
    *,
    checked: Callable[[int], None] = lambda _strip: None,
) -> tuple[int, ...]:
    """Return the strips that need not be computed again.

    Of such a strip the file is what was written, to the last byte, and was computed from what the scene holds now, by
    what would compute it now. Pass the numbers to `Journal.keep`.

    Args:
        journal: What an earlier start has left.
        plan: How the scene is cut now.
        open_source: Opens the scene's pixels; called once a thread.
        header: What is asked and decided now.
        checked: Hears the number of each strip that was looked at, in a thread.

    Returns:
        Their numbers, in order.
    """
    keys = {number: record.key for number, record in journal.records.items()}
    return strips_of_the_same_pixels(
        keys, plan, open_source, header, checked=checked, whole=lambda number: journal.is_whole(journal.records[number])
    )


def strips_of_the_same_pixels(
    keys: Mapping[int, str],
    plan: ScenePlan,
    open_source: Callable[[], AbstractContextManager[RowSource]],
    header: Header,
    *,
    checked: Callable[[int], None],
    whole: Callable[[int], bool] = lambda _strip: True,
) -> tuple[int, ...]:
    """Return the strips whose key is what the scene's pixels give now.

    Args:
        keys: Key of each strip that was computed.
        plan: How the scene is cut now.
        open_source: Opens the scene's pixels; called once a thread.
        header: What was asked and decided.
        checked: Hears the number of each strip that was looked at, in a thread.
        whole: Whether what was computed of a strip is still there; asked first, in a thread.

    Returns:
        Their numbers, in order.
    """
    known = [strip for strip in plan.strips if strip.number in keys]
    readers = min(usable_cores(), _MOST_READERS, len(known))
    if not readers:
        return ()

    def look(part: Sequence[Strip]) -> list[int]:
        found = []
        with open_source() as source:
            for strip in part:
                if whole(strip.number) and _key(plan, source, header, strip) == keys[strip.number]:
                    found.append(strip.number)
                checked(strip.number)
        return found

    with ThreadPoolExecutor(readers, thread_name_prefix="terrazzo-check") as pool:
        return tuple(sorted(number for found in pool.map(look, _parts(known, readers)) for number in found))


def _key(plan: ScenePlan, source: RowSource, header: Header, strip: Strip) -> str | None:
    """Return the key that a strip's pixels give now; None where they cannot be read."""
    try:
        return strip_key(header.key, strip.number, hash_strip(plan, source, strip))
    except DataError:
        # That is said when it is computed again, with all that belongs to it.
        return None


def _parts(strips: Sequence[Strip], number: int) -> Iterator[Sequence[Strip]]:
    """Divide strips into runs, since neighbours share rows that are decoded once."""
    for part in range(number):
        yield strips[part * len(strips) // number : (part + 1) * len(strips) // number]
