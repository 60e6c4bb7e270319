from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terrazzo.data.patches import COLUMNS, PatchIndex
from terrazzo.data.prepared import Prepared
from terrazzo.data.sample import PatchKey
from terrazzo.data.sampler import balanced_weights, evaluation_batches, training_batches
from terrazzo.errors import ConfigError, DataError


def flat(batches: list[list[PatchKey]]) -> list[PatchKey]:
    return [key for batch in batches for key in batch]


def index_of(shapes: list[tuple[int, int]], counts: list[list[int]] | None = None) -> PatchIndex:
    counts = counts or [[1, 1]] * len(shapes)
    rows = [
        (f"image {number}", 0, 0, *shape, 0, 0, *shape, "train", None, None, 0.0, count)
        for number, (shape, count) in enumerate(zip(shapes, counts, strict=True))
    ]
    return PatchIndex(pd.DataFrame(rows, columns=list(COLUMNS)))


def test_an_epoch_is_every_row_once_in_another_order_each_time():
    rows = list(range(10, 60))
    orders = [
        tuple(key.row for key in flat(training_batches(rows, seed=seed, epoch=epoch, batch_size=8)))
        for seed in (0, 1)
        for epoch in (0, 1, 2)
    ]
    assert all(sorted(order) == rows for order in orders)
    assert len({*orders, tuple(rows)}) == 7


def test_batches_are_a_function_of_their_arguments():
    first = training_batches(range(30), seed=7, epoch=3, batch_size=4)
    np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
    assert training_batches(range(30), seed=7, epoch=3, batch_size=4) == first


def test_the_order_never_changes_between_releases():
    """A resumed run may meet another version of numpy: the numbers come from raw Philox output."""
    keys = flat(training_batches(range(6), seed=5, epoch=2, batch_size=6))
    assert [key.row for key in keys] == [4, 2, 5, 0, 1, 3]
    assert keys[0].seed == 5138551068481955702


def test_one_process_keeps_the_smaller_last_batch():
    assert [len(batch) for batch in training_batches(range(11), seed=0, epoch=0, batch_size=4)] == [4, 4, 3]


def test_fewer_rows_than_a_batch_make_one_smaller_batch():
    batches = training_batches([4, 9], seed=0, epoch=0, batch_size=8)
    assert sorted(key.row for key in flat(batches)) == [4, 9]
    assert len(batches) == 1


@given(count=st.integers(1, 60), batch_size=st.integers(1, 9), world_size=st.integers(1, 5), seed=st.integers(0, 2**40))
@settings(max_examples=150, deadline=None)
def test_processes_get_equally_many_full_batches_of_one_global_order(count, batch_size, world_size, seed):
    def batches_of(rank: int, processes: int) -> list[list[PatchKey]]:
        return training_batches(
            range(count), seed=seed, epoch=1, batch_size=batch_size, rank=rank, world_size=processes
        )

    dealt = [batches_of(rank, world_size) for rank in range(world_size)]
    assert len({len(batches) for batches in dealt}) == 1
    rounds = [key for batches in zip(*dealt, strict=True) for batch in batches for key in batch]
    alone = flat(batches_of(0, 1))
    assert rounds[:count] == alone, "the order or the seeds depend on the number of processes"
    if world_size > 1:
        assert all(len(batch) == batch_size for batches in dealt for batch in batches)
        assert 0 <= len(rounds) - count < batch_size * world_size
        # What fills the last round is the epoch's beginning, augmented anew.
        assert [key.row for key in rounds[count:]] == [alone[place % count].row for place in range(len(rounds) - count)]
        assert len({key.seed for key in rounds}) == len(rounds)


def test_seeds_differ_between_samples_epochs_and_runs():
    keys = [
        key
        for seed in range(4)
        for epoch in range(4)
        for key in flat(training_batches(range(500), seed=seed, epoch=epoch, batch_size=50))
    ]
    assert len({key.seed for key in keys}) == len(keys) == 8000
    assert all(0 <= key.seed < 2**63 for key in keys)
    # torch's generator keeps the lower 32 bits: those must differ too, but for chance.
    assert len({key.seed % 2**32 for key in keys}) > 7990


def test_weights_draw_with_replacement_in_proportion():
    weights = [1.0, 3.0, 0.0, 4.0]
    drawn: Counter[int] = Counter()
    for epoch in range(2000):
        batches = training_batches([10, 11, 12, 13], weights=weights, seed=1, epoch=epoch, batch_size=4)
        assert len(flat(batches)) == 4
        drawn.update(key.row for key in flat(batches))
    assert drawn[12] == 0
    for row, weight in ((10, 1), (11, 3), (13, 4)):
        assert drawn[row] / 8000 == pytest.approx(weight / 8, abs=0.02)


def test_a_row_drawn_twice_is_augmented_differently():
    keys = flat(training_batches(range(5), weights=[0.0, 0.0, 1.0, 0.0, 0.0], seed=0, epoch=0, batch_size=5))
    assert [key.row for key in keys] == [2] * 5
    assert len({key.seed for key in keys}) == 5


@pytest.mark.parametrize("weights", [[0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(DataError, match="Weights of patches"):
        training_batches([0, 1], weights=weights, seed=0, epoch=0, batch_size=1)


def test_weights_of_another_number_are_refused():
    with pytest.raises(DataError, match="3 weights were given for 2 patches"):
        training_batches([0, 1], weights=[1.0, 1.0, 1.0], seed=0, epoch=0, batch_size=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"rank": 2, "world_size": 2}, r"rank must lie in 0\.\.1"),
        ({"rank": -1}, "rank"),
        ({"seed": -1}, "seed and epoch"),
        ({"epoch": -1}, "seed and epoch"),
    ],
)
def test_numbers_out_of_range_are_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        training_batches([0, 1], **{"seed": 0, "epoch": 0, "batch_size": 1, **changed})


def test_no_patch_to_train_on_is_an_error():
    with pytest.raises(DataError, match="max_ignored_share"):
        training_batches([], seed=0, epoch=0, batch_size=1)


def test_evaluation_groups_equal_shapes_in_order():
    index = index_of([(8, 8), (8, 5), (8, 8), (8, 8), (8, 5), (3, 8)])
    batches = evaluation_batches(index, range(6), batch_size=2)
    assert [(number, [key.row for key in keys]) for number, keys in batches] == [
        (0, [0, 2]),
        (1, [3]),
        (2, [1, 4]),
        (3, [5]),
    ]
    assert {key.seed for _, keys in batches for key in keys} == {0}


@given(
    shapes=st.lists(st.sampled_from([(8, 8), (8, 5), (3, 8)]), max_size=40),
    batch_size=st.integers(1, 7),
    world_size=st.integers(1, 5),
)
@settings(max_examples=100, deadline=None)
def test_evaluation_batches_are_the_same_for_any_number_of_processes(shapes, batch_size, world_size):
    index = index_of(shapes)
    rows = list(range(len(shapes)))
    alone = evaluation_batches(index, rows, batch_size=batch_size)
    dealt = [
        evaluation_batches(index, rows, batch_size=batch_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    together = sorted((batch for batches in dealt for batch in batches), key=lambda batch: batch[0])
    assert together == alone
    assert sorted(key.row for _, keys in together for key in keys) == rows
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    for _, keys in together:
        assert len({shapes[key.row] for key in keys}) == 1
        assert len(keys) <= batch_size


def test_evaluation_takes_prepared_data_too(make_prepared: Callable[..., Prepared]):
    prepared = make_prepared((20, 20), (5, 5))
    rows = prepared.index.rows("train")
    assert evaluation_batches(prepared, rows, batch_size=2) == evaluation_batches(prepared.index, rows, batch_size=2)


def test_no_patch_to_evaluate_is_no_batch():
    assert evaluation_batches(index_of([(4, 4)]), [], batch_size=2) == []


def test_a_patch_is_never_evaluated_twice():
    with pytest.raises(DataError, match="listed twice"):
        evaluation_batches(index_of([(4, 4), (4, 4)]), [0, 1, 0], batch_size=2)


@pytest.mark.parametrize("changed", [{"batch_size": 0}, {"rank": 1}, {"world_size": 0}])
def test_evaluation_refuses_numbers_out_of_range(changed):
    with pytest.raises(ConfigError):
        evaluation_batches(index_of([(4, 4)]), [0], **{"batch_size": 1, **changed})


def test_balanced_weights_by_hand():
    index = index_of([(4, 4)] * 4, [[16, 0, 0], [12, 4, 0], [4, 12, 0], [0, 0, 0]])
    weights = balanced_weights(index, range(4))
    assert weights == pytest.approx([16 / 32, 12 / 32 + 4 / 16, 4 / 32 + 12 / 16, 0])
    assert weights.sum() == pytest.approx(2), "the class without pixels takes no part"


def test_balancing_counts_the_listed_rows_alone():
    index = index_of([(4, 4)] * 3, [[8, 8], [100, 0], [8, 0]])
    assert balanced_weights(index, [2, 0]) == pytest.approx([0.5, 1.5])


@given(st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=3), min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_each_class_is_equally_likely_when_drawn_by_balanced_weights(counts):
    index = index_of([(4, 4)] * len(counts), counts)
    table = np.array(counts, dtype=float)
    if not table.any():
        with pytest.raises(DataError, match="No pixel"):
            balanced_weights(index, range(len(counts)))
        return
    weights = balanced_weights(index, range(len(counts)))
    shares = table / np.maximum(table.sum(axis=0), 1)
    assert weights == pytest.approx(shares.sum(axis=1))
    assert weights.sum() == pytest.approx((table.sum(axis=0) > 0).sum())


def test_a_rare_class_is_seen_far_more_often():
    counts = [[100, 0]] * 99 + [[90, 10]]
    weights = balanced_weights(index_of([(4, 4)] * 100, counts), range(100))
    drawn = [key.row for key in flat(training_batches(range(100), weights=weights, seed=0, epoch=0, batch_size=10))]
    assert 30 < drawn.count(99) < 70
