"""The scene engine's network, run through all steps once and then answered from the record of it.

Windows, batches, precision, views, temperatures, resizing and margins are the engine's own: this only stands where the
engine would decide window by window when to stop.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float32

from terrazzo.assessment.step_record import StepRecord, WindowKey
from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.machine import MachineSettings
from terrazzo.models.adaptive import Settled
from terrazzo.models.architecture import Adaptive
from terrazzo.models.halting import HaltingRule
from terrazzo.models.maps import enlarged
from terrazzo.models.onnx_graph import OnnxGraph
from terrazzo.models.refiner.network import RefinerNetwork
from terrazzo.models.refiner.settings import Refiner
from terrazzo.profiling.stepping import StepCosts, step_costs
from terrazzo.scene.forward import WindowForward
from terrazzo.scene.image_pass import ImagePass, PassImage
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.views import Sight
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.work import WindowScores

__all__ = ["StepForward", "StepPass", "halts_by_cell"]

Mode = Literal["record", "replay", "run"]
See = Callable[[slice | list[int]], torch.Tensor]


def halts_by_cell(bundle: Bundle) -> bool:
    """Whether cells may settle one by one.

    What has settled is then what the other cells see, so that no run can be told from another one.
    """
    architecture = bundle.architecture
    if isinstance(architecture, OnnxGraph):
        steps = architecture.interface.steps
        return steps is not None and steps.freeze is not None
    return isinstance(architecture, Refiner) and architecture.pixel_act


class StepForward(WindowForward):
    """A network that answers in steps, made to run all of them, to stop where it is told, or to halt as it would.

    Args:
        forward: The engine's; its network, decisions and settings are shared.
        record: Filled by a run of all steps; read by a run that is told where to stop.
        mode: `record` runs all steps and keeps them, `replay` answers from the record, `run` asks the network.
        rule: When windows are done; in `run` alone.
        exits: Of each window and view the step to stop after; in `replay` alone.

    Attributes:
        taken: After which step each window and view stopped; filled by `run`.

    Raises:
        ModelError: The network does not answer in steps.
    """

    def __init__(
        self,
        forward: WindowForward,
        record: StepRecord,
        mode: Mode,
        *,
        rule: HaltingRule | None = None,
        exits: Mapping[WindowKey, int] | None = None,
    ) -> None:
        # The same network with its lock, meter and decisions: nothing is built again.
        vars(self).update(vars(forward))
        if self.rule is None or not isinstance(self._network, Adaptive):
            raise ModelError(f"{self._name} does not answer in steps.")
        self.rule = rule or self.rule
        self._record, self._mode = record, mode
        self._exits = exits or {}
        self._here = threading.local()
        self._lock = threading.Lock()
        self.taken: dict[WindowKey, int] = {}

    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return each window's scores, as the engine's own forward pass does."""
        self._here.windows = group.windows
        return super().__call__(group)

    def costs(self, plan: ScenePlan, bands: int) -> tuple[StepCosts, ...]:
        """Return the multiplications of a run on one window, for each view of it."""
        rule, network = self.rule, self._adaptive()
        if rule is None:
            raise ModelError(f"{self._name} does not answer in steps.")
        found = []
        for sight in self._sights:
            image = torch.zeros((1, bands, *sight.seen_size(*plan.window_shape)), device=self.device)
            with torch.inference_mode(), self._autocast():
                found.append(step_costs(network, image, rule))
        return tuple(found)

    def view_logits(self, key: WindowKey, step: int, plan: ScenePlan) -> Float32[torch.Tensor, "1 class y x"]:
        """Return a window's own logits after a step, as they lie over the window without its margin."""
        sight, size = self._sights[key[2]], plan.window_shape
        with torch.inference_mode():
            return self._inner(sight.back(self._recalled(sight, key, step, size), size))

    def view_cells(self, key: WindowKey, plan: ScenePlan) -> Float32[torch.Tensor, "step y x"]:
        """Return the probability of each pixel's cell to halt after each step, over the window without its margin."""
        sight, size = self._sights[key[2]], plan.window_shape
        height, width = sight.seen_size(*size)
        cells, stride = self._record.halting[key], self._stride
        pixels = cells.repeat_interleave(stride, dim=1)[:, :height].repeat_interleave(stride, dim=2)[..., :width]
        return self._inner(sight.back(pixels[None], size, exact=True))[0]

    def _settling(
        self, sight: Sight, image: Float32[torch.Tensor, "batch band y x"], valid: Bool[torch.Tensor, "batch y x"]
    ) -> Iterator[tuple[Settled, See]]:
        """Yield windows as they are done, in place of the engine's own loop."""
        view = self._sights.index(sight)
        keys = [(row, column, view) for row, column in self._here.windows]
        if self._mode == "run":
            yield from self._noted(super()._settling(sight, image, valid), keys)
            return

        def seen(tiles: slice | list[int]) -> torch.Tensor:
            # As the engine shows them: convolutions are fastest with the bands innermost.
            return sight.see(image[tiles], valid[tiles]).contiguous(memory_format=torch.channels_last)

        if self._mode == "record":
            for settled in self._recorded(seen, keys):
                yield settled, seen
            return
        size = (image.shape[-2], image.shape[-1])
        for place, key in enumerate(keys):
            step = self._exits[key]
            yield Settled((place,), self._recalled(sight, key, step, size), (step,), None), seen

    def _noted(self, settling: Iterator[tuple[Settled, See]], keys: list[WindowKey]) -> Iterator[tuple[Settled, See]]:
        """Note after which step each window stopped."""
        for settled, seen in settling:
            with self._lock:
                self.taken.update(zip([keys[tile] for tile in settled.tiles], settled.steps, strict=True))
            yield settled, seen

    def _recorded(self, seen: See, keys: list[WindowKey]) -> Iterator[Settled]:
        """Run all steps in the engine's batches and keep each."""
        network, last, size = self._adaptive(), self._last, self.decisions.batch_size
        for first in range(0, len(keys), size):
            tiles = tuple(range(first, min(first + size, len(keys))))
            logits, halting = [], []
            state = network.start(seen(slice(first, first + size)))
            for _ in range(last):
                state = network.step(state)
                logits.append(_own_logits(network, state).float().cpu())
                halting.append(_halting(network, state).float().cpu())
            for place, tile in enumerate(tiles):
                parts = ([one[place] for one in logits], [one[place] for one in halting])
                self._record.keep(keys[tile], torch.stack(parts[0]), torch.stack(parts[1]))
            yield Settled(tiles, network.answer(state), (last,) * len(tiles), None)

    def _recalled(
        self, sight: Sight, key: WindowKey, step: int, size: tuple[int, int]
    ) -> Float32[torch.Tensor, "1 class y x"]:
        """Return the logits of a step at the size that the network saw."""
        height, width = sight.seen_size(*size)
        coarse = self._record.logits(key, step).to(self.device)
        with self._autocast():
            return enlarged(coarse, stride=self._stride, height=height, width=width)

    @property
    def _last(self) -> int:
        if self.rule is None:
            raise ModelError(f"{self._name} does not answer in steps.")
        return self.rule.last

    @property
    def _stride(self) -> int:
        return self._network.stride if isinstance(self._network, RefinerNetwork) else 1


class StepPass(ImagePass):
    """Images through the scene engine, whose network is replaced by what `wrap` makes of it.

    Args:
        bundle: The network and what it was trained for.
        settings: How scenes become maps.
        machine: What is computed on.
    """

    def __init__(self, bundle: Bundle, settings: PredictSettings, machine: MachineSettings) -> None:
        super().__init__(bundle, settings, machine)
        self.wrap: Callable[[WindowForward], WindowForward] = lambda forward: forward

    def forward(self, plan: ScenePlan, image: PassImage) -> WindowForward:
        """Return the network ready for the windows of a plan."""
        return self.wrap(super().forward(plan, image))


def _own_logits(network: "Adaptive[object]", state: object) -> torch.Tensor:
    """Return a state's logits at the network's own stride, or at the size of the image where it tells no stride."""
    if isinstance(network, RefinerNetwork) and hasattr(state, "logits"):
        logits: torch.Tensor = state.logits
        return logits
    return network.answer(state)


def _halting(network: "Adaptive[object]", state: object) -> torch.Tensor:
    """Return the probability to halt of each tile, or of each cell."""
    if isinstance(network, RefinerNetwork):
        return network.halting_logits(state).sigmoid()
    return network.halt(state)
