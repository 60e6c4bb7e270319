"""What a network that answers in steps promises: each tile its own, alone or among others, and the same in any way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from jaxtyping import Float, Int64

from terrazzo.models.adaptive import Joining, refine, refine_refilled
from terrazzo.models.architecture import Adaptive, Architecture, Network
from terrazzo.models.halting import HaltingRule
from terrazzo.models.maps import enlarged
from terrazzo.models.output import Output, Steps
from terrazzo.testing.verdict import require

__all__ = ["check_adaptive"]

State = TypeVar("State")

TILES = 3


def check_adaptive(record: Architecture, network: Network, *, bands: int, size: tuple[int, int]) -> None:
    """Hold a network that answers in steps to the contract of `Adaptive`.

    Checked are: `forward` answers a record `Steps` of as many steps as the architecture's halting rule has, stepping by
    hand gives each of its answers, the logits of the last are the network's, probabilities to halt lie in 0..1 and are
    the halting logits', and tiles that stop at different steps each answer what they answer where all tiles run; where
    the network can join states, so do tiles that enter when others have left.

    Args:
        record: The architecture.
        network: What it built, with 3 classes.
        bands: Input channels.
        size: Height and width of the images.

    Raises:
        AssertionError: A promise is broken.
    """
    require(isinstance(network, Adaptive), record, "a network that answers Steps must be Adaptive")
    require(Steps in record.answers, record, "an Adaptive network must name Steps among its answers")
    rule = record.halting_rule
    require(rule is not None, record, "an Adaptive network needs a halting_rule")
    if not isinstance(network, Adaptive) or rule is None:
        return
    images = torch.randn((TILES, bands, *size), generator=torch.Generator().manual_seed(7))
    network.eval()
    with torch.inference_mode():
        output: Output = network(images)
        every = _check_steps(record, network, images, output)
        require(len(every) == rule.last, record, f"forward must answer {rule.last} steps, not {len(every)}")
        require(torch.equal(every[-1], output.logits), record, "the last step must answer the network's logits")
        _check_stops(record, network, images, every)
        if isinstance(network, Joining):
            _check_joins(record, network, images, every)


def _check_steps(
    record: Architecture, network: Adaptive[State], images: Float[torch.Tensor, "batch band y x"], output: Output
) -> list[Float[torch.Tensor, "batch class y x"]]:
    """Step by hand beside a run through all steps; return the answers of all steps."""
    steps = output.find(Steps)
    if steps is None:
        require(False, record, "forward must answer a record Steps")
        return []
    state = network.start(images)
    every: list[torch.Tensor] = []
    for position, coarse in enumerate(steps.logits):
        state = network.step(state)
        answer = network.answer(state)
        whole = enlarged(coarse, stride=steps.stride, height=images.shape[-2], width=images.shape[-1])
        require(torch.equal(answer, whole), record, f"step {position + 1} by hand must answer as forward does")
        probability = network.halt(state)
        require(tuple(probability.shape) == (TILES,), record, "halt must answer one probability a tile")
        require(bool(((probability >= 0) & (probability <= 1)).all()), record, "halt must answer 0..1")
        if steps.halting and steps.halting[position].ndim == 1:
            same = torch.equal(steps.halting[position].sigmoid(), probability)
            require(same, record, "halt must be the sigmoid of the step's halting logit")
        every.append(answer)
    return every


def _check_stops(
    record: Architecture,
    network: Adaptive[State],
    images: Float[torch.Tensor, "batch band y x"],
    every: list[Float[torch.Tensor, "batch class y x"]],
) -> None:
    """Let tiles stop at different steps, by a made-up probability."""
    last = len(every)
    wanted = torch.tensor([last, 1, (last + 1) // 2])
    found = refine(_Told(network, wanted), images, rule=HaltingRule(threshold=0.5, first=1, last=last))
    for tile, step in enumerate(wanted.tolist()):
        alone, among = every[step - 1][tile], found.logits[tile]
        scale = float(alone.abs().max().clamp_min(1e-3))
        near = float((alone - among).abs().max()) <= 1e-3 * scale
        require(near, record, f"a tile that stops at step {step} must answer as it does where all tiles run")


def _check_joins(
    record: Architecture,
    network: Adaptive[State],
    images: Float[torch.Tensor, "batch band y x"],
    every: list[Float[torch.Tensor, "batch class y x"]],
) -> None:
    """Let tiles take the places that others have left, in the middle of these' steps."""
    last = len(every)
    wanted = torch.tensor([last, 1, (last + 1) // 2])
    told = _Told(network, wanted)
    rule = HaltingRule(threshold=0.5, first=1, last=last)
    seen: list[int] = []
    for settled in refine_refilled(told, (images[tile : tile + 1] for tile in range(TILES)), rule=rule, places=2):
        for tile, step, logits in zip(settled.tiles, settled.steps, settled.logits, strict=True):
            seen.append(tile)
            right = step == int(wanted[tile])
            require(right, record, f"a tile told to stop at step {int(wanted[tile])} must not stop at step {step}")
            alone = every[step - 1][tile]
            near = float((alone - logits).abs().max()) <= 1e-3 * float(alone.abs().max().clamp_min(1e-3))
            require(near, record, "a tile that enters when others have left must answer as it does among its like")
    require(sorted(seen) == list(range(TILES)), record, f"each of {TILES} tiles must be answered once, not {seen}")


@dataclass(frozen=True)
class _Place(Generic[State]):
    """A state, the tiles it holds and the steps that each ran."""

    state: State
    tiles: Int64[torch.Tensor, " batch"]
    steps: Int64[torch.Tensor, " batch"]


class _Told(Generic[State]):
    """A network whose tiles, numbered as they start, halt when they are told to."""

    def __init__(self, network: Adaptive[State], wanted: Int64[torch.Tensor, " batch"]) -> None:
        self.network = network
        self.wanted = wanted
        self._started = 0

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> _Place[State]:
        tiles = torch.arange(self._started, self._started + len(image))
        self._started += len(image)
        return _Place(self.network.start(image), tiles, torch.zeros_like(tiles))

    def step(self, state: _Place[State]) -> _Place[State]:
        return _Place(self.network.step(state.state), state.tiles, state.steps + 1)

    def answer(self, state: _Place[State]) -> Float[torch.Tensor, "batch class y x"]:
        return self.network.answer(state.state)

    def halt(self, state: _Place[State]) -> Float[torch.Tensor, " batch"]:
        return (self.wanted[state.tiles] <= state.steps).float()

    def select(self, state: _Place[State], index: Int64[torch.Tensor, " kept"]) -> _Place[State]:
        return _Place(self.network.select(state.state, index), state.tiles[index], state.steps[index])

    def join(self, states: Sequence[_Place[State]]) -> _Place[State]:
        if not isinstance(self.network, Joining):
            raise TypeError("only a network that joins states is asked to")
        tiles = torch.cat([state.tiles for state in states])
        steps = torch.cat([state.steps for state in states])
        return _Place(self.network.join([state.state for state in states]), tiles, steps)
