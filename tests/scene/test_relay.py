"""The hand-over between threads: order kept, bounded, no error lost, nothing hangs."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from terrazzo.scene.relay import Consumer, Producer


class TestProducer:
    def test_items_come_in_order(self) -> None:
        with Producer(lambda: range(100), ahead=2) as produced:
            assert list(produced) == list(range(100))

    def test_is_never_further_ahead_than_allowed(self) -> None:
        made = []

        def make() -> Iterator[int]:
            for number in range(50):
                made.append(number)
                yield number

        with Producer(make, ahead=3) as produced:
            for number in produced:
                time.sleep(0.001)
                # One is in the maker's hands beside those that wait.
                assert len(made) - number - 1 <= 3 + 1

    def test_an_error_comes_after_what_was_made_before(self) -> None:
        def make() -> Iterator[int]:
            yield 1
            raise ValueError("broken")

        seen = []
        with pytest.raises(ValueError, match="broken"), Producer(make, ahead=2) as produced:
            seen.extend(produced)
        with Producer(make, ahead=2) as produced:
            assert next(iter(produced)) == 1

    def test_leaving_early_stops_the_thread_and_closes_what_it_opened(self) -> None:
        closed = threading.Event()

        def make() -> Iterator[int]:
            try:
                yield from range(10**9)
            finally:
                closed.set()

        before = threading.active_count()
        with contextlib.suppress(KeyboardInterrupt), Producer(make, ahead=1) as produced:
            next(iter(produced))
            raise KeyboardInterrupt
        assert threading.active_count() == before
        assert closed.wait(1)


class TestConsumer:
    def test_all_that_was_given_is_taken_in_order(self) -> None:
        taken: list[int] = []
        with Consumer(taken.append, ahead=2) as consumer:
            for number in range(100):
                consumer.give(number)
        assert taken == list(range(100))

    def test_an_error_is_raised_at_the_giver(self) -> None:
        def take(number: int) -> None:
            if number == 3:
                raise ValueError("broken")

        def give_all() -> None:
            with Consumer(take, ahead=1) as consumer:
                for number in range(1000):
                    consumer.give(number)

        with pytest.raises(ValueError, match="broken"):
            give_all()

    def test_an_error_in_the_last_item_is_raised_too(self) -> None:
        def take(_: int) -> None:
            time.sleep(0.02)
            raise ValueError("broken at the end")

        with pytest.raises(ValueError, match="broken at the end"), Consumer(take, ahead=4) as consumer:
            consumer.give(0)

    def test_an_error_of_the_giver_wins_and_nothing_hangs(self) -> None:
        taken: list[int] = []

        def take(number: int) -> None:
            time.sleep(0.01)
            taken.append(number)

        before = threading.active_count()
        with contextlib.suppress(KeyboardInterrupt), Consumer(take, ahead=50) as consumer:
            for number in range(50):
                consumer.give(number)
            raise KeyboardInterrupt
        assert threading.active_count() == before
        assert len(taken) < 50
