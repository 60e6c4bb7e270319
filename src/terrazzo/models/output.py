"""What a network answers: logits at the input's size, and typed records of anything it says beside them.

A coarse map of stride s covers the input from its upper left pixel: cell (i, j) stands for the pixels from s i and s j
on, and there are ceil(height / s) x ceil(width / s) of them. What padding added is cut off before.
"""

from dataclasses import dataclass, field, replace
from typing import TypeVar

import torch
from jaxtyping import Float

__all__ = ["READ_BY_NO_LOSS", "Auxiliary", "DeepSupervision", "Disagreement", "Output", "Queries", "Steps"]


@dataclass(frozen=True)
class DeepSupervision:
    """Further answers for the same image, finest first.

    Attributes:
        logits: Each `batch class y x` at its own stride.
        strides: Pixels of the input along a cell of each.
    """

    logits: tuple[Float[torch.Tensor, "batch class _y _x"], ...]
    strides: tuple[int, ...]

    def floating(self) -> "DeepSupervision":
        """Return the same in float32."""
        return replace(self, logits=tuple(one.float() for one in self.logits))


@dataclass(frozen=True)
class Steps:
    """The answers of a model that refines in steps.

    Attributes:
        logits: One `batch class y x` a step, first to last, each at the model's own stride.
        halting: One `batch` (a tile) or `batch y x` (a cell) a step: logits of the probability that further steps would
            not help.
        stride: Pixels of the input along a cell.
    """

    logits: tuple[Float[torch.Tensor, "batch class _y _x"], ...]
    halting: tuple[Float[torch.Tensor, "batch *_"], ...]
    stride: int

    def floating(self) -> "Steps":
        """Return the same in float32."""
        return replace(
            self,
            logits=tuple(one.float() for one in self.logits),
            halting=tuple(one.float() for one in self.halting),
        )


@dataclass(frozen=True)
class Queries:
    """The answers of a head of masks, before each layer and after the last, last first.

    Attributes:
        classes: Each `batch query class+1`: logits of the class of each query, the last one for "no object"; without
            that last one where query c always stands for class c.
        masks: Each `batch query y x`: logits of the pixels that a query covers.
        stride: Pixels of the input along a cell of a mask.
    """

    classes: tuple[Float[torch.Tensor, "batch query _class"], ...]
    masks: tuple[Float[torch.Tensor, "batch query _y _x"], ...]
    stride: int

    def floating(self) -> "Queries":
        """Return the same in float32."""
        return replace(
            self,
            classes=tuple(one.float() for one in self.classes),
            masks=tuple(one.float() for one in self.masks),
        )


@dataclass(frozen=True)
class Disagreement:
    """Where the members of an ensemble differ; answered in evaluation alone.

    Attributes:
        values: Share of the members, 0..1, that chose another class than the ensemble.
    """

    values: Float[torch.Tensor, "batch y x"]

    def floating(self) -> "Disagreement":
        """Return the same in float32."""
        return replace(self, values=self.values.float())


READ_BY_NO_LOSS: frozenset[type] = frozenset({Disagreement})
"""Kinds of records that only say something of the answer; nothing of them is trained."""

Auxiliary = DeepSupervision | Steps | Queries | Disagreement
Kind = TypeVar("Kind", DeepSupervision, Steps, Queries, Disagreement)


@dataclass(frozen=True)
class Output:
    """A network's answer.

    Attributes:
        logits: Unnormalised log-probabilities at the size of the input.
        auxiliary: At most one record of each kind.
    """

    logits: Float[torch.Tensor, "batch class y x"]
    auxiliary: tuple[Auxiliary, ...] = field(default=())

    def find(self, kind: type[Kind]) -> Kind | None:
        """Return the record of a kind, or None where the network answers none."""
        return next((record for record in self.auxiliary if isinstance(record, kind)), None)

    def floating(self) -> "Output":
        """Return the same in float32."""
        return Output(self.logits.float(), tuple(record.floating() for record in self.auxiliary))
