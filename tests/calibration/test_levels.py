"""Counting levels is comparing every probability."""

import numpy as np
import pytest
import torch

from terrazzo.calibration.abstention import CONFIDENCES
from terrazzo.calibration.levels import EDGES, LEVELS, level_counts, levels
from terrazzo.calibration.sets import PROBABILITIES


@pytest.mark.parametrize("edge", [1, 2, 7, 1024, 32768, 43691, 65535, 65536])
def test_a_level_below_an_edge_is_a_probability_below_the_threshold(edge: int) -> None:
    threshold = edge / LEVELS
    at = np.float32(threshold)
    assert float(at) == threshold
    beside = [np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(2))]
    values = torch.tensor(np.array([*beside, 0.0, 1e-30, 1.0, 1.0000001], dtype=np.float32))
    assert ((levels(values) < edge) == (values < threshold)).all()


def test_every_probability_is_counted() -> None:
    values = torch.tensor([0.0, 0.0, 0.25, 1.0, 1.00001])
    counts = level_counts(levels(values))
    assert len(counts) == LEVELS + 1
    assert {int(place): int(counts[place]) for place in counts.nonzero()} == {0: 2, LEVELS // 4: 1, LEVELS: 2}
    assert level_counts(levels(torch.zeros(0))).sum() == 0


def test_thresholds_go_from_careful_to_careless_and_lie_on_edges() -> None:
    assert EDGES[0] == 1
    assert EDGES[-1] == LEVELS
    for thresholds, sign in ((CONFIDENCES, -1), (PROBABILITIES, 1)):
        assert (sign * np.diff(thresholds) > 0).all()
        assert all(float(np.float32(one)) == one for one in thresholds)
    assert (CONFIDENCES[0], CONFIDENCES[1], CONFIDENCES[-1]) == (2.0, 1 - 1 / LEVELS, 0.0)
    assert (PROBABILITIES[0], PROBABILITIES[1], PROBABILITIES[-1]) == (0.0, 1 / LEVELS, 1.0)
