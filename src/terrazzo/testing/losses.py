"""What every loss promises: ignored pixels never enter, absent classes do not dilute, better answers cost less."""

import math

import torch
from jaxtyping import Bool, Float, Int64

from terrazzo.losses import Loss
from terrazzo.models.output import Output
from terrazzo.testing.verdict import require

__all__ = ["check_loss"]

CONFIDENT = 5.0
"""Logit of the chosen class over the others: sure, and not so sure that label smoothing minds."""


def check_loss(record: Loss, *, classes: int = 4) -> None:
    """Hold a loss to the contract of `Loss.__call__`.

    Args:
        record: The loss.
        classes: Number of classes, at least 3; that of the record's own class weights where it has some.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, classes, (2, 9, 7), generator=generator)
    # Every class appears, whatever was drawn.
    target[:, 0, :classes] = torch.arange(classes)[:7]
    ignored = torch.rand(target.shape, generator=generator) < 0.3
    ignored[:, 0] = False
    logits = torch.randn((2, classes, 9, 7), generator=generator)
    _check_ignored(record, logits, target, ignored)
    _check_nothing_counted(record, logits, target)
    _check_order(record, logits, target, ignored)
    _check_absent(record, classes)
    _check_precision(record, logits, target, ignored)


def _measured(
    record: Loss,
    logits: Float[torch.Tensor, "batch class y x"],
    target: Int64[torch.Tensor, "batch y x"],
    ignored: Bool[torch.Tensor, "batch y x"],
) -> tuple[float, Float[torch.Tensor, "batch class y x"]]:
    """Return the loss and its gradient."""
    leaf = logits.detach().clone().requires_grad_()
    loss = record(Output(leaf), target, ignored)
    require(loss.shape == () and loss.dtype == torch.float32, record, f"must be a float32 scalar, not {loss!r}")
    require(loss.requires_grad, record, "must carry a gradient")
    (gradient,) = torch.autograd.grad(loss, leaf)
    require(bool(gradient.isfinite().all()), record, "its gradient must be finite")
    return loss.item(), gradient


def _check_ignored(
    record: Loss,
    logits: Float[torch.Tensor, "batch class y x"],
    target: Int64[torch.Tensor, "batch y x"],
    ignored: Bool[torch.Tensor, "batch y x"],
) -> None:
    value, gradient = _measured(record, logits, target, ignored)
    require(math.isfinite(value) and value >= 0, record, f"must be finite and at least 0, not {value}")
    require(bool(gradient.any()), record, "a random answer must have a gradient")
    under = ignored.unsqueeze(1).expand_as(logits)
    require(not bool(gradient[under].any()), record, "ignored pixels must have no gradient")
    other_logits = torch.where(under, -300 * logits, logits)
    for label in (0, logits.shape[1] - 1, 255, 65535, -1):
        other, _ = _measured(record, other_logits, target.masked_fill(ignored, label), ignored)
        require(other == value, record, f"ignored pixels changed it from {value} to {other} (label {label} there)")


def _check_nothing_counted(
    record: Loss, logits: Float[torch.Tensor, "batch class y x"], target: Int64[torch.Tensor, "batch y x"]
) -> None:
    value, gradient = _measured(record, logits, target, torch.ones_like(target, dtype=torch.bool))
    require(value == 0, record, f"must be 0 where every pixel is ignored, not {value}")
    require(not bool(gradient.any()), record, "must have a zero gradient where every pixel is ignored")


def _confident(index: Int64[torch.Tensor, "batch y x"], classes: int) -> Float[torch.Tensor, "batch class y x"]:
    return CONFIDENT * torch.nn.functional.one_hot(index, classes).movedim(-1, 1).float()


def _check_order(
    record: Loss,
    logits: Float[torch.Tensor, "batch class y x"],
    target: Int64[torch.Tensor, "batch y x"],
    ignored: Bool[torch.Tensor, "batch y x"],
) -> None:
    classes = logits.shape[1]
    right, _ = _measured(record, _confident(target, classes), target, ignored)
    unsure, _ = _measured(record, torch.zeros_like(logits), target, ignored)
    wrong, _ = _measured(record, _confident((target + 1) % classes, classes), target, ignored)
    require(right < 0.5 * unsure < unsure < wrong, record, f"right {right}, unsure {unsure}, wrong {wrong}: no order")
    start, gradient = _measured(record, logits, target, ignored)
    after, _ = _measured(record, logits - gradient / gradient.abs().max() * 0.1, target, ignored)
    require(after < start, record, f"a step against its gradient raised it from {start} to {after}")


def _check_absent(record: Loss, classes: int) -> None:
    """Two classes, both answered wrong, must not cost less because others are absent."""
    few = (torch.arange(63) % 2).reshape(1, 9, 7)
    all_of_them = (torch.arange(63) % classes).reshape(1, 9, 7)
    nothing = torch.zeros_like(few, dtype=torch.bool)
    absent, _ = _measured(record, _confident(1 - few, classes), few, nothing)
    present, _ = _measured(record, _confident((all_of_them + 1) % classes, classes), all_of_them, nothing)
    require(absent >= 0.9 * present, record, f"absent classes diluted it from {present} to {absent}")


def _check_precision(
    record: Loss,
    logits: Float[torch.Tensor, "batch class y x"],
    target: Int64[torch.Tensor, "batch y x"],
    ignored: Bool[torch.Tensor, "batch y x"],
) -> None:
    half = logits.bfloat16()
    exact, _ = _measured(record, half.float(), target, ignored)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = _measured(record, half, target, ignored)
    require(rough == exact, record, f"sums must run in float32 under autocast: {rough} instead of {exact}")
