"""The loss of a model that refines in steps: its answers, its halting and what it pays for thinking."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float32
from pydantic import Field

from terrazzo.errors import ModelError
from terrazzo.losses.halting import Halting, Maps
from terrazzo.losses.loss import Labels, Loss, NonNegative
from terrazzo.losses.parts import InnerLoss, check_cells, labels_of_part, required, untouched
from terrazzo.losses.pixels import CrossEntropy
from terrazzo.losses.ponder import Ponder
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Steps

__all__ = ["StepLoss"]


class StepLoss(Loss):
    """An inner loss of every step's answer, plus halting, plus a ponder price.

    Weights of steps 1..T: `uniform`: 1 each; `raft`: gamma^(T - t); `last`: 1 for the last and alpha / (T - 1) for each
    other, for comparison with DeepGlobe-TRM alone, since early exits stay untrained with it. They are divided by their
    sum, so that the number of steps moves neither the scale nor the balance with halting.

    Source: Teed and Deng, RAFT, ECCV 2020, equation 7 (`raft`); Liu et al., Anytime Dense Prediction with Confidence
        Adaptivity, ICLR 2022 (`uniform`: all exits count 1); TRM (Jolicoeur-Martineau, 2025) for a loss at each step.
    Differs: those add the steps up; `average_steps: false` does.
    """

    name: Literal["steps"] = "steps"
    """A loss of every step."""
    loss: InnerLoss = CrossEntropy()
    """What is measured on each step's answer: any loss that reads logits alone."""
    weights: Literal["uniform", "raft", "last"] = "uniform"
    """How much each step's answer counts."""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.8
    """What `raft` multiplies the weight by for each step before the last."""
    alpha: NonNegative = 0.3
    """What `last` gives the steps before the last, all together."""
    average_steps: bool = True
    """Divide the weights by their sum; false adds the steps up."""
    resolution: Literal["image", "model"] = "image"
    """Judge answers enlarged to the image, or, cheaper, at the model's stride against each cell's middle pixel."""
    halting: Halting | None = Halting()
    """What halting learns; null leaves the halting head as it is. A model without one (`act: false`) learns none."""
    ponder: Ponder = Ponder()
    """What further steps cost."""

    @property
    def reads(self) -> frozenset[type]:
        """The steps."""
        return frozenset({Steps})

    def shares(self, steps: int) -> tuple[float, ...]:
        """Return the weight of each step.

        >>> [round(share, 3) for share in StepLoss(weights="raft").shares(3)]
        [0.262, 0.328, 0.41]
        >>> StepLoss(weights="last", average_steps=False).shares(4)
        (0.09999999999999999, 0.09999999999999999, 0.09999999999999999, 1.0)
        """
        before = range(steps - 1, 0, -1)
        if self.weights == "raft":
            shares = [self.gamma**distance for distance in before]
        else:
            shares = [1.0 if self.weights == "uniform" else self.alpha / (steps - 1) for _ in before]
        shares.append(1.0)
        total = sum(shares) if self.average_steps else 1.0
        return tuple(share / total for share in shares)

    def measure_output(self, output: Output, labels: Labels) -> Float32[torch.Tensor, ""]:
        """Return the sum of the three parts."""
        record = required(output, Steps, self)
        for logits in record.logits:
            check_cells(self.name, logits, labels, record.stride)
        cells = labels.coarse(record.stride)
        maps, judged = self._judged(record, labels, cells)
        own = labels_of_part(self.loss, output.logits, judged)
        total = untouched(*record.logits, *record.halting)
        for share, logits in zip(self.shares(len(maps)), maps, strict=True):
            total = total + share * self.loss.measure(logits, own)
        if not record.halting:
            if self.ponder.kind == "none":
                return total
            raise ModelError(
                f"loss {self.name}: the network answers no halting logits, so ponder.kind {self.ponder.kind} has no "
                "price to set; set it to none, or let the model halt (act: true)."
            )
        by_cell = record.halting[0].ndim > 1
        if self.halting is not None:
            shown = (record.logits, cells) if by_cell else (maps, judged)
            total = total + self.halting.measure(record.halting, *shown)
        counted = cells.counted if by_cell else judged.counted.flatten(1).any(dim=1)
        return total + self.ponder.measure(record.halting, counted)

    def _judged(self, record: Steps, labels: Labels, cells: Labels) -> tuple[Maps, Labels]:
        """Return the steps' answers at the resolution at which they are judged, with its labels."""
        if self.resolution == "model":
            return record.logits, cells
        height, width = labels.index.shape[1:]
        maps = [enlarged(one, stride=record.stride, height=height, width=width) for one in record.logits]
        return maps, labels
