"""Windows of several requests in one pass: the same bits, no waiting for nothing, and an end."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores
from terrazzo.serve.batching import Ticket, WindowQueue, exact_sizes
from terrazzo.serve.problems import Problem


class Forward:
    """Answers each window with its own values; windows of odd passes get another last bit where it is told so."""

    def __init__(self, *, wrong_at: frozenset[int] = frozenset()) -> None:
        self.lanes = 1
        self.device = torch.device("cpu")
        self.passes: list[int] = []
        self.begin = threading.Event()
        self.begin.set()
        self._wrong_at = wrong_at

    def __call__(self, group: WindowGroup) -> WindowScores:
        self.begin.wait(10)
        self.passes.append(len(group.windows))
        if bool((group.image < 0).any()):
            raise ModelError("a negative value")
        off = 0.5 if len(group.windows) in self._wrong_at else 0.0
        return WindowScores(group.image[:, :1] + off, steps=0.0, seconds=0.0)


def _group(*values: float, side: int = 2) -> WindowGroup:
    image = torch.stack([torch.full((3, side, side), value) for value in values])
    return WindowGroup(image, torch.ones(len(values), side, side, dtype=torch.bool), ((0, 0),) * len(values))


@pytest.fixture
def make_queue() -> Callable[..., WindowQueue]:
    queues: list[WindowQueue] = []

    def make(**settings: float) -> WindowQueue:
        queues.append(WindowQueue(**{"lanes": 1, "wait_seconds": 0.2, "most_windows": 10, **settings}))
        return queues[-1]

    yield make
    for queue in queues:
        queue.close()


def test_only_sizes_with_the_bits_of_each_window_alone_are_exact() -> None:
    windows = _group(*(float(value) for value in range(1, 7)))
    assert exact_sizes(Forward(), windows) == {1, 2, 3, 4, 5, 6}
    assert exact_sizes(Forward(wrong_at=frozenset({3, 5})), windows) == {1, 2, 4, 6}


def test_groups_of_several_requests_pass_together(make_queue: Callable[..., WindowQueue]) -> None:
    queue, forward = make_queue(), Forward()
    tickets = [Ticket(windows=1) for _ in range(3)]
    with queue.admitted(tickets[0]), queue.admitted(tickets[1]), queue.admitted(tickets[2]):
        found = [
            queue.submit(forward, _group(float(number)), frozenset(range(1, 5)), ticket)
            for number, ticket in enumerate(tickets)
        ]
        scores = [one.result(5).scores for one in found]
    assert forward.passes == [3]
    assert [float(one[0, 0, 0, 0]) for one in scores] == [0.0, 1.0, 2.0]


def test_groups_join_only_to_exact_sizes(make_queue: Callable[..., WindowQueue]) -> None:
    queue, forward = make_queue(), Forward()
    tickets = [Ticket(windows=1) for _ in range(3)]
    with queue.admitted(tickets[0]), queue.admitted(tickets[1]), queue.admitted(tickets[2]):
        found = [queue.submit(forward, _group(1.0), frozenset({1, 2}), ticket) for ticket in tickets]
        for one in found:
            one.result(5)
    assert sorted(forward.passes) == [1, 2]


def test_windows_of_another_size_and_inexact_groups_pass_by_themselves(
    make_queue: Callable[..., WindowQueue],
) -> None:
    queue, forward = make_queue(), Forward()
    asked = [(_group(1.0), frozenset({1, 2, 4})), (_group(1.0, side=3), frozenset({1, 2, 4})),
             (_group(1.0, 2.0, 3.0), frozenset({1, 2, 4})), (_group(1.0), frozenset())]  # fmt: skip
    tickets = [Ticket(windows=1) for _ in asked]
    with queue.admitted(tickets[0]), queue.admitted(tickets[1]), queue.admitted(tickets[2]), queue.admitted(tickets[3]):
        found = [
            queue.submit(forward, group, sizes, ticket) for (group, sizes), ticket in zip(asked, tickets, strict=True)
        ]
        for one in found:
            one.result(5)
    assert sorted(forward.passes) == [1, 1, 1, 3]


def test_one_request_s_wrong_answer_is_not_another_s(make_queue: Callable[..., WindowQueue]) -> None:
    queue, forward = make_queue(), Forward()
    good, bad = Ticket(windows=1), Ticket(windows=1)
    with queue.admitted(good), queue.admitted(bad):
        right = queue.submit(forward, _group(4.0), frozenset({1, 2}), good)
        wrong = queue.submit(forward, _group(-1.0), frozenset({1, 2}), bad)
        assert float(right.result(5).scores[0, 0, 0, 0]) == 4.0
        with pytest.raises(ModelError):
            wrong.result(5)


def test_what_nobody_waits_for_is_not_computed(make_queue: Callable[..., WindowQueue]) -> None:
    queue, forward = make_queue(), Forward()
    forward.begin.clear()
    first, second = Ticket(windows=1), Ticket(windows=1)
    with queue.admitted(first):
        under_way = queue.submit(forward, _group(1.0), frozenset(), first)
        with queue.admitted(second):
            waiting = queue.submit(forward, _group(2.0), frozenset(), second)
        forward.begin.set()
        under_way.result(5)
        with pytest.raises(CancelledError):
            waiting.result(5)
    assert forward.passes == [1]


def test_too_many_windows_are_refused_but_never_the_only_request(make_queue: Callable[..., WindowQueue]) -> None:
    queue = make_queue(most_windows=10)
    with queue.admitted(Ticket(windows=25)), pytest.raises(Problem) as caught, queue.admitted(Ticket(windows=1)):
        pass
    assert caught.value.status_code == 503
    assert int(caught.value.headers["Retry-After"]) >= 1
    assert queue.windows == 0
