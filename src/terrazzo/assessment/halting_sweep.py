"""What stopping early costs, image by image and threshold by threshold, as the scene engine would map each.

The network runs all steps on every window once. After which step a window stops at a threshold follows from its halting
probabilities alone, so every threshold is answered from the record of that run: windows are blended and decided as in a
map, once for each distinct way to stop. Where cells halt one by one that cannot be, because a settled cell is what its
neighbours go on seeing: there the engine runs at each threshold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int64

from terrazzo.assessment.halting_losses import RunOutcome, available_losses, checked_losses
from terrazzo.assessment.halting_results import HaltingSweep, ImageSweep, joined
from terrazzo.assessment.halting_samples import HaltingSamples, halting_samples
from terrazzo.assessment.images import pass_image, target_rows
from terrazzo.assessment.kept_rows import KeptRows, Wanted
from terrazzo.assessment.run_tally import RunTally, RunTruth, class_of
from terrazzo.assessment.step_forward import StepForward, StepPass, halts_by_cell
from terrazzo.assessment.step_record import MEMORY_BYTES, StepRecord, WindowKey, exit_steps
from terrazzo.bundle import Bundle
from terrazzo.calibration.record import HaltingLoss
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.bands import Bands
from terrazzo.machine import MachineSettings
from terrazzo.models.adaptive import NEVER
from terrazzo.models.halting import HaltingRule
from terrazzo.profiling.stepping import StepCosts
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.image_pass import PassImage
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.steps import stepping_rule

__all__ = ["THRESHOLDS", "sweep_halting"]

THRESHOLDS = tuple(round(1 - number / 100, 2) for number in range(101))
"""1.00, 0.99, ..., 0.00: from the most careful down."""

_KEPT_PIXELS = 256 * 2**20
"""Raw pixels of an image up to this size are read once; of a larger one they are read for each distinct way to stop."""


def sweep_halting(
    bundle: Bundle,
    entries: Sequence[ImageEntry],
    *,
    bands: Bands,
    classes: Classes,
    thresholds: Sequence[float] = THRESHOLDS,
    losses: Sequence[HaltingLoss] | None = None,
    settings: PredictSettings,
    machine: MachineSettings,
    labelled: bool = True,
    listener: Listener = silent,
    memory: int = MEMORY_BYTES,
) -> HaltingSweep:
    """Measure what stopping early costs each image at each threshold.

    At a threshold every image has the classes that mapping it with `predict.tau` at that threshold gives: the windows,
    their batches, precision, temperatures, blending and decision are the same. Rounding alone can tell them apart where
    a batch is larger than one window, since windows that stop leave it; with one window a batch (as on a processor for
    windows of 182 pixels and more) not even that.

    Memory: the engine's, `memory` for the logits of all steps (the rest of them goes to a temporary file), 256 MiB for
    raw pixels, and 5 to 6 bytes a pixel of the image for classes, labels and masks.

    Args:
        bundle: A network that answers in steps and has a halting head.
        entries: The images.
        bands: Bands in the network's order.
        classes: How labels name classes.
        thresholds: tau, from the most careful down.
        losses: Which losses; all that can be counted if None.
        settings: How scenes become maps; its threshold and layers are left aside.
        machine: What is computed on.
        labelled: Whether labels are read; without them disagreement is the only loss.
        listener: Receives progress.
        memory: Bytes of logits of one image that are held in memory.

    Raises:
        ConfigError: No threshold can stop the network, or the thresholds do not fall from 1 to 0.
        DataError: A label is missing or cannot be read, or no image has anything to judge.
        ModelError: The network answered wrong shapes.
        OutOfMemoryError: The device has too little memory.
    """
    names = checked_losses(losses or available_losses(labelled=labelled), labelled=labelled)
    grid = _checked_thresholds(thresholds)
    sweeper = _Sweeper(bundle, bands, classes, grid, settings, machine, labelled=labelled, memory=memory)
    found: list[ImageSweep] = []
    samples: list[HaltingSamples] = []
    left_out = []
    with Progress("halting", listener=listener, total=len(entries), unit="images") as progress:
        for entry in progress.each(entries):
            if labelled and entry.label is None:
                raise DataError(f"{entry.image} has no label; without labels, calibrate by disagreement.")
            swept = sweeper.sweep(entry)
            if swept is None:
                left_out.append(entry.image_id)
                continue
            found.append(swept[0])
            samples.append(swept[1])
    if not found:
        raise DataError(f"None of the {len(entries)} images has a pixel to judge: all are unmeasured or unlabelled.")
    return joined(found, samples, left_out, grid, names, sweeper.rule)


def _checked_thresholds(thresholds: Sequence[float]) -> tuple[float, ...]:
    grid = tuple(float(one) for one in thresholds)
    falling = all(later < earlier for earlier, later in pairwise(grid))
    if not grid or not falling or grid[0] > 1 or grid[-1] < 0:
        raise ConfigError(
            f"Halting thresholds are {', '.join(f'{one:g}' for one in grid[:5]) or 'none'}{'...' * (len(grid) > 5)}; "
            "expected one or more that fall within 1..0."
        )
    return grid


class _Sweeper:
    """Sweeps one image after the other."""

    def __init__(
        self,
        bundle: Bundle,
        bands: Bands,
        classes: Classes,
        thresholds: tuple[float, ...],
        settings: PredictSettings,
        machine: MachineSettings,
        *,
        labelled: bool,
        memory: int,
    ) -> None:
        own = bundle.architecture.halting_rule
        if own is None or own.first == own.last:
            raise ConfigError(
                f"{bundle.architecture.name} "
                + ("answers at once" if own is None else f"always runs {own.last} steps")
                + ", so there is no halting threshold to sweep."
            )
        asked = settings.model_copy(update={"tau": 1.0, "layers": ()})
        rule = stepping_rule(bundle, asked)
        self.rule = own if rule is None else rule
        self._passing = StepPass(bundle, asked, machine)
        self._bands, self._classes = bands, classes
        self._thresholds = thresholds
        self._labelled, self._memory = labelled, memory
        self._cells = halts_by_cell(bundle)
        self._costs: dict[tuple[int, int], tuple[StepCosts, ...]] = {}

    def sweep(self, entry: ImageEntry) -> tuple[ImageSweep, HaltingSamples] | None:
        """Return what an image loses at each threshold; None where it has nothing to judge."""
        image = pass_image(entry, self._bands, self._classes)
        bytes_held = entry.height * entry.width * sum(np.dtype(band.dtype).itemsize for band in self._bands)
        if bytes_held <= _KEPT_PIXELS:
            image = replace(image, source=KeptRows(image.source))
        if image.wanted is not None:
            image = replace(image, wanted=Wanted(image.wanted))
        with StepRecord(self._memory) as record:
            self._passing.wrap = lambda forward: StepForward(forward, record, "record")
            truth, full = self._first_run(entry, image)
            if not len(record) or not truth.counted.any():
                return None
            plan = self._passing.plan(image)
            told = StepForward(self._plain(plan, image), record, "replay")
            costs = self._costs_of(plan, told)
            runs = _Runs(self, image, truth, full, record, costs)
            fixed = [runs.at(dict.fromkeys(record, step)) for step in range(1, self.rule.last + 1)]
            thresholds = [self._at(threshold, runs, record, plan) for threshold in self._thresholds]
            samples = halting_samples(record, told, plan, target=truth.target, counted=truth.counted, cells=self._cells)
            views = {key[2] for key in record}
        height, width = plan.window_shape
        swept = ImageSweep(
            name=entry.image_id,
            full=full,
            runs=tuple(outcome for outcome, _ in thresholds),
            fixed=tuple(fixed),
            exits=np.stack([_histogram(exits, self.rule.last) for _, exits in thresholds]),
            macs=np.array([_macs(exits, costs) for _, exits in thresholds], dtype=np.int64),
            fixed_macs=np.array([runs.fixed_macs(step) for step in range(1, self.rule.last + 1)], dtype=np.int64),
            full_macs=_macs(dict.fromkeys(runs.keys, self.rule.last), costs),
            window_pixels=height * width * len(views),
        )
        return swept, samples

    def judge(self, image: PassImage, truth: RunTruth, wrap: Callable[[StepPass], None]) -> RunOutcome:
        """Run an image and judge it."""
        wrap(self._passing)
        tally = RunTally(self._passing.products, len(self._classes), labelled=self._labelled)
        for rows in self._passing.rows(image):
            tally.add(rows, truth)
        return tally.outcome()

    def _plain(self, plan: ScenePlan, image: PassImage) -> StepForward:
        forward = self._passing.forward(plan, image)
        if not isinstance(forward, StepForward):
            raise TypeError("a pass in steps has another forward pass")
        return forward

    def _first_run(self, entry: ImageEntry, image: PassImage) -> tuple[RunTruth, RunOutcome]:
        """Run all steps; return what later runs are judged against."""
        shape = (entry.height, entry.width)
        kind = np.uint8 if len(self._classes) <= 256 else np.uint16
        classes, part = np.zeros(shape, dtype=kind), np.zeros(shape, dtype=bool)
        targets, counted = [], np.zeros(shape, dtype=bool)
        products = self._passing.products
        divided = entry.area is not None and entry.label is not None
        tally = RunTally(products, len(self._classes), labelled=self._labelled)
        for rows in self._passing.rows(image):
            here = slice(rows.y, rows.y + rows.valid.shape[0])
            part[here] = counted[here] = rows.valid
            if self._labelled or divided:
                target, ignored = target_rows(entry, self._classes, rows.y, rows.valid)
                targets.append(target)
                counted[here] = ~ignored
            if divided:
                # Of a divided image the other parts belong to other roles.
                part[here] = counted[here]
            classes[here] = class_of(products, rows)
            so_far = RunTruth(targets[-1] if self._labelled else None, counted[here], part[here], classes[here])
            tally.add_rows(rows, so_far, classes[here])
        whole = np.concatenate(targets) if self._labelled and targets else None
        return RunTruth(whole, counted, part, classes), tally.outcome()

    def _at(
        self, threshold: float, runs: "_Runs", record: StepRecord, plan: ScenePlan
    ) -> tuple[RunOutcome, dict[WindowKey, int]]:
        """Return how an image comes out at a threshold, and after which step each window stopped."""
        rule = replace(self.rule, threshold=NEVER if threshold >= 1 else threshold)
        keys = runs.keys
        if rule.threshold == NEVER:
            exits = dict.fromkeys(keys, rule.last)
            return runs.at(exits), exits
        if self._cells:
            return runs.by_engine(rule)
        stopped = exit_steps(torch.stack([record.halting[key] for key in keys]), rule)
        exits = dict(zip(keys, stopped.tolist(), strict=True))
        return runs.at(exits), exits

    def _costs_of(self, plan: ScenePlan, forward: StepForward) -> tuple[StepCosts, ...]:
        shape = plan.window_shape
        if shape not in self._costs:
            self._costs[shape] = forward.costs(plan, len(self._bands))
        return self._costs[shape]


class _Runs:
    """Runs of one image, each distinct one computed once."""

    def __init__(
        self,
        sweeper: _Sweeper,
        image: PassImage,
        truth: RunTruth,
        full: RunOutcome,
        record: StepRecord,
        costs: tuple[StepCosts, ...],
    ) -> None:
        self.keys = list(record)
        self._sweeper, self._image, self._truth, self._record = sweeper, image, truth, record
        self._costs = costs
        self._known = {(sweeper.rule.last,) * len(self.keys): full}

    def at(self, exits: dict[WindowKey, int]) -> RunOutcome:
        """Return how the image comes out where each window stops after its own step."""
        key = tuple(exits[one] for one in self.keys)
        if key not in self._known:

            def wrap(passing: StepPass) -> None:
                passing.wrap = lambda forward: StepForward(forward, self._record, "replay", exits=exits)

            self._known[key] = self._sweeper.judge(self._image, self._truth, wrap)
        return self._known[key]

    def by_engine(self, rule: HaltingRule) -> tuple[RunOutcome, dict[WindowKey, int]]:
        """Return how the image comes out where the network decides while it runs, and when each window stopped."""
        exits: dict[WindowKey, int] = {}

        def wrap(passing: StepPass) -> None:
            def running(forward: object) -> StepForward:
                made = StepForward(forward, self._record, "run", rule=rule)  # type: ignore[arg-type] # the engine's
                made.taken = exits
                return made

            passing.wrap = running

        outcome = self._sweeper.judge(self._image, self._truth, wrap)
        return outcome, exits

    def fixed_macs(self, step: int) -> int:
        """Return the multiplications of exactly so many steps on every window, without decisions."""
        each = [one.encoder + one.answer + step * one.step for one in self._costs]
        return sum(each[view] for _, _, view in self.keys)


def _histogram(exits: Mapping[WindowKey, int], last: int) -> Int64[np.ndarray, " step"]:
    return np.bincount(list(exits.values()), minlength=last + 1)[1:].astype(np.int64)


def _macs(exits: Mapping[WindowKey, int], costs: Sequence[StepCosts]) -> int:
    return int(sum(costs[key[2]].macs(step) for key, step in exits.items()))
