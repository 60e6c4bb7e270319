"""Answers by masks: queries that each say a class and the pixels it covers, and the class scores they amount to."""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import PositiveInt, model_validator
from torch.utils.checkpoint import checkpoint

from terrazzo.models.heads.head import Head
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Queries

__all__ = ["MaskAnswer", "MaskHead", "semantic_logits"]

FLOOR = 1e-6
"""Score of every class that no query claims a pixel for, so that no logit is infinite."""
AT_ONCE = 16
"""Queries whose masks are enlarged at a time, so that a hundred of them never lie side by side at an image's size."""


class MaskHead(Head):
    """What heads of masks have in common."""

    queries: PositiveInt | None = None
    """Number of queries: by default 100, with `assignment: fixed` as many as classes."""
    assignment: Literal["matched", "fixed"] = "matched"
    """`matched`: the loss finds which query stands for what, and the others answer "no object"; `fixed`: query c stands
    for class c, without "no object": for few classes."""
    every_layer: bool = False
    """Give the answer of every layer in evaluation too: its loss is then the same sum as in training, at a cost in time
    that prediction pays as well; otherwise evaluation has the last layer's alone."""

    @model_validator(mode="after")
    def _fits(self) -> "MaskHead":
        if self.assignment == "fixed" and self.queries is not None:
            raise ValueError("with assignment fixed there are as many queries as classes; leave queries out.")
        return self

    @property
    def answers(self) -> frozenset[type]:
        """Kinds of auxiliary records in its output."""
        return frozenset({Queries})

    def query_count(self, classes: int) -> int:
        """Return the number of queries."""
        return classes if self.assignment == "fixed" else (self.queries or 100)


class MaskAnswer(torch.nn.Module):
    """Reads from queries the class of each, and from queries and the embedding of each pixel the masks.

    A linear layer answers classes; three of them, with an activation between, lead from a query to the vector whose
    product with a pixel's embedding is the mask's logit there.

    Source: Cheng et al., MaskFormer, arXiv 2107.06278, section 3.3.

    Args:
        channels: Of queries.
        columns: Of the class answer: one more than classes where there is "no object".
        pixel_channels: Of the pixels' embeddings.
        activation: Between the three layers.
    """

    def __init__(
        self, channels: int, columns: int, *, pixel_channels: int, activation: Callable[[], torch.nn.Module]
    ) -> None:
        super().__init__()
        self.classifier = torch.nn.Linear(channels, columns)
        self.embedding = torch.nn.Sequential(
            torch.nn.Linear(channels, channels),
            activation(),
            torch.nn.Linear(channels, channels),
            activation(),
            torch.nn.Linear(channels, pixel_channels),
        )

    def forward(
        self, queries: Float[torch.Tensor, "batch query channel"], pixels: Float[torch.Tensor, "batch _embedding y x"]
    ) -> tuple[Float[torch.Tensor, "batch query _class"], Float[torch.Tensor, "batch query y x"]]:
        """Return logits of classes and of masks."""
        return self.classifier(queries), torch.einsum("bqc,bcyx->bqyx", self.embedding(queries), pixels)


def semantic_logits(
    classes: Float[torch.Tensor, "batch query _class"],
    masks: Float[torch.Tensor, "batch query _y _x"],
    *,
    count: int,
    stride: int,
    height: int,
    width: int,
) -> Float[torch.Tensor, "batch {count} {height} {width}"]:
    """Return the logarithm of each class's share in a pixel, in float32: softmax gives the shares back.

    Masks are enlarged to the image as logits, as the loss sees them. The score of a class is the sum over all queries
    of softmax(classes)[class] sigmoid(mask); "no object" has none. Its share is its score by the sum of all, so that
    shares are probabilities, which scores are not. A pixel that no query claims has equal shares.

    Source: Cheng et al., MaskFormer, arXiv 2107.06278, section 3.4 ("semantic inference"), and its code, which
    enlarges logits; transformers' post-processing enlarges scores, by which the place of an edge inside a cell is lost.
    Differs: scores are normalised, and bounded away from 0 by `FLOOR`; queries are enlarged a few at a time.

    Args:
        classes: Logits; what lies beyond the first `count` is "no object".
        masks: Logits.
        count: Number of classes.
        stride: Pixels along a cell of a mask.
        height: Rows of the image.
        width: Columns of the image.
    """

    def summed(weights: torch.Tensor, some: torch.Tensor) -> torch.Tensor:
        """Return what some queries add to the scores."""
        fine = enlarged(some, stride=stride, height=height, width=width)
        return torch.einsum("bqc,bqyx->bcyx", weights, fine.sigmoid())

    with torch.autocast(masks.device.type, enabled=False):
        weights = classes.float().softmax(dim=-1)[..., :count]
        scores = weights.new_full((masks.shape[0], count, height, width), FLOOR)
        # Most losses read queries, not logits: what these would need backwards is computed again, not kept.
        again = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        for begin in range(0, masks.shape[1], AT_ONCE):
            some = (weights[:, begin : begin + AT_ONCE], masks[:, begin : begin + AT_ONCE].float())
            scores = scores + (checkpoint(summed, *some, use_reentrant=False) if again else summed(*some))
        return (scores / scores.sum(dim=1, keepdim=True)).log()
