"""A network that answers in steps, taken apart into programs: start, step, answer, halt, freeze, skipped.

A state becomes a list of tensors. Numbers in it that are the image's height or width are read off a tensor of the
image's size, `frame`, which holds nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch

from terrazzo.errors import ModelError
from terrazzo.export.programs import ANY, EXAMPLE, Axes, Called, TensorProgram
from terrazzo.models.adaptive import NEVER, CellSteps, Freezing
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.halting import HaltingRule

__all__ = ["SteppingPrograms", "take_apart"]

_OTHER = (52, 61)
"""Height and width of a second image, which shows what of a state follows from the size."""
_SIDES: list[tuple[object, object]] = list(zip(EXAMPLE, _OTHER, strict=True))


@dataclass(frozen=True)
class SteppingPrograms:
    """The parts, and which tensors of the state each reads and writes.

    Attributes:
        start: From the image to the state.
        step: From the state to what a step changes.
        answer: From the state to logits.
        halt: From the state to the probability of each tile; None where no tile stops early.
        freeze: From the state and a threshold of each tile to what freezing changes; None where cells do not settle.
        skipped: From the state to the steps each pixel's cell did without; None likewise.
        writes_step: Which tensors of the state `step` answers.
        writes_freeze: Which tensors `freeze` answers.
        count: Tensors of the state.
    """

    start: TensorProgram
    step: TensorProgram
    answer: TensorProgram
    halt: TensorProgram | None
    freeze: TensorProgram | None
    skipped: TensorProgram | None
    writes_step: tuple[int, ...]
    writes_freeze: tuple[int, ...]
    count: int


def take_apart(network: Network, rule: HaltingRule, *, bands: int) -> SteppingPrograms:
    """Return the parts of a network that answers in steps.

    Args:
        network: In evaluation mode.
        rule: When a tile is done.
        bands: Input channels.

    Raises:
        ModelError: It does not answer in steps, or its state is made of something else than records, sequences, tensors
            and sizes.
    """
    if not isinstance(network, Adaptive):
        raise ModelError(f"{type(network).__name__} does not answer in steps.")
    stepping: Adaptive[Any] = network
    image = torch.randn((2, bands, *EXAMPLE), generator=torch.Generator().manual_seed(0))
    other = torch.randn((3, bands, *_OTHER), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first = _frozen(stepping, stepping.start(image))
        layout = _Layout.of(first, _frozen(stepping, stepping.start(other)))
        stepped = stepping.step(first)
        settled = _frozen(stepping, stepped)
    given, frame = _tensors(first), torch.zeros(2, *EXAMPLE, dtype=torch.bool)
    example = (*given, frame)
    axes = (*layout.axes, {0: ANY, 1: ANY, 2: ANY})
    names = tuple(f"state_{place}" for place in range(len(example)))
    writes_step = _changed(first, stepped)
    writes_freeze = _changed(stepped, settled)

    def part(call: Callable[[Any], tuple[torch.Tensor, ...]], outputs: Sequence[str]) -> TensorProgram:
        module = Called(network, lambda *tensors: call(layout.state(tensors)))
        return TensorProgram(module.eval(), example, axes, names, tuple(outputs))

    def start(seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # Copies: an output that shares memory with another, or with a weight, is none.
        tensors = [tensor.clone() for tensor in _tensors(_frozen(stepping, stepping.start(seen)))]
        return (*tensors, torch.zeros_like(seen[:, 0], dtype=torch.bool))

    def freeze(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if not isinstance(network, Freezing):
            raise ModelError(f"{type(network).__name__} settles no cells.")
        settled = network.freeze(layout.state(tensors[:-1]), tensors[-1])
        return tuple(_tensors(settled)[place] for place in writes_freeze)

    def skipped(state: object) -> tuple[torch.Tensor, ...]:
        found = network.skipped_steps(state) if isinstance(network, CellSteps) else None
        if found is None:
            raise ModelError(f"{type(network).__name__} settles no cells.")
        return (found,)

    image_axes: Axes = {0: ANY, 2: ANY, 3: ANY}
    freezing = bool(writes_freeze)
    return SteppingPrograms(
        start=TensorProgram(Called(network, start).eval(), (image,), (image_axes,), ("image",), names),
        step=part(
            lambda state: tuple(_tensors(stepping.step(state))[place] for place in writes_step),
            [f"next_{place}" for place in writes_step],
        ),
        answer=part(lambda state: (stepping.answer(state).float(),), ["logits"]),
        halt=part(lambda state: (stepping.halt(state),), ["probability"]) if rule.first < rule.last else None,
        freeze=TensorProgram(
            Called(network, freeze).eval(),
            (*example, torch.full((2,), 0.5)),
            (*axes, {0: ANY}),
            (*names, "threshold"),
            tuple(f"frozen_{place}" for place in writes_freeze),
        )
        if freezing
        else None,
        skipped=part(skipped, ["skipped"]) if freezing else None,
        writes_step=writes_step,
        writes_freeze=writes_freeze,
        count=len(example),
    )


def _frozen(network: Adaptive[Any], state: object) -> Any:  # noqa: ANN401 - a state is the network's own affair
    """Return a state in which no cell has settled, with all that settling adds to it."""
    return network.freeze(state, torch.full((_batch(state),), NEVER)) if isinstance(network, Freezing) else state


def _batch(state: object) -> int:
    return _tensors(state)[0].shape[0]


def _changed(before: object, after: object) -> tuple[int, ...]:
    """Return the places of tensors that are others."""
    pairs = zip(_tensors(before), _tensors(after), strict=True)
    return tuple(place for place, (old, new) in enumerate(pairs) if old is not new)


def _leaves(state: object) -> Iterator[object]:
    """Yield what a state is made of, in order."""
    if is_dataclass(state) and not isinstance(state, type):
        for each in fields(state):
            yield from _leaves(getattr(state, each.name))
    elif isinstance(state, tuple | list):
        for one in state:
            yield from _leaves(one)
    else:
        yield state


def _tensors(state: object) -> list[torch.Tensor]:
    return [leaf for leaf in _leaves(state) if isinstance(leaf, torch.Tensor)]


@dataclass(frozen=True)
class _Layout:
    """How a state is put together again from its tensors.

    Attributes:
        template: A state.
        sizes: What each of its leaves is that is no tensor: the axis of the frame, or the leaf itself.
        axes: Which axes of its tensors may have any length.
    """

    template: Any
    sizes: tuple[object, ...]
    axes: tuple[Axes, ...]

    @classmethod
    def of(cls, first: object, second: object) -> "_Layout":
        """Learn it from the states of images of the two sizes."""
        sizes: list[object] = []
        axes: list[Axes] = []
        for one, other in zip(_leaves(first), _leaves(second), strict=True):
            if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
                pairs = zip(one.shape, other.shape, strict=True)
                axes.append({axis: ANY for axis, (length, another) in enumerate(pairs) if length != another})
            elif (one, other) in _SIDES:
                sizes.append(_Side(1 + _SIDES.index((one, other))))
            elif one == other:
                sizes.append(one)
            else:
                raise ModelError(f"A state holds {one!r} and {other!r}, which are no sizes of the image.")
        return cls(first, tuple(sizes), tuple(axes))

    def state(self, tensors: Sequence[torch.Tensor]) -> Any:  # noqa: ANN401 - a state is the network's own affair
        """Return the state of tensors, the frame last."""
        *given, frame = tensors
        rest, sizes = iter(given), iter(self.sizes)

        def put(part: Any) -> Any:  # noqa: ANN401 - as above
            if is_dataclass(part) and not isinstance(part, type):
                return replace(part, **{each.name: put(getattr(part, each.name)) for each in fields(part)})
            if isinstance(part, tuple | list):
                return type(part)(put(one) for one in part)
            if isinstance(part, torch.Tensor):
                return next(rest)
            size = next(sizes)
            return frame.shape[size.axis] if isinstance(size, _Side) else size

        return put(self.template)


@dataclass(frozen=True)
class _Side:
    """Height or width of the image: an axis of the frame."""

    axis: int
