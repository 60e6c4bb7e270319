"""What the halting head's probabilities are worth."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from terrazzo.assessment.halting_samples import HaltingSamples, _gains, auroc
from terrazzo.assessment.step_record import StepRecord, exit_steps
from terrazzo.models.adaptive import NEVER
from terrazzo.models.halting import HaltingRule


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_the_textbooks(pairs: list[tuple[int, bool]]) -> None:
    score, positive = np.array([one for one, _ in pairs]) / 7, np.array([one for _, one in pairs])
    found = auroc(score, positive)
    if positive.all() or not positive.any():
        assert found is None
    else:
        assert found == pytest.approx(roc_auc_score(positive, score))


def test_the_gain_is_that_of_the_best_later_step() -> None:
    gains = _gains(np.array([[0.5, 0.9, 0.7], [0.9, 0.6, 0.8]]))
    np.testing.assert_allclose(gains, [[0.4, -0.2, np.nan], [-0.1, 0.2, np.nan]], atol=1e-6)
    assert np.isnan(_gains(np.array([[0.5]]))).all()


def test_statistics_leave_out_what_could_not_be_judged() -> None:
    q = np.array([[0.9, 0.5], [0.1, 0.5], [0.7, 0.5], [0.3, 0.5]], np.float32)
    gain = np.array([[0.0, np.nan], [0.5, np.nan], [np.nan, np.nan], [0.001, np.nan]], np.float32)
    first, last = HaltingSamples(q, gain).statistics(tau=0.7, kappa=0.005)
    assert (first.samples, first.should_go_on, first.auroc) == (4, pytest.approx(1 / 3), 1.0)
    assert first.share_above == 0.5
    assert first.quantiles[2] == pytest.approx(0.5)
    assert (last.should_go_on, last.auroc, last.std) == (None, None, 0.0)
    # At 1 nothing ever stops, whatever a probability was rounded to.
    assert HaltingSamples(np.ones((3, 2), np.float32), gain[:3]).statistics(tau=1)[0].share_above == 0


def test_without_samples_there_are_no_statistics() -> None:
    assert HaltingSamples.joined([]).statistics(tau=0.5) == ()


@pytest.mark.parametrize("threshold", [NEVER, 0.9, 0.5, 0.25, 0.0])
@pytest.mark.parametrize(("first", "last"), [(1, 5), (2, 4), (3, 3)])
def test_exits_are_those_of_the_halting_rule(threshold: float, first: int, last: int) -> None:
    logits = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    rule = HaltingRule(threshold, first, last)
    expected = rule.steps(list(logits))
    assert exit_steps(logits.sigmoid().T, rule).tolist() == expected.tolist()


@pytest.mark.parametrize("memory", [10**6, 200, 0])
def test_a_record_gives_back_what_it_was_given(memory: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = {(0, column, 0): torch.randn(3, 2, 2 + column, 3, generator=generator) for column in range(5)}
    with StepRecord(memory) as record:
        for number, (key, one) in enumerate(logits.items()):
            record.keep(key, one, torch.full((3,), number / 5))
        assert list(record) == sorted(logits)
        assert len(record) == 5
        for key, one in reversed(logits.items()):
            for step in (3, 1, 2):
                assert torch.equal(record.logits(key, step), one[step - 1 : step])
        assert record.halting[0, 2, 0].tolist() == pytest.approx([0.4] * 3)
        assert (record.spilled > 0) == (memory < 10**6)
