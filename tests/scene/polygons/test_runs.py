"""Runs and what they unite to, against scipy's labels."""

import numpy as np
import pytest
from scipy.ndimage import label

from terrazzo.scene.polygons.runs import runs_of, united


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (13, 17)])
def test_runs_cover_the_array(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 3, shape)
    runs = runs_of(values)
    np.testing.assert_array_equal(values.ravel()[runs.begins][runs.numbers], values)
    assert runs.lengths.sum() == values.size
    np.testing.assert_array_equal(np.bincount(runs.numbers.ravel()), runs.lengths)
    # A run never goes on in the next row.
    np.testing.assert_array_equal((runs.begins + runs.lengths - 1) // shape[1], runs.rows)


def test_united_runs_are_the_connected_areas() -> None:
    values = np.random.default_rng(1).integers(0, 2, (40, 60))
    runs = runs_of(values)
    groups, group = united(len(runs), runs.upper, runs.lower)
    areas = group[runs.numbers]
    for value in (0, 1):
        labels, count = label(values == value)
        pairs = np.unique(np.stack([labels[values == value], areas[values == value]]), axis=1)
        # One of ours for each of scipy's, and the other way round.
        assert pairs.shape[1] == count
        assert len(np.unique(pairs[1])) == count
    assert groups == label(values == 0)[1] + label(values == 1)[1]


def test_nothing_is_united_of_nothing() -> None:
    groups, group = united(0, np.zeros(0, np.int32), np.zeros(0, np.int32))
    assert (groups, len(group)) == (0, 0)
