"""Names of validation figures."""

import numpy as np
import torch

from terrazzo.metrics import BoundaryCounts, Confusion
from terrazzo.training.figures import split_figures, split_values


def test_every_named_figure_has_its_value():
    for names in (("wood", "roof"), ("wood", "roof", "sea")):
        counts = torch.ones((len(names), len(names)), dtype=torch.int64)
        found = split_values("val_city", Confusion(counts).scores(names), 0.5)
        assert list(found) == split_figures("val_city", names)
    assert found["val_city_loss"] == 0.5
    assert found["val_city_iou_sea"] == 1 / 5
    assert "val_city_foreground_iou" not in found


def test_boundaries_are_named_by_their_tolerance():
    target = np.array([[0, 0, 1, 1]])
    counts = BoundaryCounts.of(np.array([[0, 1, 1, 1]]), target, target > 1, 2, (0, 3), diagonal=None, band=None)
    scores, names = Confusion(torch.eye(2, dtype=torch.int64)).scores(["wood", "roof"]), ["wood", "roof"]
    found = split_values("val", scores, None, counts.scores(names))
    assert list(found) == split_figures("val", names, [0, 3])
    assert (found["val_bf1_0"], found["val_bf1_3"]) == (0, 1)


def test_two_splits_share_no_name():
    classes = ["loss", "miou", "city_miou"]
    assert not set(split_figures("val", classes, [1])) & set(split_figures("val_city", classes, [1]))
