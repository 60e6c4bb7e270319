"""Every kind of answer has a loss, and is told which."""

import pytest

from terrazzo.losses import LOSSES
from terrazzo.losses.fitting import fitting
from terrazzo.models.output import DeepSupervision, Queries, Steps


@pytest.mark.parametrize(
    ("answers", "wanted"),
    [
        ((DeepSupervision,), "deep_supervision"),
        ((Steps,), "steps"),
        ((Queries,), "masks"),
        ((Steps, DeepSupervision), "sum, with terms deep_supervision and steps"),
    ],
)
def test_each_record_has_its_loss(answers, wanted):
    assert fitting(frozenset(answers)) == wanted


def test_logits_alone_have_the_others():
    plain = fitting(frozenset()).replace(" or ", ", ").split(", ")
    assert set(plain) == set(LOSSES.names()) - {"sum", "deep_supervision", "steps", "masks"}


def test_what_no_loss_reads_has_none():
    assert not fitting(frozenset({Steps, int}))
