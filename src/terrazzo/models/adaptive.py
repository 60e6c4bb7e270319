"""Running a network that answers in steps so that what has settled is computed no further."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Int, Int64

from terrazzo.models.architecture import Adaptive
from terrazzo.models.halting import HaltingRule

__all__ = ["NEVER", "CellSteps", "Freezing", "Joining", "Refined", "Settled", "refine", "refine_refilled"]

State = TypeVar("State")
Seen = TypeVar("Seen", contravariant=True)

NEVER = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class Refined:
    """What an adaptive run answered.

    Attributes:
        logits: At the size of the input; each tile's from its own last step.
        steps: Steps that each tile ran.
    """

    logits: Float[torch.Tensor, "batch class y x"]
    steps: Int64[torch.Tensor, " batch"]


@dataclass(frozen=True)
class Settled:
    """Tiles that are done, in the order in which they became so.

    Attributes:
        tiles: Position of each among the images.
        logits: At the size of the input; each tile's from its own last step.
        steps: Steps that each tile ran.
        skipped: How many of its tile's steps each pixel's cell did without; None where cells do not settle by
            themselves.
    """

    tiles: tuple[int, ...]
    logits: Float[torch.Tensor, "tile class y x"]
    steps: tuple[int, ...]
    skipped: Int[torch.Tensor, "tile y x"] | None


@runtime_checkable
class Freezing(Protocol[State]):
    """An adaptive network whose cells can settle one by one."""

    def freeze(self, state: State, threshold: float | Float[torch.Tensor, " batch"]) -> State:
        """Return a state in which cells whose probability to halt is at least the threshold change no more.

        Args:
            state: Of some tiles.
            threshold: One for all tiles, or one for each.
        """
        ...


@runtime_checkable
class CellSteps(Protocol[Seen]):
    """An adaptive network that knows which steps its cells did without."""

    def skipped_steps(self, state: Seen) -> Int[torch.Tensor, "batch y x"] | None:
        """Return, at the size of the input, the steps that each pixel's cell did without; None where none settles."""
        ...


@runtime_checkable
class Joining(Protocol[State]):
    """An adaptive network that can go on with tiles of several states at once, whatever steps they have run."""

    def join(self, states: Sequence[State]) -> State:
        """Return one state of all tiles, in order; they were started from images of one size."""
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


def refine_refilled(
    network: Adaptive[State],
    images: Iterable[Float[torch.Tensor, "_ band y x"]],
    *,
    rule: HaltingRule,
    places: int,
) -> Iterator[Settled]:
    """Answer batches of images in steps; places that become free are filled from the next batch.

    So the places stay taken until no further tile waits, though each tile stops by itself. Images are encoded in the
    batches in which they are given, taken one by one, whoever has stopped by then. A network without `join` refines one
    batch after another.

    Args:
        network: In evaluation mode.
        images: Normalised values, all of one size.
        rule: When a tile is done.
        places: Tiles that are refined at once.

    Yields:
        Tiles as they are done, each once.
    """
    waiting = _Waiting(network, iter(images))
    running: _Running[State] | None = None
    while True:
        if running is None:
            running = waiting.take(places)
            if running is None:
                return
        if isinstance(network, Joining):
            running = _refilled(network, running, waiting, places)
        running.state = network.step(running.state)
        running.steps = [steps + 1 for steps in running.steps]
        done = _done(network, running, rule)
        if done:
            settled, running = _parted(network, running, done)
            yield settled


@dataclass
class _Running(Generic[State]):
    """Tiles in one state.

    Attributes:
        state: Of all of them.
        tiles: Position of each among the images.
        steps: Steps that each has run.
        device: Where they are.
    """

    state: State
    tiles: list[int]
    steps: list[int]
    device: torch.device


class _Waiting(Generic[State]):
    """Tiles that are encoded, batch by batch, and wait for a place."""

    def __init__(self, network: Adaptive[State], images: Iterator[torch.Tensor]) -> None:
        self._network = network
        self._images = images
        self._encoded: _Running[State] | None = None
        self._next = 0

    def take(self, places: int) -> _Running[State] | None:
        """Return at most so many tiles, of one batch; None where no tile is left."""
        if self._encoded is None:
            image = next(self._images, None)
            if image is None:
                return None
            numbers = list(range(self._next, self._next + len(image)))
            self._next += len(image)
            self._encoded = _Running(self._network.start(image), numbers, [0] * len(image), image.device)
        encoded, self._encoded = self._encoded, None
        count = len(encoded.tiles)
        if count <= places:
            return encoded
        self._encoded = _part(self._network, encoded, list(range(places, count)))
        return _part(self._network, encoded, list(range(places)))


def _refilled(
    network: Joining[State], running: _Running[State], waiting: _Waiting[State], places: int
) -> _Running[State]:
    """Fill the free places; the tiles that run come first."""
    parts = [running]
    room = places - len(running.tiles)
    while room > 0:
        fresh = waiting.take(room)
        if fresh is None:
            break
        parts.append(fresh)
        room -= len(fresh.tiles)
    if len(parts) == 1:
        return running
    return _Running(
        network.join([part.state for part in parts]),
        [tile for part in parts for tile in part.tiles],
        [steps for part in parts for steps in part.steps],
        running.device,
    )


def _done(network: Adaptive[State], running: _Running[State], rule: HaltingRule) -> list[int]:
    """Return the places of tiles that are done; cells that have settled are frozen."""
    last = [steps >= rule.last for steps in running.steps]
    asked = [rule.first <= steps < rule.last for steps in running.steps]
    halted = [False] * len(last)
    if any(asked):
        if isinstance(network, Freezing):
            thresholds = [rule.threshold if one else NEVER for one in asked]
            each = torch.tensor(thresholds, dtype=torch.float32, device=running.device)
            running.state = network.freeze(running.state, each)
        halted = (network.halt(running.state) >= rule.threshold).tolist()
    return [place for place, ended in enumerate(last) if ended or (asked[place] and halted[place])]


def _parted(
    network: Adaptive[State], running: _Running[State], done: list[int]
) -> tuple[Settled, _Running[State] | None]:
    """Answer the tiles that are done, and return the others."""
    going = sorted(set(range(len(running.tiles))) - set(done))
    ended = _part(network, running, done) if going else running
    skipped = network.skipped_steps(ended.state) if isinstance(network, CellSteps) else None
    settled = Settled(tuple(ended.tiles), network.answer(ended.state), tuple(ended.steps), skipped)
    return settled, _part(network, running, going) if going else None


def _part(network: Adaptive[State], running: _Running[State], places: list[int]) -> _Running[State]:
    index = torch.tensor(places, dtype=torch.int64, device=running.device)
    return _Running(
        network.select(running.state, index),
        [running.tiles[place] for place in places],
        [running.steps[place] for place in places],
        running.device,
    )
