"""What every loss promises: ignored pixels never enter, absent classes do not dilute, better answers cost less."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64

from terrazzo.losses import Loss
from terrazzo.models.output import Output
from terrazzo.testing.answers import CONFIDENT, MadeUp, hidden, mapped, tensors, variants
from terrazzo.testing.verdict import require

__all__ = ["check_loss"]

HEIGHT, WIDTH = 33, 31
BLOCK = 8
"""Pixels along one side of what is of one class, where answers at coarse strides should be right."""


def check_loss(record: Loss, *, classes: int = 4) -> None:
    """Hold a loss to the contract of `Loss.__call__`, on made-up answers with the records that it reads.

    A loss that draws at random draws from torch's global generator, which is seeded before each measurement.

    Args:
        record: The loss.
        classes: Number of classes, at least 3; that of the record's own class weights where it has some.

    Raises:
        AssertionError: A promise is broken.
    """
    again = type(record).model_validate(record.model_dump(mode="json"))
    require(again == record, record, "dumping and loading must give the same record")
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, classes, (2, HEIGHT, WIDTH), generator=generator)
    # Every class appears, whatever was drawn.
    target[:, 0, :classes] = torch.arange(classes)[:WIDTH]
    ignored = torch.rand(target.shape, generator=generator) < 0.3
    ignored[:, 0] = False
    # Whole cells of the coarsest maps, with all of their neighbours.
    ignored[:, 9:, 7:] = True
    logits = torch.randn((2, classes, HEIGHT, WIDTH), generator=generator)
    for form in variants(record.reads):
        suite = _Suite(record, form, logits, target, ignored)
        suite.check_ignored()
        suite.check_nothing_counted()
        suite.check_an_image_without_labels()
        suite.check_order()
        suite.check_absent()
        suite.check_precision()


@dataclass(frozen=True)
class _Suite:
    """One loss on one form of answers.

    Attributes:
        record: The loss.
        form: What answers look like.
        logits: Random.
        target: Random, each class somewhere in the first row.
        ignored: Some pixels, none in the first row.
    """

    record: Loss
    form: MadeUp
    logits: Float[torch.Tensor, "batch class y x"]
    target: Int64[torch.Tensor, "batch y x"]
    ignored: Bool[torch.Tensor, "batch y x"]

    def require(self, kept: bool, promise: str) -> None:
        require(kept, self.record, promise)

    def measured(
        self, output: Output, target: Int64[torch.Tensor, "batch y x"], ignored: Bool[torch.Tensor, "batch y x"]
    ) -> tuple[float, list[torch.Tensor]]:
        """Return the loss and its gradient for each tensor of the answer."""
        leaves = mapped(output, lambda one: one.detach().clone().requires_grad_())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            loss = self.record(leaves, target, ignored)
        self.require(loss.shape == () and loss.dtype == torch.float32, f"must be a float32 scalar, not {loss!r}")
        self.require(loss.requires_grad, "must carry a gradient")
        found = torch.autograd.grad(loss, tensors(leaves), allow_unused=True)
        if self.form.kinds:
            # The main logits may be one of the steps, or made of the queries.
            reached = all(one is not None for one in found[1:])
            self.require(reached, "every tensor of the records it reads must have a gradient, be it 0")
        gradients = [torch.zeros_like(a) if b is None else b for a, b in zip(tensors(leaves), found, strict=True)]
        self.require(all(bool(one.isfinite().all()) for one in gradients), "its gradient must be finite")
        return loss.item(), gradients

    def check_ignored(self) -> None:
        output = self.form.answer(self.logits, None)
        value, gradients = self.measured(output, self.target, self.ignored)
        self.require(math.isfinite(value) and value >= 0, f"must be finite and at least 0, not {value}")
        self.require(any(bool(one.any()) for one in gradients), "a random answer must have a gradient")
        under = hidden(output, self.ignored)
        none_there = not any(bool(one[where].any()) for one, where in zip(gradients, under, strict=True))
        self.require(none_there, "ignored pixels must have no gradient")
        places = iter(under)
        other_output = mapped(output, lambda one: torch.where(next(places), -300 * one, one))
        for label in (0, self.logits.shape[1] - 1, 255, 65535, -1):
            other, _ = self.measured(other_output, self.target.masked_fill(self.ignored, label), self.ignored)
            self.require(other == value, f"ignored pixels changed it from {value} to {other} (label {label} there)")

    def check_nothing_counted(self) -> None:
        output = self.form.answer(self.logits, None)
        value, gradients = self.measured(output, self.target, torch.ones_like(self.ignored))
        self.require(value == 0, f"must be 0 where every pixel is ignored, not {value}")
        any_gradient = any(bool(one.any()) for one in gradients)
        self.require(not any_gradient, "must have a zero gradient where every pixel is ignored")

    def check_an_image_without_labels(self) -> None:
        """It must not thin out the mean of the others."""
        output = self.form.answer(self.logits, None)
        ignored = self.ignored.clone()
        ignored[1] = True
        both, _ = self.measured(output, self.target, ignored)
        alone, _ = self.measured(mapped(output, lambda one: one[:1]), self.target[:1], ignored[:1])
        same = math.isclose(both, alone, rel_tol=1e-4, abs_tol=1e-6)
        self.require(same, f"an image without a counted pixel changed it from {alone} to {both}")

    def confident(self, index: Int64[torch.Tensor, "batch y x"], sure: float) -> Output:
        classes = self.logits.shape[1]
        logits = CONFIDENT * torch.nn.functional.one_hot(index, classes).movedim(-1, 1).float()
        return self.form.answer(logits, sure)

    def blocks(self, classes: int) -> Int64[torch.Tensor, "batch y x"]:
        """Return labels in blocks, of 0..classes-1."""
        row, column = torch.arange(HEIGHT) // BLOCK, torch.arange(WIDTH) // BLOCK
        return ((row[:, None] * (WIDTH // BLOCK + 1) + column) % classes).expand(2, -1, -1)

    def check_order(self) -> None:
        classes = self.logits.shape[1]
        target = self.blocks(classes)
        ignored = self.ignored & (self.target == 0)
        right, _ = self.measured(self.confident(target, 1.0), target, ignored)
        unsure, _ = self.measured(self.form.answer(torch.zeros_like(self.logits), 0.0), target, ignored)
        wrong, _ = self.measured(self.confident((target + 1) % classes, -1.0), target, ignored)
        self.require(right < 0.5 * unsure < unsure < wrong, f"right {right}, unsure {unsure}, wrong {wrong}: no order")
        output = self.form.answer(self.logits, None)
        start, gradients = self.measured(output, self.target, self.ignored)
        steps = iter(gradients)
        largest = max(float(one.abs().max()) for one in gradients)
        moved = mapped(output, lambda one: one - 0.1 * next(steps) / largest)
        after, _ = self.measured(moved, self.target, self.ignored)
        self.require(after < start, f"a step against its gradient raised it from {start} to {after}")

    def check_absent(self) -> None:
        """Two classes, both answered wrong, must not cost less because others are absent."""
        classes = self.logits.shape[1]
        few, all_of_them = self.blocks(2), self.blocks(classes)
        nothing = torch.zeros_like(few, dtype=torch.bool)
        absent, _ = self.measured(self.confident(1 - few, -1.0), few, nothing)
        present, _ = self.measured(self.confident((all_of_them + 1) % classes, -1.0), all_of_them, nothing)
        self.require(absent >= 0.9 * present, f"absent classes diluted it from {present} to {absent}")

    def check_precision(self) -> None:
        half = mapped(self.form.answer(self.logits, None), torch.Tensor.bfloat16)
        exact, _ = self.measured(mapped(half, torch.Tensor.float), self.target, self.ignored)
        with torch.autocast("cpu", torch.bfloat16):
            rough, _ = self.measured(half, self.target, self.ignored)
        self.require(rough == exact, f"sums must run in float32 under autocast: {rough} instead of {exact}")
