"""Every strip is computed, whoever ends or dawdles; and workers stay with their scene."""

import random

import pytest

from terrazzo.scene.workforce.dealing import Dealing, StripTask


def dealing_of(*scenes: int, **settings: object) -> Dealing:
    dealing = Dealing(**settings)
    for number, strips in enumerate(scenes):
        dealing.add(f"scene {number}", dict.fromkeys(range(strips), 10))
    return dealing


def test_a_worker_stays_with_its_scene_and_goes_downwards() -> None:
    dealing = dealing_of(3, 3)
    found = [dealing.next("a", 0.0) for _ in range(6)]
    assert found == [StripTask(f"scene {scene}", strip) for scene in (0, 1) for strip in (0, 1, 2)]
    assert dealing.next("a", 0.0) is None


def test_a_second_worker_begins_a_scene_of_its_own_and_then_helps_from_the_end_of_the_longest() -> None:
    dealing = dealing_of(4, 6, 1)
    assert dealing.next("a", 0.0) == StripTask("scene 0", 0)
    assert dealing.next("b", 0.0) == StripTask("scene 1", 0)
    assert dealing.next("c", 0.0) == StripTask("scene 2", 0)
    assert dealing.next("c", 0.0) == StripTask("scene 1", 5)
    # The helper has moved there, and goes on in order.
    assert dealing.next("b", 0.0) == StripTask("scene 1", 1)


def test_strips_of_a_worker_that_ends_are_dealt_next() -> None:
    dealing = dealing_of(5)
    assert [dealing.next("a", 0.0).strip for _ in range(2)] == [0, 1]
    assert dealing.next("b", 0.0).strip == 4  # from the end: a is above
    assert dealing.held("a") == (StripTask("scene 0", 0), StripTask("scene 0", 1))
    assert dealing.lost("a") == ()
    assert dealing.held("a") == ()
    assert [dealing.next("b", 0.0).strip for _ in range(4)] == [0, 1, 2, 3]
    assert dealing.left("scene 0") == 5


def test_what_ends_its_workers_is_given_up_and_the_rest_goes_on() -> None:
    dealing = dealing_of(2, losses=2)
    first = dealing.next("a", 0.0)
    assert dealing.lost("a") == ()
    assert dealing.next("b", 0.0) == first
    assert dealing.lost("b") == (first,)
    assert dealing.next("c", 0.0) == StripTask("scene 0", 1)
    assert dealing.next("c", 0.0) is None


def test_a_strip_that_takes_far_longer_than_others_is_dealt_twice_and_counts_once() -> None:
    dealing = dealing_of(7, slowness=3.0)
    slow = dealing.next("slow", 0.0)
    for second in range(6):
        assert dealing.finished("a", dealing.next("a", float(second)), second + 1.0)
    # The usual strip takes one second: this one is overdue after three.
    assert dealing.next("a", 2.9) is None
    assert dealing.next("a", 3.1) == slow
    assert dealing.next("b", 100.0) is None, "two copies are enough"
    assert dealing.finished("a", slow, 7.0)
    assert dealing.left("scene 0") == 0
    assert not dealing.finished("slow", slow, 50.0)


def test_what_waits_behind_an_overdue_strip_is_overdue_with_it_and_only_then() -> None:
    dealing = dealing_of(8, slowness=3.0)
    held = [dealing.next("slow", 0.0), dealing.next("slow", 0.0)]
    for second in range(6):
        dealing.finished("a", dealing.next("a", float(second)), second + 1.0)
    dealing.finished("slow", held[0], 10.0)
    assert dealing.next("a", 12.0) is None, "it has begun at 10 only"
    assert dealing.next("a", 14.0) == held[1]


def test_a_copy_needs_no_second_dealing_where_one_of_both_workers_ends() -> None:
    dealing = dealing_of(7)
    slow = dealing.next("slow", 0.0)
    for second in range(6):
        dealing.finished("a", dealing.next("a", float(second)), second + 1.0)
    assert dealing.next("a", 50.0) == slow
    dealing.lost("slow")
    assert dealing.next("b", 51.0) is None, "a still has it, and is not overdue"
    dealing.lost("a")
    assert dealing.next("b", 51.0) == slow


def test_patience_keeps_short_strips_from_being_dealt_twice() -> None:
    dealing = dealing_of(7, slowness=3.0, patience=60.0)
    slow = dealing.next("slow", 0.0)
    for second in range(6):
        dealing.finished("a", dealing.next("a", float(second)), second + 1.0)
    assert dealing.next("a", 59.0) is None
    assert dealing.next("a", 60.0) == slow


def test_what_a_worker_gives_back_is_no_loss() -> None:
    dealing = dealing_of(3, losses=1)
    held = [dealing.next("a", 0.0) for _ in range(2)]
    dealing.release("a")
    dealing.release("nobody")
    assert dealing.held("a") == ()
    assert [dealing.next("b", 0.0) for _ in range(2)] == held
    dealing.withdraw("scene 0")
    dealing.release("b")
    assert dealing.left("scene 0") == 0


def test_strips_are_measured_by_their_windows() -> None:
    dealing = Dealing(slowness=3.0)
    dealing.add("small", dict.fromkeys(range(5), 1))
    dealing.add("large", {0: 100})
    for second in range(5):
        dealing.finished("a", dealing.next("a", float(second)), second + 1.0)
    large = dealing.next("b", 5.0)
    assert large == StripTask("large", 0)
    assert dealing.next("a", 5 + 299.0) is None
    assert dealing.next("a", 5 + 301.0) == large


def test_a_withdrawn_scene_is_dealt_no_more_not_even_what_its_workers_lose() -> None:
    dealing = dealing_of(4, 1)
    held = dealing.next("a", 0.0), dealing.next("b", 0.0)
    assert held[1].scene == "scene 1"
    other = dealing.next("b", 0.0)
    dealing.withdraw("scene 0")
    assert dealing.left("scene 0") == 2
    assert dealing.next("a", 0.0) is None
    dealing.lost("b")
    assert dealing.left("scene 0") == 1
    assert dealing.next("a", 0.0) == held[1], "the other scene goes on"
    assert other.scene == "scene 0"
    assert dealing.finished("a", held[0], 1.0)
    assert dealing.left("scene 0") == 0


def test_what_comes_of_a_forgotten_scene_counts_for_nothing() -> None:
    dealing = dealing_of(2)
    task = dealing.next("a", 0.0)
    dealing.forget("scene 0")
    assert dealing.held("a") == ()
    assert not dealing.finished("a", task, 1.0)
    assert not dealing.finished("nobody", task, 1.0)
    dealing.add("scene 0", {0: 1})
    assert dealing.next("a", 1.0) == task


def test_a_scene_is_not_taken_in_twice() -> None:
    dealing = dealing_of(2)
    with pytest.raises(ValueError, match="scene 0 is being dealt"):
        dealing.add("scene 0", {0: 1})


@pytest.mark.parametrize("seed", range(5))
def test_every_strip_counts_exactly_once_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    strips = [chance.randint(1, 9) for _ in range(6)]
    dealing = dealing_of(*strips, losses=1000, slowness=2.0)
    workers = [f"worker {number}" for number in range(4)]
    counted: list[StripTask] = []
    now = 0.0
    while len(counted) < sum(strips):
        now += 1
        assert now < 10_000, "nothing goes on"
        worker = chance.choice(workers)
        held = dealing.held(worker)
        if chance.random() < 0.15:
            dealing.lost(worker)
        elif len(held) < 2 and chance.random() < 0.5:
            dealing.next(worker, now)
        elif held and dealing.finished(worker, held[0], now):
            counted.append(held[0])
    expected = {StripTask(f"scene {number}", strip) for number, count in enumerate(strips) for strip in range(count)}
    assert len(counted) == len(expected)
    assert set(counted) == expected
    assert all(dealing.left(f"scene {number}") == 0 for number in range(6))
