"""A calibration that makes other images worse is told."""

import numpy as np
import torch

from terrazzo.calibration.reliability import Reliability
from terrazzo.phases.calibration_judging import Comparison, Judged, worse_words


def judged(sureness: float) -> Judged:
    """Return a judgement of pixels of which seven in ten are right, all believed so much."""
    probabilities = torch.tensor([sureness, 1 - sureness])[:, None, None].expand(2, 1, 10).contiguous()
    target = torch.tensor([[0] * 7 + [1] * 3])
    counted = Reliability.of(probabilities, target, torch.zeros(1, 10, dtype=torch.bool))
    return Judged(counted, np.array([[[7, 0], [3, 0]]]), None, ("wood", "roof"))


def test_only_what_became_worse_is_told() -> None:
    right, sure = judged(0.7), judged(0.99)
    assert worse_words(Comparison(sure, right, {}), "test") is None
    assert worse_words(Comparison(right, right, {}), "test") is None
    told = worse_words(Comparison(right, sure, {}), "test")
    assert told is not None
    assert "images of test" in told
    assert "NLL 0.611 to 1.389" in told
