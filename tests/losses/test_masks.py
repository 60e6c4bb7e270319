"""The loss of masks agrees with brute force over all ways to match, and with its formula written out."""

import itertools

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from terrazzo.errors import ModelError
from terrazzo.losses import Labels, MaskLoss, MaskTerm, Sampling
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Queries

CLASSES, COUNT = 3, 5
FOCAL = MaskLoss(mask=MaskTerm(kind="focal"), sampling=None)
BCE = MaskLoss(sampling=None)
BOTH = pytest.mark.parametrize("record", [FOCAL, BCE], ids=["MaskFormer", "Mask2Former"])


def _case(seed=0, *, queries=COUNT, fixed=False, layers=2, absent=()):
    generator = torch.Generator().manual_seed(seed)
    columns = CLASSES if fixed else CLASSES + 1
    classes = tuple(2 * torch.randn((2, queries, columns), generator=generator) for _ in range(layers))
    masks = tuple(3 * torch.randn((2, queries, 4, 5), generator=generator) for _ in range(layers))
    target = torch.randint(0, CLASSES, (2, 7, 9), generator=generator)
    for one in absent:
        target[0][target[0] == one] = (one + 1) % CLASSES
    ignored = torch.rand(target.shape, generator=generator) < 0.3
    return Output(torch.zeros(2, CLASSES, 7, 9), (Queries(classes, masks, 2),)), target, ignored


def _terms(record, logits, truth):
    """Return mask term and dice of one mask, in NumPy, in double precision."""
    p = 1 / (1 + np.exp(-logits))
    each = -np.where(truth, np.log(p), np.log(1 - p))
    if record.mask.kind == "focal":
        each = each * np.where(truth, 0.25 * (1 - p) ** 2, 0.75 * p**2)
    return each.mean(), 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def _softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _by_brute_force(record, output, target, ignored):
    """Return the loss, with the best of all ways to give each segment a query of its own."""
    factors = (1, 20, 1) if record.mask.kind == "focal" else (2, 5, 5)
    queries, total = output.auxiliary[0], 0.0
    for classes, masks in zip(queries.classes, queries.masks, strict=True):
        full = enlarged(masks, stride=2, height=7, width=9).double().numpy()
        entropy, weight, shapes, segments = 0.0, 0.0, 0.0, 0
        for image in (0, 1):
            counted = ~ignored[image].numpy()
            label = target[image].numpy()[counted]
            present = np.unique(label)
            probability = _softmax(classes[image].double().numpy())
            terms = {
                (query, one): _terms(record, full[image, query][counted], label == one)
                for query in range(COUNT)
                for one in present
            }

            def cost(chosen, terms=terms, probability=probability, present=present):
                return sum(
                    -factors[0] * probability[query, one]
                    + factors[1] * terms[query, one][0]
                    + factors[2] * terms[query, one][1]
                    for query, one in zip(chosen, present, strict=True)
                )

            best = min(itertools.permutations(range(COUNT), len(present)), key=cost)
            wanted = dict(zip(best, present, strict=True))
            for query in range(COUNT):
                own = 1.0 if query in wanted else 0.1
                entropy -= own * np.log(probability[query, wanted.get(query, CLASSES)])
                weight += own
            for query, one in wanted.items():
                mask, dice = terms[query, one]
                shapes += factors[1] * mask + factors[2] * dice
            segments += len(present)
        total += factors[0] * entropy / weight + shapes / segments
    return total


@BOTH
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("absent", [(), (0,)])
def test_brute_force_agrees(record, seed, absent):
    output, target, ignored = _case(seed, absent=absent)
    wanted = _by_brute_force(record, output, target, ignored)
    assert record(output, target, ignored).item() == pytest.approx(wanted, rel=1e-4)


@BOTH
def test_the_order_of_queries_means_nothing(record):
    output, target, ignored = _case()
    queries = output.auxiliary[0]
    order = [3, 0, 4, 1, 2]
    other = Queries(tuple(one[:, order] for one in queries.classes), tuple(one[:, order] for one in queries.masks), 2)
    found = record(Output(output.logits, (other,)), target, ignored)
    torch.testing.assert_close(found, record(output, target, ignored))


def _perfect(target, queries=COUNT):
    """Return the queries of one answer that is right and sure; query c + 1 stands for class c."""
    classes = torch.full((2, queries, CLASSES + 1), -20.0)
    classes[:, :, CLASSES] = 20
    masks = torch.full((2, queries, *target.shape[1:]), -20.0)
    for one in range(CLASSES):
        classes[:, one + 1, CLASSES], classes[:, one + 1, one] = -20, 20
        masks[:, one + 1][target == one] = 20
    return classes, masks


@BOTH
def test_a_right_answer_costs_nothing(record):
    _, target, ignored = _case()
    classes, masks = _perfect(target)
    output = Output(torch.zeros(2, CLASSES, 7, 9), (Queries((classes,), (masks,), 1),))
    assert record(output, target, ignored).item() == pytest.approx(0, abs=1e-5)


def test_queries_without_a_segment_learn_to_say_so():
    """Their masks are left alone."""
    _, target, ignored = _case()
    classes, masks = _perfect(target)
    classes, masks = classes.mul(0.05).requires_grad_(), masks.requires_grad_()
    BCE(Output(torch.zeros(2, CLASSES, 7, 9), (Queries((classes,), (masks,), 1),)), target, ignored).backward()
    spare = [0, 4]
    assert bool((classes.grad[:, spare, CLASSES] < 0).all())
    assert bool((classes.grad[:, spare, :CLASSES] > 0).all())
    assert not masks.grad[:, spare].any()


def test_each_layer_counts():
    output, target, ignored = _case(layers=3)
    queries = output.auxiliary[0]
    each = [
        BCE(Output(output.logits, (Queries((one,), (two,), 2),)), target, ignored)
        for one, two in zip(queries.classes, queries.masks, strict=True)
    ]
    torch.testing.assert_close(BCE(output, target, ignored), sum(each))
    light = MaskLoss(sampling=None, layer_weight=0.25)
    torch.testing.assert_close(light(output, target, ignored), each[0] + 0.25 * (each[1] + each[2]))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, (2, 5, 5)),
        ({"mask": {"kind": "focal"}}, (1, 20, 1)),
        ({"mask": {"kind": "focal"}, "dice_weight": 3}, (1, 20, 3)),
        ({"ce_weight": 0, "mask_weight": 1}, (0, 1, 5)),
    ],
)
def test_the_papers_weights_are_the_defaults(settings, wanted):
    assert MaskLoss.model_validate(settings).factors == wanted


def test_the_weights_are_factors():
    output, target, ignored = _case()
    # One query a class and one answer: whatever the weights, the pairs stay, for the masks say the same.
    queries = output.auxiliary[0]
    single = Output(output.logits, (Queries(queries.classes[:1], (queries.masks[0] * 0,), 2),))
    parts = [
        MaskLoss(sampling=None, ce_weight=a, mask_weight=b, dice_weight=c)(single, target, ignored)
        for a, b, c in ((1, 0, 0), (1, 1, 0), (1, 0, 1), (1, 3, 7))
    ]
    wanted = parts[0] + 3 * (parts[1] - parts[0]) + 7 * (parts[2] - parts[0])
    torch.testing.assert_close(parts[3], wanted, rtol=1e-4, atol=1e-5)


@BOTH
def test_ignored_pixels_are_in_no_mask(record):
    """A segment that only ignored pixels hold is none, and its query learns that there is no object."""
    output, target, ignored = _case()
    target[:, :3, :4], ignored[:, :3, :4] = 2, True
    ignored |= target == 2
    other = target.masked_fill(ignored, 0)
    assert record(output, target, ignored) == record(output, other, ignored)
    wanted = _by_brute_force(record, output, target, ignored)
    assert record(output, target, ignored).item() == pytest.approx(wanted, rel=1e-4)


def test_an_image_without_labels_teaches_no_query():
    output, target, ignored = _case()
    ignored[1] = True
    leaf = output.auxiliary[0].classes[0].requires_grad_()
    BCE(output, target, ignored).backward()
    assert leaf.grad[0].any()
    assert not leaf.grad[1].any()


def test_points_come_near_all_pixels():
    """Drawn evenly, the mean over points is that over pixels, up to chance."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, CLASSES, (2, 4, 4), generator=generator).repeat_interleave(16, 1).repeat_interleave(16, 2)
    ignored = torch.zeros_like(target, dtype=torch.bool)
    classes = torch.randn((2, COUNT, CLASSES + 1), generator=generator)
    masks = torch.randn((2, COUNT, 32, 32), generator=generator)
    output = Output(torch.zeros(2, CLASSES, 64, 64), (Queries((classes,), (masks,), 2),))
    torch.manual_seed(0)
    drawn = MaskLoss(dice_weight=0, sampling=Sampling(points=3000, importance=0))(output, target, ignored)
    every = MaskLoss(dice_weight=0, sampling=None)(output, target, ignored)
    assert drawn.item() == pytest.approx(every.item(), rel=0.03)


def test_points_repeat_with_the_seed():
    output, target, ignored = _case()
    record, values = MaskLoss(sampling=Sampling(points=10)), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        values.append(record(output, target, ignored).item())
    assert values[0] == values[1] != values[2]


def test_an_evaluation_looks_at_every_pixel():
    output, target, ignored = _case()
    with torch.inference_mode():
        found = [MaskLoss(sampling=sampling)(output, target, ignored) for sampling in (Sampling(points=10), None)]
    assert found[0] == found[1]


def _fixed_by_hand(record, output, target, ignored):
    factors = (1, 20, 1) if record.mask.kind == "focal" else (2, 5, 5)
    queries = output.auxiliary[0]
    full = enlarged(queries.masks[0], stride=2, height=7, width=9).double().numpy()
    entropy, shapes, segments = 0.0, 0.0, 0
    for image in (0, 1):
        counted = ~ignored[image].numpy()
        label = target[image].numpy()[counted]
        probability = _softmax(queries.classes[0][image].double().numpy())
        for one in range(CLASSES):
            mask, dice = _terms(record, full[image, one][counted], label == one)
            shapes += factors[1] * mask
            if (label == one).any():
                entropy -= np.log(probability[one, one])
                shapes += factors[2] * dice
                segments += 1
    return (factors[0] * entropy + shapes) / segments


@BOTH
@pytest.mark.parametrize("absent", [(), (2,)])
def test_a_fixed_assignment_by_hand(record, absent):
    """Without "no object", query c stands for class c; an absent class has an empty mask, and thins nothing out."""
    output, target, ignored = _case(queries=CLASSES, fixed=True, layers=1, absent=absent)
    wanted = _fixed_by_hand(record, output, target, ignored)
    assert record(output, target, ignored).item() == pytest.approx(wanted, rel=1e-4)


def test_numbers_of_queries_that_do_not_fit_are_refused():
    output, target, ignored = _case(queries=5, fixed=True)
    with pytest.raises(ModelError, match="3 classes need 3 queries, not 5"):
        BCE(output, target, ignored)
    output, target, ignored = _case(queries=2)
    with pytest.raises(
        ModelError, match="2 queries cannot be matched with the 3 classes of one image; give the head more"
    ):
        BCE(output, target, ignored)


def test_queries_may_be_fewer_than_all_classes():
    """MaskFormer has 100 for ADE20k's 150: no image holds as many."""
    output, target, ignored = _case(queries=2)
    assert BCE(output, target.clamp_max(1), ignored).isfinite()


def test_masks_that_padding_was_left_on_are_refused():
    output, target, ignored = _case()
    broken = Queries(output.auxiliary[0].classes, tuple(torch.randn(2, COUNT, 8, 8) for _ in range(2)), 2)
    with pytest.raises(ModelError, match=r"of stride 2 .* must have \(4, 5\) cells, not \(8, 8\)"):
        BCE(Output(output.logits, (broken,)), target, ignored)


def test_what_is_no_number_is_left_for_training_to_see():
    output, target, ignored = _case()
    output.auxiliary[0].masks[0][0, 0, 0, 0] = float("nan")
    classes = output.auxiliary[0].classes[0]
    classes[0, 0] = float("nan")
    assert not BCE(output, target, ignored).isfinite()


def test_class_weights_weigh_segments():
    """With a weight of 0, the pairs of a class cost nothing."""
    output, target, ignored = _case(layers=1)
    record = MaskLoss(ce_weight=0, sampling=None)
    labels = Labels.of(target, ignored, torch.ones(CLASSES))
    each = [
        record(output, target, ignored, torch.nn.functional.one_hot(torch.tensor(one), CLASSES).float())
        for one in range(CLASSES)
    ]
    assert bool(labels.one_hot().any(3).any(2).all()), "every class is a segment of both images"
    torch.testing.assert_close(record(output, target, ignored), sum(each) / CLASSES)


@pytest.mark.parametrize(
    "settings",
    [{"ce_weight": 0, "mask_weight": 0, "dice_weight": 0}, {"no_object_weight": -1}, {"mask": {"kind": "l1"}}],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        MaskLoss.model_validate(settings)
