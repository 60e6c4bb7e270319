"""Names of validation figures."""

import torch

from terrazzo.metrics import Confusion
from terrazzo.training.figures import split_figures, split_values


def test_every_named_figure_has_its_value():
    for names in (("wood", "roof"), ("wood", "roof", "sea")):
        counts = torch.ones((len(names), len(names)), dtype=torch.int64)
        found = split_values("val_city", Confusion(counts).scores(names), 0.5)
        assert list(found) == split_figures("val_city", names)
    assert found["val_city_loss"] == 0.5
    assert found["val_city_iou_sea"] == 1 / 5
    assert "val_city_foreground_iou" not in found


def test_two_splits_share_no_name():
    classes = ["loss", "miou", "city_miou"]
    assert not set(split_figures("val", classes)) & set(split_figures("val_city", classes))
