"""What all refiners share: running steps, answering each, halting, and leaving out what has settled."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int32, Int64, Shaped
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from terrazzo.models.architecture import Network
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Steps
from terrazzo.models.recomputing import statistics_kept
from terrazzo.models.refiner.blocks import refined_in_blocks
from terrazzo.models.refiner.settings import Refiner

__all__ = ["RefinerNetwork", "RefinerState"]


@dataclass(frozen=True)
class RefinerState:
    """Where a refiner stands; every tensor's first axis is the batch.

    Attributes:
        given: Maps that no step changes.
        moving: Maps that steps change; the last one is what the halting head reads.
        logits: Of the last step, at the refiner's stride, float32; all 0 before the first.
        change: Total variation between the soft-max of the last step and the one before, 0..1.
        frozen: Cells that change no more; None where none ever did.
        height: Rows of the image.
        width: Columns of the image.
        skipped: How many steps each cell was frozen in; None where none ever was.
    """

    given: tuple[Float[torch.Tensor, "batch _ y x"], ...]
    moving: tuple[Float[torch.Tensor, "batch _ y x"], ...]
    logits: Float[torch.Tensor, "batch class y x"]
    change: Float[torch.Tensor, "batch y x"]
    frozen: Bool[torch.Tensor, "batch y x"] | None
    height: int
    width: int
    skipped: Int32[torch.Tensor, "batch y x"] | None = None


class RefinerNetwork(Network):
    """A network that answers in steps; `forward` runs all of them, `terrazzo.models.adaptive.refine` only those needed.

    Args:
        settings: Steps and halting.
        stride: Pixels of the image along a cell of a step's logits.
        halting: Head that reads a state; None where tiles run all steps.
        reach: Cells to each side that `refined` sees of its maps; None where it sees all of them.
    """

    def __init__(
        self, settings: Refiner, *, stride: int, halting: torch.nn.Module | None, reach: int | None = None
    ) -> None:
        super().__init__()
        self.stride = stride
        self.reach = reach
        self.t_min, self.t_max = settings.t_min, settings.t_max
        self.halting = halting
        self._per_cell = settings.pixel_act
        self._coupled = settings.halting_gradient
        self._checkpointed = False

    @abstractmethod
    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> RefinerState:
        """Encode the image and return the first state."""

    @abstractmethod
    def refined(
        self, state: RefinerState
    ) -> tuple[tuple[Float[torch.Tensor, "batch _ y x"], ...], Float[torch.Tensor, "batch class y x"]]:
        """Return the moving maps and the logits after one more step, whatever is frozen."""

    def steps_to_run(self) -> int:
        """Return how many steps `forward` runs: t_max, unless a subclass draws fewer in training."""
        return self.t_max

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits of the last step at the size of the input, and all steps at the refiner's own stride.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        return self.run(self.start(image))

    def run(self, state: RefinerState) -> Output:
        """Answer after all steps from a first state."""
        logits, halting = [], []
        for _ in range(self.steps_to_run()):
            state = self.step(state)
            logits.append(state.logits)
            if self.halting is not None:
                halting.append(self.halting_logits(state))
        return Output(self.answer(state), (Steps(tuple(logits), tuple(halting), self.stride),))

    def step(self, state: RefinerState) -> RefinerState:
        """Refine once; frozen cells keep their logits and their states, which their neighbours go on seeing.

        Where few cells still change only blocks around these are computed, to the same answer but for rounding.
        """
        moving, logits = self._recomputed(state) if self._recomputes(state) else self._refined(state)
        # One order in memory, so that a part of the batch is enlarged to the same bits as the whole.
        logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
        if state.frozen is not None:
            kept = state.frozen[:, None]
            moving = tuple(torch.where(kept, old, new) for old, new in zip(state.moving, moving, strict=True))
            logits = torch.where(kept, state.logits, logits)
        skipped = state.skipped if state.frozen is None or state.skipped is None else state.skipped + state.frozen
        change = (logits.softmax(dim=1) - state.logits.softmax(dim=1)).abs().sum(dim=1) / 2
        return replace(state, moving=moving, logits=logits, change=change, skipped=skipped)

    def answer(self, state: RefinerState) -> Float[torch.Tensor, "batch class y x"]:
        """Return the logits of a state at the size of the input."""
        return enlarged(state.logits, stride=self.stride, height=state.height, width=state.width)

    def halting_logits(self, state: RefinerState) -> Float[torch.Tensor, "batch *_"]:
        """Return the halting head's logit of each tile, or of each cell.

        Raises:
            TypeError: There is no head.
        """
        if self.halting is None:
            raise TypeError("a refiner with act: false has no halting head")
        seen = (state.moving[-1], state.logits, state.change)
        if not self._coupled:
            seen = (seen[0].detach(), seen[1].detach(), seen[2].detach())
        logits: torch.Tensor = self.halting(*seen)
        return logits.float()

    def halt(self, state: RefinerState) -> Float[torch.Tensor, " batch"]:
        """Return for each tile the probability, 0..1, that more steps would not help; 0 without a halting head.

        Where cells settle one by one it is the smallest of those that have not settled.
        """
        if self.halting is None:
            return state.logits.new_zeros(state.logits.shape[0])
        probability = self.halting_logits(state).sigmoid()
        if not self._per_cell:
            return probability
        if state.frozen is not None:
            probability = torch.where(state.frozen, 1.0, probability)
        return probability.flatten(1).amin(dim=1)

    def freeze(self, state: RefinerState, threshold: float | Float[torch.Tensor, " batch"]) -> RefinerState:
        """Return a state whose cells change no more where their probability to halt is at least the threshold.

        Where whole tiles halt it is the state itself.

        Args:
            state: Of some tiles.
            threshold: One for all tiles, or one for each.
        """
        if not self._per_cell:
            return state
        limit = threshold[:, None, None] if isinstance(threshold, torch.Tensor) else threshold
        settled = self.halting_logits(state).sigmoid() >= limit
        if state.frozen is not None:
            return replace(state, frozen=state.frozen | settled)
        return replace(state, frozen=settled, skipped=torch.zeros_like(settled, dtype=torch.int32))

    def skipped_steps(self, state: RefinerState) -> Int32[torch.Tensor, "batch y x"] | None:
        """Return, at the size of the input, the steps that each pixel's cell was frozen in; None where none settles."""
        if state.skipped is None:
            return None
        rows = state.skipped.repeat_interleave(self.stride, dim=1)[:, : state.height]
        return rows.repeat_interleave(self.stride, dim=2)[:, :, : state.width]

    def select(self, state: RefinerState, index: Int64[torch.Tensor, " kept"]) -> RefinerState:
        """Return the state of some tiles of the batch."""
        # By subscript: index_select would lose the order of the axes in memory.
        return replace(
            state,
            given=tuple(one[index] for one in state.given),
            moving=tuple(one[index] for one in state.moving),
            logits=state.logits[index],
            change=state.change[index],
            frozen=None if state.frozen is None else state.frozen[index],
            skipped=None if state.skipped is None else state.skipped[index],
        )

    def join(self, states: Sequence[RefinerState]) -> RefinerState:
        """Return one state of all tiles, in order, whatever steps they have run."""
        first = states[0]
        frozen, skipped = None, None
        if any(state.frozen is not None for state in states):
            frozen = torch.cat([_marks(state, state.frozen, torch.bool) for state in states])
            skipped = torch.cat([_marks(state, state.skipped, torch.int32) for state in states])
        return replace(
            first,
            given=_each_joined([state.given for state in states]),
            moving=_each_joined([state.moving for state in states]),
            logits=torch.cat([state.logits for state in states]),
            change=torch.cat([state.change for state in states]),
            frozen=frozen,
            skipped=skipped,
        )

    def checkpoint_gradients(self) -> None:
        """Compute each step again in the backward pass instead of keeping its activations."""
        self._checkpointed = True

    def _refined(
        self, state: RefinerState
    ) -> tuple[tuple[Float[torch.Tensor, "batch _ y x"], ...], Float[torch.Tensor, "batch class y x"]]:
        """Refine all cells, or those alone that still change."""
        # Which blocks there are depends on values: a graph that is traced computes all cells.
        if state.frozen is None or self.reach is None or self.training or torch.compiler.is_compiling():
            return self.refined(state)
        given = len(state.given)

        def refined(maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            change = torch.zeros_like(maps[-1][:, 0])
            part = RefinerState(maps[:given], maps[given:-1], maps[-1], change, None, state.height, state.width)
            moving, logits = self.refined(part)
            return (*moving, logits)

        before = (*state.moving, state.logits)
        *moving, logits = refined_in_blocks(
            (*state.given, *before), before, state.frozen, reach=self.reach, refined=refined
        )
        return tuple(moving), logits

    def _recomputes(self, state: RefinerState) -> bool:
        # A batch norm that sees one value a channel needs its statistics, and there is nothing to save.
        single = state.change.numel() == 1
        return self._checkpointed and self.training and torch.is_grad_enabled() and not single

    def _recomputed(
        self, state: RefinerState
    ) -> tuple[tuple[Float[torch.Tensor, "batch _ y x"], ...], Float[torch.Tensor, "batch class y x"]]:
        norms = [module for module in self.modules() if isinstance(module, _BatchNorm)]

        def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            # Running statistics move once a step, in the first computation.
            return nullcontext(), statistics_kept(norms)

        moving, logits = checkpoint(self.refined, state, use_reentrant=False, context_fn=contexts)
        return moving, logits


def _each_joined(parts: Sequence[tuple[torch.Tensor, ...]]) -> tuple[torch.Tensor, ...]:
    """Join maps of the same place, in the order in memory that those have which steps have made."""
    return tuple(_joined(maps) for maps in zip(*parts, strict=True))


def _joined(maps: Sequence[Float[torch.Tensor, "_ channel y x"]]) -> Float[torch.Tensor, "batch channel y x"]:
    # The vectors that all cells start with have no order of their own and would take the others' away.
    innermost = any(one.is_contiguous(memory_format=torch.channels_last) for one in maps)
    order = torch.channels_last if innermost else torch.contiguous_format
    return torch.cat([one.contiguous(memory_format=order) for one in maps])


def _marks(
    state: RefinerState, marks: Shaped[torch.Tensor, "batch y x"] | None, dtype: torch.dtype
) -> Shaped[torch.Tensor, "batch y x"]:
    return torch.zeros_like(state.change, dtype=dtype) if marks is None else marks
