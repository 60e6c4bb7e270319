"""A network that is an ONNX graph: computed by ONNX Runtime behind the interface of every other network.

The graph travels without its large constants, which are the network's weights: both are plain data, so that such a
network is saved, copied to workers and fingerprinted like any other.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Float, Int64, Shaped
from pydantic import Field

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Architecture, Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.onnx_sessions import OnnxPart, OnnxSessions, weights_of
from terrazzo.models.output import Disagreement, Output, Steps
from terrazzo.record import Record

__all__ = ["LARGEST_GRAPH", "Interface", "OnnxGraph", "OnnxNetwork", "OnnxState", "OnnxSteppingNetwork", "StepGraphs"]

LARGEST_GRAPH = 64 * 2**20
"""Bytes of a graph without its weights that is taken at most."""

Count = Annotated[int, Field(ge=0)]


class StepGraphs(Record):
    """The parts of a graph that answers in steps; its state is a list of tensors whose first axis is the batch."""

    first: Annotated[int, Field(ge=1)]
    """No tile stops before this step, counted from 1."""
    last: Annotated[int, Field(ge=1)]
    """Every tile stops at this step."""
    threshold: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """A tile stops where the probability that more steps would not help is at least this."""
    start: OnnxPart
    """From the image to the first state."""
    step: OnnxPart
    """From a state to what one more step changes of it."""
    answer: OnnxPart
    """From a state to logits."""
    halt: OnnxPart | None = None
    """From a state to the probability of each tile that more steps would not help; None where no tile stops early."""
    freeze: OnnxPart | None = None
    """From a state and a threshold of each tile to a state whose settled cells change no more; None without such."""
    skipped: OnnxPart | None = None
    """From a state to the steps that each pixel's cell did without; None where cells do not settle by themselves."""


class Interface(Record):
    """Where a graph takes its image and gives its answer: names of tensors, inside the graph or at its ends."""

    image: Annotated[str, Field(min_length=1)]
    """Takes `batch band y x`: values as the contract's normalisation leaves them, 0 where a pixel is missing."""
    logits: Annotated[str, Field(min_length=1)]
    """Gives `batch class y x` at the size of the image."""
    answers: Literal["logits", "probabilities"] = "logits"
    """What that is; of probabilities the logarithm is taken."""
    disagreement: str | None = None
    """Gives `batch y x`, the share of an ensemble's members that chose another class; None without members."""
    steps: StepGraphs | None = None
    """How the graph answers in steps; None where it answers at once."""
    pixel_bytes: Count = 0
    """Memory that a pass takes for each pixel of its batch, as far as that is known."""


class OnnxGraph(Architecture):
    """A graph of operators instead of settings; it comes from a file and cannot be trained."""

    name: Literal["onnx"] = "onnx"
    """An ONNX graph."""
    graph: Annotated[str, Field(max_length=2 * LARGEST_GRAPH)]
    """The model without metadata and large constants: base64 of its compressed bytes."""
    interface: Interface
    """Where it takes its image and gives its answer."""

    @classmethod
    def of(cls, graph: bytes, interface: Interface) -> "OnnxGraph":
        """Return the record of a serialised model without metadata and large constants."""
        return cls(graph=base64.b64encode(zlib.compress(graph, 6)).decode("ascii"), interface=interface)

    @cached_property
    def serialised(self) -> bytes:
        """The model's bytes.

        Raises:
            ModelError: The record holds no such thing.
        """
        unpacking = zlib.decompressobj()
        try:
            found = unpacking.decompress(base64.b64decode(self.graph, validate=True), LARGEST_GRAPH)
        except (binascii.Error, ValueError, zlib.error) as error:
            raise ModelError(f"The ONNX graph is damaged: {error}.") from error
        if not unpacking.eof:
            raise ModelError(f"The ONNX graph is damaged, or larger than {LARGEST_GRAPH / 2**20:.0f} MiB.")
        return found

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network, whose weights are still to be loaded.

        Raises:
            ModelError: The extra `onnx` is missing, or the graph is damaged.
        """
        del bands, classes
        kind = OnnxNetwork if self.interface.steps is None else OnnxSteppingNetwork
        return kind(self)

    @property
    def answers(self) -> frozenset[type]:
        """Steps of a graph that answers so, disagreement of an ensemble's."""
        kinds: set[type] = set()
        if self.interface.steps is not None:
            kinds.add(Steps)
        if self.interface.disagreement is not None:
            kinds.add(Disagreement)
        return frozenset(kinds)

    @property
    def halting_rule(self) -> HaltingRule | None:
        """When a tile is done; None where the graph answers at once."""
        steps = self.interface.steps
        return None if steps is None else HaltingRule(threshold=steps.threshold, first=steps.first, last=steps.last)

    @property
    def own_arithmetic(self) -> bool:
        """A graph says itself in which type each operator computes."""
        return True


class OnnxNetwork(Network):
    """A graph that answers at once, on whichever device ONNX Runtime has a provider for, else on the processor.

    Args:
        architecture: The graph.
    """

    def __init__(self, architecture: OnnxGraph) -> None:
        super().__init__()
        self.interface = architecture.interface
        self._graph = architecture.serialised
        self._sessions: OnnxSessions | None = None
        self._weights = weights_of(self._graph)
        for number, weight in enumerate(self._weights):
            self.register_buffer(weight_name(number), torch.zeros(weight.shape, dtype=weight.dtype))

    @property
    def sessions(self) -> OnnxSessions:
        """ONNX Runtime's sessions, with the weights that are loaded by now."""
        if self._sessions is None:
            buffers = dict(self.named_buffers())
            tensors = {weight.name: buffers[weight_name(number)] for number, weight in enumerate(self._weights)}
            self._sessions = OnnxSessions(self._graph, tensors)
        return self._sessions

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.

        Raises:
            ModelError: ONNX Runtime refuses the graph, or an image of this size.
        """
        with self._room(image):
            return self._answer(image)

    def _answer(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        interface = self.interface
        outputs = (interface.logits,) if interface.disagreement is None else (interface.logits, interface.disagreement)
        found = self.sessions.run(OnnxPart(inputs=(interface.image,), outputs=outputs), (image,))
        logits = found[0].float()
        if interface.answers == "probabilities":
            logits = logits.clamp_min(torch.finfo(torch.float32).tiny).log()
        return Output(logits, tuple(Disagreement(values.float()) for values in found[1:]))

    def _room(self, image: Float[torch.Tensor, "batch band y x"]) -> "_Claimed":
        return _Claimed(image.shape[0] * image.shape[-2] * image.shape[-1] * self.interface.pixel_bytes)

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> "OnnxNetwork":
        """Stay as it is, whatever device, type or layout is asked for: ONNX Runtime holds the weights."""
        del fn, recurse
        return self

    def load_state_dict(self, *args: Any, **settings: Any) -> Any:  # noqa: ANN401 - torch's own signature
        """Load weights; sessions are opened anew."""
        self._sessions = None
        return super().load_state_dict(*args, **settings)


def weight_name(number: int) -> str:
    """Return what a weight is called in the state of a network.

    >>> weight_name(3)
    'weight_3'
    """
    return f"weight_{number}"


class _Claimed:
    """Memory that is claimed and never touched while a graph runs, so that whoever counts torch's tensors sees it.

    Args:
        size: Bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._claimed: torch.Tensor | None = None

    def __enter__(self) -> None:
        self._claimed = torch.empty(self._size, dtype=torch.uint8)

    def __exit__(self, *_: object) -> None:
        self._claimed = None


@dataclass(frozen=True)
class OnnxState:
    """Where a graph stands that answers in steps.

    Attributes:
        tensors: Its state; every tensor's first axis is the batch.
    """

    tensors: tuple[Shaped[torch.Tensor, "batch *_"], ...]


class OnnxSteppingNetwork(OnnxNetwork):
    """A graph in parts, by which an engine stops computing what has settled, as with any adaptive network."""

    @property
    def parts(self) -> StepGraphs:
        """The graph's parts."""
        if self.interface.steps is None:
            raise ModelError("This ONNX graph answers at once.")
        return self.interface.steps

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer after all steps, and what every step answered, at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.

        Raises:
            ModelError: ONNX Runtime refuses the graph, or an image of this size.
        """
        state = self.start(image)
        logits, halting = [], []
        for _ in range(self.parts.last):
            state = self.step(state)
            logits.append(self.answer(state))
            if self.parts.halt is not None:
                halting.append(self.halt(state).logit())
        return Output(logits[-1], (Steps(tuple(logits), tuple(halting), 1),))

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> OnnxState:
        """Encode the image and return the first state."""
        with self._room(image):
            return OnnxState(tuple(self.sessions.run(self.parts.start, (image,))))

    def step(self, state: OnnxState) -> OnnxState:
        """Refine once."""
        return self._changed(state, self.parts.step)

    def answer(self, state: OnnxState) -> Float[torch.Tensor, "batch class y x"]:
        """Return the logits of a state at the size of the input."""
        return self._read(state, self.parts.answer).float()

    def halt(self, state: OnnxState) -> Float[torch.Tensor, " batch"]:
        """Return for each tile the probability, 0..1, that more steps would not help; 0 where none stops early."""
        if self.parts.halt is None:
            first = state.tensors[0]
            return torch.zeros(len(first), device=first.device)
        return self._read(state, self.parts.halt).float()

    def freeze(self, state: OnnxState, threshold: float | Float[torch.Tensor, " batch"]) -> OnnxState:
        """Return a state whose cells change no more where their probability to halt is at least the threshold.

        Args:
            state: Of some tiles.
            threshold: One for all tiles, or one for each.
        """
        if self.parts.freeze is None:
            return state
        first = state.tensors[0]
        each = torch.as_tensor(threshold, dtype=torch.float32, device=first.device).expand(len(first))
        return self._changed(state, self.parts.freeze, each)

    def skipped_steps(self, state: OnnxState) -> Shaped[torch.Tensor, "batch y x"] | None:
        """Return, at the size of the input, the steps that each pixel's cell did without; None where none settles."""
        return None if self.parts.skipped is None else self._read(state, self.parts.skipped)

    def select(self, state: OnnxState, index: Int64[torch.Tensor, " kept"]) -> OnnxState:
        """Return the state of some tiles of the batch."""
        return OnnxState(tuple(one[index] for one in state.tensors))

    def join(self, states: Sequence[OnnxState]) -> OnnxState:
        """Return one state of all tiles, in order, whatever steps they have run."""
        return OnnxState(tuple(torch.cat(same) for same in zip(*(one.tensors for one in states), strict=True)))

    def _read(self, state: OnnxState, part: OnnxPart) -> torch.Tensor:
        """Return the only answer of a part that changes nothing."""
        return self.sessions.run(part, [state.tensors[position] for position in part.reads])[0]

    def _changed(self, state: OnnxState, part: OnnxPart, *further: torch.Tensor) -> OnnxState:
        """Return the state with what a part changes of it."""
        found = self.sessions.run(part, [*(state.tensors[position] for position in part.reads), *further])
        tensors = list(state.tensors)
        for position, tensor in zip(part.writes, found, strict=True):
            tensors[position] = tensor
        return OnnxState(tuple(tensors))
