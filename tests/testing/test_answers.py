"""Made-up answers say what they are made to say, and know which of their cells stand for ignored pixels alone."""

import pytest
import torch

from terrazzo.models.output import DeepSupervision, Output, Queries, Steps
from terrazzo.testing.answers import MadeUp, hidden, mapped, tensors, variants

ALL = frozenset({DeepSupervision, Steps, Queries})


def _output(form, sure=None):
    return form.answer(torch.randn((2, 3, 9, 7), generator=torch.Generator().manual_seed(0)), sure)


@pytest.mark.parametrize(
    ("kinds", "forms"), [((), 1), ((DeepSupervision,), 1), ((Steps,), 2), ((Queries,), 2), (tuple(ALL), 3)]
)
def test_every_form_answers_every_kind(kinds, forms):
    found = variants(frozenset(kinds))
    assert len(found) == forms
    for form in found:
        assert {type(one) for one in _output(form).auxiliary} == set(kinds)


def test_tensors_are_listed_in_the_order_of_mapped():
    output = _output(MadeUp(ALL))
    names = iter(range(100))
    numbered = mapped(output, lambda one: torch.full_like(one, next(names)))
    found = tensors(numbered)
    assert [float(one.flatten()[0]) for one in found] == list(range(len(found)))
    assert len(found) == 1 + 2 + 6 + 4
    assert tensors(numbered.auxiliary[0]) == found[1:3]
    assert numbered.auxiliary[1].stride == output.auxiliary[1].stride


def test_coarse_maps_have_the_cells_of_their_stride():
    output = _output(MadeUp(ALL, cells=True))
    deep, steps, queries = output.auxiliary
    assert [one.shape[2:] for one in deep.logits] == [(5, 4), (3, 2)]
    assert {one.shape[1:] for one in steps.halting} == {(5, 4)}
    assert queries.masks[0].shape[2:] == (5, 4)


@pytest.mark.parametrize(("fixed", "columns", "count"), [(False, 4, 5), (True, 3, 3)])
def test_queries_have_no_object_unless_they_are_fixed(fixed, columns, count):
    (queries,) = _output(MadeUp(frozenset({Queries}), fixed=fixed)).auxiliary
    assert queries.classes[0].shape == (2, count, columns)
    assert queries.masks[0].shape[1] == count


def test_a_sure_answer_says_in_its_masks_what_it_says_in_its_logits():
    index = (torch.arange(9 * 8).reshape(1, 9, 8) // 24) % 3
    logits = 5 * torch.nn.functional.one_hot(index, 3).movedim(-1, 1).float()
    (queries,) = MadeUp(frozenset({Queries})).answer(logits, 1.0).auxiliary
    assert torch.equal(queries.masks[0][:, :3].argmax(1), index[:, [1, 3, 5, 7, 8]][:, :, [1, 3, 5, 7]])
    assert queries.classes[0][0].argmax(1).tolist() == [0, 1, 2, 3, 3]


def test_hidden_cells_are_those_that_reach_no_counted_pixel():
    ignored = torch.zeros((1, 12, 12), dtype=torch.bool)
    ignored[0, 4:] = True
    output = Output(
        torch.zeros(1, 3, 12, 12),
        (
            DeepSupervision((torch.zeros(1, 3, 6, 6),), (2,)),
            Steps((torch.zeros(1, 3, 3, 3),), (torch.zeros(1),), 4),
        ),
    )
    main, deep, steps, halting = hidden(output, ignored)
    assert main.float().mean() == pytest.approx(8 / 12)
    # Rows 0 and 1 count, row 2 touches them.
    assert deep[0, 0, :, 0].tolist() == [False] * 3 + [True] * 3
    assert steps[0, 0, :, 0].tolist() == [False, False, True]
    assert not halting.any()
