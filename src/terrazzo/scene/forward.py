"""The network on groups of windows: device, precision, views, steps, resize and margin; always the same bits."""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Float32, Int

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, ModelError
from terrazzo.models.adaptive import Settled, refine_refilled
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.output import Disagreement, Output
from terrazzo.scene.device_work import DeviceMeter
from terrazzo.scene.exhaustion import memory_errors
from terrazzo.scene.header import Decisions
from terrazzo.scene.network import prepared_network
from terrazzo.scene.precision import DTYPES
from terrazzo.scene.products import Products
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.steps import stepping_rule
from terrazzo.scene.views import Sight, sights_of
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores

__all__ = ["SeenAnswer", "WindowForward"]


@dataclass(frozen=True)
class SeenAnswer:
    """What the network answered to windows in one view, before any temperature and before it is brought back.

    Attributes:
        sight: How the windows were seen.
        tiles: Positions of the windows in their group.
        seen: What the network saw.
        logits: Its answer; of every step, first to last, where that was asked for.
    """

    sight: Sight
    tiles: tuple[int, ...]
    seen: Float32[torch.Tensor, "tile band _y _x"]
    logits: tuple[Float32[torch.Tensor, "tile class _y _x"], ...]


class WindowForward:
    """A bundle's network, ready to answer groups of windows; several threads may call it at once.

    A window's bits depend on its group and on nothing else: not on the threads beside it, nor on earlier calls. A group
    is cut into batches; a network that answers in steps goes on with the next windows of the group where others have
    stopped.

    Args:
        bundle: The network and what it was trained for.
        settings: Views, scales, steps, and whether batch norms are fused.
        decisions: Device, precision, batch and threads.
        products: What is blended: probabilities or logits, and steps where they are asked for.
        margin: Context around each window, cropped from the answer.
        lanes: Calls that are to run side by side.
        network: The bundle's network as `prepared_network` makes it, where the caller has it already; taken over.

    Raises:
        ConfigError: Steps are asked for that the network does not have.
        ModelError: The network cannot be built.
        OutOfMemoryError: It does not fit the device.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: PredictSettings,
        decisions: Decisions,
        products: Products,
        *,
        margin: int,
        lanes: int = 1,
        network: Network | None = None,
    ) -> None:
        self.device = _own_device(decisions.device)
        self.lanes = lanes
        self.classes = len(bundle.classes)
        self.rule = stepping_rule(bundle, settings)
        trained = bundle.architecture.halting_rule
        self._steps = 1 if trained is None else trained.last
        self._name = bundle.architecture.name
        self.decisions = decisions
        self._products = products
        self._margin = margin
        self._sights = sights_of(settings, bundle.resize)
        calibration = bundle.calibration if settings.calibrated else None
        self._temperature = None if calibration is None else calibration.window_temperature
        self._meter = DeviceMeter(self.device)
        with memory_errors(self._what()):
            self._network = prepared_network(bundle, decisions, fuse=settings.fuse, network=network)

    @property
    def group_size(self) -> int:
        """Windows that are to be handed over together."""
        return self.decisions.group_size

    def resized(self, decisions: Decisions) -> "WindowForward":
        """Return the same network, ready for windows of another size with other batches."""
        other = copy.copy(self)
        other.decisions = decisions
        return other

    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return each window's scores, on the device, without the margin; they are the caller's.

        Raises:
            ModelError: The network answered another shape than its contract says.
            OutOfMemoryError: The device has too little memory for a batch.
        """
        self._settle_threads()
        with memory_errors(self._what()), torch.inference_mode(), self._meter:
            image, valid = group.image_on(self.device)
            scores, steps = self._seen(self._sights[0], image, valid)
            for sight in self._sights[1:]:
                further, more = self._seen(sight, image, valid)
                scores += further
                steps += more
            if len(self._sights) > 1:
                scores /= len(self._sights)
        return WindowScores(scores, steps=steps / len(self._sights), seconds=self._meter.take())

    def answers(self, group: WindowGroup, take: Callable[[SeenAnswer], None], *, every_step: bool = False) -> None:
        """Hand over what the network answers to each window in each view, before any temperature.

        Args:
            group: The windows.
            take: Called with parts of the group, in any order; what it is given is its own.
            every_step: Whether all steps that the network was trained for are run and answered; otherwise windows stop
                as they do in a map, and a network that answers at once answers once anyway.

        Raises:
            ModelError: The network answered another shape than its contract says.
            OutOfMemoryError: The device has too little memory for a batch.
        """
        self._settle_threads()
        size = self.decisions.batch_size
        with memory_errors(self._what()), torch.inference_mode():
            image, valid = group.image_on(self.device)
            for sight in self._sights:
                if self.rule is not None and not every_step:
                    self._settled_answers(sight, image, valid, take)
                    continue
                for first in range(0, len(image), size):
                    tiles = tuple(range(first, min(first + size, len(image))))
                    batch = slice(first, first + size)
                    if self.rule is None:
                        seen, output = self._output(sight, image[batch], valid[batch])
                        found = [output.logits[: len(tiles)]]
                    else:
                        seen = _bands_innermost(sight.see(image[batch], valid[batch]))
                        found = self._every_step(seen)
                    checked = tuple(self._checked(sight, one, image) for one in found)
                    take(SeenAnswer(sight, tiles, seen, checked))

    def _settled_answers(
        self,
        sight: Sight,
        image: Float32[torch.Tensor, "batch band y x"],
        valid: Bool[torch.Tensor, "batch y x"],
        take: Callable[[SeenAnswer], None],
    ) -> None:
        """Hand over windows as they are done."""
        with self._autocast():
            for settled, seen in self._settling(sight, image, valid):
                logits = self._checked(sight, settled.logits, image)
                take(SeenAnswer(sight, settled.tiles, seen(list(settled.tiles)), (logits,)))

    def _every_step(self, seen: Float32[torch.Tensor, "batch band y x"]) -> list[torch.Tensor]:
        """Return the logits after each step, none of which is left out."""
        network = self._adaptive()
        found = []
        with self._autocast():
            state = network.start(seen)
            for _ in range(self._steps):
                state = network.step(state)
                found.append(network.answer(state))
        return found

    def _seen(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> tuple[Float32[torch.Tensor, "batch channel _height _width"], float]:
        """Return the scores of windows seen in one way, and the sum of the steps that they took."""
        if self.rule is not None:
            return self._refined(sight, image, valid)
        size = self.decisions.batch_size
        if len(image) <= size:
            return self._answered(sight, image, valid), 0.0
        scores = self._room(image)
        for first in range(0, len(image), size):
            batch = slice(first, first + size)
            scores[batch] = self._answered(sight, image[batch], valid[batch])
        return scores, 0.0

    def _answered(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> Float32[torch.Tensor, "batch class _height _width"]:
        """Return the scores of one batch of a network that answers at once."""
        seen, output = self._output(sight, image, valid)
        scores = self._scores(sight, output.logits[: len(image)], seen, image)
        if scores.shape[1] == self._products.channels:
            return scores
        return torch.cat([scores, self._others(sight, output, image)], dim=1)

    def _output(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> tuple[Float32[torch.Tensor, "batch band _y _x"], Output]:
        """Return what a network that answers at once saw of one batch, and what it answered, perhaps for more."""
        seen = _bands_innermost(sight.see(image, valid))
        missing = self.decisions.batch_size - len(seen)
        if self.decisions.compiled and missing:
            # Compiled for one shape: the last window stands in for those that a strip's last batch lacks.
            seen = _bands_innermost(torch.cat([seen, seen[-1:].expand(missing, -1, -1, -1)]))
        with self._autocast():
            output: Output = self._network(seen)
        return seen[: len(image)], output

    def _others(
        self, sight: Sight, output: Output, image: Float32[torch.Tensor, "batch band y x"]
    ) -> Float32[torch.Tensor, "batch 1 _height _width"]:
        """Return the share of members that chose another class."""
        found = output.find(Disagreement)
        if found is None:
            raise ConfigError(
                f"predict.layers asks for disagreement, but {self._name} is no ensemble: join several bundles by "
                "`terrazzo ensemble` first, or leave the layer out."
            )
        values = found.values[: len(image), None].float().contiguous()
        return self._inner(sight.back(values, (image.shape[-2], image.shape[-1])))

    def _refined(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> tuple[Float32[torch.Tensor, "batch channel _height _width"], float]:
        """Return the scores of windows of a network that answers in steps, and the sum of their steps."""
        scores = self._room(image)
        taken = 0.0
        with self._autocast():
            for settled, seen in self._settling(sight, image, valid):
                tiles = list(settled.tiles)
                met = seen(tiles) if self._temperature is not None else settled.logits
                scores[tiles, : self.classes] = self._scores(sight, settled.logits, met, image, steps=_steps(settled))
                if scores.shape[1] > self.classes:
                    scores[tiles, self.classes :] = self._step_map(sight, settled, image)
                taken += sum(settled.steps)
        return scores, taken

    def _settling(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> Iterator[tuple[Settled, Callable[[slice | list[int]], torch.Tensor]]]:
        """Yield windows as they are done, with what shows what the network sees of any; the caller sets autocast."""
        network, rule = self._adaptive(), self.rule
        if rule is None:
            raise ModelError(f"{self._name} does not answer in steps.")
        size = self.decisions.batch_size

        def seen(tiles: slice | list[int]) -> torch.Tensor:
            return _bands_innermost(sight.see(image[tiles], valid[tiles]))

        def batches() -> Iterator[torch.Tensor]:
            for first in range(0, len(image), size):
                yield seen(slice(first, first + size))

        for settled in refine_refilled(network, batches(), rule=rule, places=size):
            yield settled, seen

    def _adaptive(self) -> "Adaptive[Any]":
        if not isinstance(self._network, Adaptive):
            raise ModelError(f"{self._name} does not answer in steps.")
        return self._network

    def _checked(
        self, sight: Sight, logits: Float[torch.Tensor, "..."], image: Float32[torch.Tensor, "_ band y x"]
    ) -> Float32[torch.Tensor, "batch class _y _x"]:
        """Return logits in full precision, one plane a class, after they proved to have the contract's shape."""
        expected = (len(logits), self.classes, *sight.seen_size(*image.shape[-2:]))
        if tuple(logits.shape) != expected:
            raise ModelError(f"{self._name} answered logits of shape {tuple(logits.shape)} instead of {expected}.")
        # Softmax and blending in full precision: seams show what is rounded here. One plane a class is their layout.
        return logits.to(torch.float32, memory_format=torch.contiguous_format)

    def _scores(
        self,
        sight: Sight,
        logits: Float[torch.Tensor, "batch class _y _x"],
        seen: Float[torch.Tensor, "batch _band _y _x"],
        image: Float32[torch.Tensor, "_ band y x"],
        *,
        steps: Int[torch.Tensor, "batch _rows _columns"] | None = None,
    ) -> Float32[torch.Tensor, "batch class _height _width"]:
        """Return what is blended, from what the network answered.

        Args:
            sight: How the windows were seen.
            logits: The answer.
            seen: What the network saw; read by a temperature alone.
            image: Windows of the scene.
            steps: After how many steps each window, or each of its pixels, was answered.
        """
        logits = self._checked(sight, logits, image)
        if self._temperature is not None:
            # Of what the network answered: before it is turned back or brought to another size.
            logits = self._temperature(logits, seen, steps)
        logits = self._inner(sight.back(logits, (image.shape[-2], image.shape[-1])))
        if self._products.blend == "probabilities":
            return logits.softmax(dim=1)
        return logits.clone(memory_format=torch.contiguous_format)

    def _step_map(
        self, sight: Sight, settled: Settled, image: Float32[torch.Tensor, "_ band y x"]
    ) -> Float32[torch.Tensor, "tile 1 _height _width"]:
        """Return the steps that each pixel took."""
        height, width = image.shape[-2:]
        whole = torch.tensor(settled.steps, dtype=torch.float32, device=image.device)[:, None, None, None]
        if settled.skipped is None:
            return self._inner(whole.expand(-1, 1, height, width))
        cells = whole - settled.skipped[:, None]
        return self._inner(sight.back(cells, (height, width), exact=True))

    def _inner(self, scores: Float32[torch.Tensor, "batch channel y x"]) -> Float32[torch.Tensor, "batch channel _ _"]:
        """Return the scores without the margin."""
        margin = self._margin
        return scores[..., margin:-margin, margin:-margin] if margin else scores

    def _room(self, image: Float32[torch.Tensor, "batch band y x"]) -> Float32[torch.Tensor, "batch channel _ _"]:
        height, width = image.shape[-2] - 2 * self._margin, image.shape[-1] - 2 * self._margin
        return torch.empty((len(image), self._products.channels, height, width), device=self.device)

    def _autocast(self) -> AbstractContextManager[None]:
        precision = self.decisions.precision
        return torch.autocast(self.device.type, dtype=DTYPES[precision], enabled=precision != "float32")

    def _settle_threads(self) -> None:
        if torch.get_num_threads() != self.decisions.threads:
            # For good, in the calling thread: another number would be other bits.
            torch.set_num_threads(self.decisions.threads)

    def _what(self) -> str:
        return f"{self._name} on {self.decisions.batch_size} windows at once"


def _steps(settled: Settled) -> Int[torch.Tensor, "tile _rows _columns"]:
    """Return after how many steps each tile, or each of its pixels, was answered."""
    whole = torch.tensor(settled.steps, device=settled.logits.device)[:, None, None]
    return whole if settled.skipped is None else whole - settled.skipped


def _own_device(kind: str) -> torch.device:
    """Return the device with its number: what a thread takes for the current GPU is its own affair."""
    return torch.device("cuda", torch.cuda.current_device()) if kind == "cuda" else torch.device(kind)


def _bands_innermost(image: Float32[torch.Tensor, "batch band y x"]) -> Float32[torch.Tensor, "batch band y x"]:
    """Return the image in the layout in which convolutions are fastest."""
    return image.contiguous(memory_format=torch.channels_last)
