"""Calls side by side: order kept, never far ahead, and no error or thread left behind."""

import threading
from collections.abc import Iterator

import pytest

from terrazzo.scene.lanes import in_order

pytestmark = pytest.mark.filterwarnings("error")
PATIENCE = 20.0
"""Seconds after which a test gives up instead of hanging."""


def always(_: object) -> bool:
    return True


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(lanes: int) -> None:
    waits = {number: threading.Event() for number in range(20)}

    def call(number: int) -> int:
        # Each waits for the next one if that can be under way, so that they end in the wrong order.
        if lanes > 1 and number % lanes == 0 and number + 1 < 20:
            assert waits[number + 1].wait(PATIENCE)
        waits[number].set()
        return number * number

    found = list(in_order(range(20), call, needed=always, lanes=lanes))
    assert found == [(number, number * number) for number in range(20)]


def test_items_without_a_call_keep_their_place() -> None:
    called = []

    def call(number: int) -> str:
        called.append(number)
        return str(number)

    found = list(in_order(range(7), call, needed=lambda number: number % 3 == 0, lanes=2))
    assert found == [(number, str(number) if number % 3 == 0 else None) for number in range(7)]
    assert sorted(called) == [0, 3, 6]


def test_leading_items_without_a_call_come_at_once() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(5):
            taken.append(number)
            yield number

    results = in_order(items(), str, needed=lambda number: number > 1, lanes=2)
    assert next(results) == (0, None)
    assert taken == [0]
    results.close()


@pytest.mark.parametrize("lanes", [1, 3])
def test_is_never_further_ahead_than_one_more_than_lanes(lanes: int) -> None:
    begun: list[int] = []
    for number, (item, _) in enumerate(in_order(range(50), begun.append, needed=always, lanes=lanes)):
        assert item == number
        assert len(begun) <= number + lanes + 1


def test_as_many_calls_as_lanes_run_at_once() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)
    found = list(in_order(range(6), lambda number: (together.wait(), number)[1], needed=always, lanes=3))
    assert [result for _, result in found] == list(range(6))


class TestErrors:
    def test_of_a_call_comes_in_its_place_and_ends_the_rest(self) -> None:
        begun: list[int] = []

        def call(number: int) -> int:
            begun.append(number)
            if number == 3:
                raise ValueError("broken")
            return number

        seen = []
        before = threading.active_count()
        with pytest.raises(ValueError, match="broken"):
            seen.extend(result for _, result in in_order(range(1000), call, needed=always, lanes=2))
        assert len(begun) <= 3 + 4
        assert threading.active_count() == before

    def test_of_the_items_waits_for_calls_under_way(self) -> None:
        ended: list[int] = []

        def items() -> Iterator[int]:
            yield 0
            raise ValueError("no more")

        with pytest.raises(ValueError, match="no more"):
            list(in_order(items(), ended.append, needed=always, lanes=2))
        assert ended == [0]

    def test_leaving_early_cancels_what_has_not_begun(self) -> None:
        before = threading.active_count()
        begun: list[int] = []
        results = in_order(range(1000), begun.append, needed=always, lanes=2)
        next(results)
        results.close()
        assert len(begun) <= 4
        assert threading.active_count() == before
