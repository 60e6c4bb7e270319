"""Running a network that answers in steps so that what has settled is computed no further."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int64

from terrazzo.models.architecture import Adaptive
from terrazzo.models.halting import HaltingRule

__all__ = ["Freezing", "Refined", "refine"]

State = TypeVar("State")


@dataclass(frozen=True)
class Refined:
    """What an adaptive run answered.

    Attributes:
        logits: At the size of the input; each tile's from its own last step.
        steps: Steps that each tile ran.
    """

    logits: Float[torch.Tensor, "batch class y x"]
    steps: Int64[torch.Tensor, " batch"]


@runtime_checkable
class Freezing(Protocol[State]):
    """An adaptive network whose cells can settle one by one."""

    def freeze(self, state: State, threshold: float) -> State:
        """Return a state in which cells whose probability to halt is at least the threshold change no more."""
        ...


def refine(network: Adaptive[State], image: Float[torch.Tensor, "batch band y x"], *, rule: HaltingRule) -> Refined:
    """Answer images in steps, each tile stopping by itself.

    Tiles that are done leave the batch, so their further steps are not computed. A tile's answer depends on no other
    tile.

    Args:
        network: In evaluation mode.
        image: Normalised values.
        rule: When a tile is done.
    """
    state = network.start(image)
    active = torch.arange(len(image), device=image.device)
    steps = torch.full_like(active, rule.last)
    ended: list[torch.Tensor] = []
    answers: list[torch.Tensor] = []
    for step in range(1, rule.last + 1):
        state = network.step(state)
        if step < rule.first:
            continue
        done = torch.ones_like(active, dtype=torch.bool)
        if step < rule.last:
            if isinstance(network, Freezing):
                state = network.freeze(state, rule.threshold)
            done = network.halt(state) >= rule.threshold
        finished, going = done.nonzero()[:, 0], (~done).nonzero()[:, 0]
        if len(finished):
            answers.append(network.answer(network.select(state, finished)))
            ended.append(active[finished])
            steps[active[finished]] = step
        if not len(going):
            break
        if len(finished):
            active, state = active[going], network.select(state, going)
    order = torch.cat(ended).argsort()
    return Refined(torch.cat(answers)[order], steps)
