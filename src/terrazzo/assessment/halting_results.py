"""What a halting sweep found: each image and all images, at each threshold and after each fixed number of steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from terrazzo.assessment.halting_losses import RunOutcome, halting_loss
from terrazzo.assessment.halting_samples import HaltingSamples
from terrazzo.calibration.loss_table import LossTable
from terrazzo.calibration.record import HaltingLoss
from terrazzo.models.halting import HaltingRule

__all__ = ["HaltingSweep", "ImageSweep", "joined"]


@dataclass(frozen=True, eq=False)
class ImageSweep:
    """One image.

    Attributes:
        name: Of the image.
        full: The run of all steps.
        runs: The run at each threshold.
        fixed: Runs of exactly 1, 2, ... steps on every window.
        exits: Windows (each view counts) by the step after which they stop, at each threshold.
        macs: Multiplications at each threshold: each window's encoder, its steps, its decisions and its answer.
        fixed_macs: Those of the runs of exactly 1, 2, ... steps, in which nothing is decided.
        full_macs: Those of the run of all steps, decisions included.
        window_pixels: Pixels of a window as the network sees it, summed over views: its share of the work.
    """

    name: str
    full: RunOutcome
    runs: tuple[RunOutcome, ...]
    fixed: tuple[RunOutcome, ...]
    exits: Int64[np.ndarray, "threshold step"]
    macs: Int64[np.ndarray, " threshold"]
    fixed_macs: Int64[np.ndarray, " step"]
    full_macs: int
    window_pixels: int

    @property
    def mean_steps(self) -> Float64[np.ndarray, " threshold"]:
        """Mean steps of the image's windows, at each threshold."""
        steps = np.arange(1, self.exits.shape[1] + 1)
        return np.asarray(self.exits @ steps / self.exits.sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HaltingSweep:
    """All images at all thresholds.

    Attributes:
        thresholds: From the most careful down; at 1 nothing stops early.
        images: Names of the images that were judged.
        left_out: Names of those in which nothing is measured, or nothing labelled.
        losses: Of each kind what each image loses at each threshold.
        mean_steps: Of each image at each threshold, over its windows.
        confusions: Labelled pixels of all images at each threshold, by label and class; None without labels.
        full: The same of the run of all steps.
        fixed: The same of runs of exactly 1, 2, ... steps.
        exits: Windows of all images by the step after which they stop, at each threshold.
        halting: What the halting head said of each window after each step, and what later steps gained.
        first: No window stops before this step.
        sweeps: Each image by itself.
    """

    thresholds: tuple[float, ...]
    images: tuple[str, ...]
    left_out: tuple[str, ...]
    losses: Mapping[HaltingLoss, LossTable]
    mean_steps: Float64[np.ndarray, "image threshold"]
    confusions: Int64[np.ndarray, "threshold class class"] | None
    full: Int64[np.ndarray, "class class"] | None
    fixed: Int64[np.ndarray, "step class class"] | None
    exits: Int64[np.ndarray, "threshold step"]
    halting: HaltingSamples
    first: int
    sweeps: tuple[ImageSweep, ...]

    @property
    def steps(self) -> int:
        """Most steps."""
        return int(self.exits.shape[1])

    @property
    def overall_steps(self) -> Float64[np.ndarray, " threshold"]:
        """Mean steps over all images, each window weighted by its pixels: as the network works."""
        weights = np.array([one.window_pixels * int(one.exits[0].sum()) for one in self.sweeps], dtype=np.float64)
        return np.asarray(weights @ self.mean_steps / weights.sum(), dtype=np.float64)

    @property
    def savings(self) -> Float64[np.ndarray, " threshold"]:
        """Share of the full run's multiplications, encoder included, that each threshold saves over all images."""
        spent = np.sum([one.macs for one in self.sweeps], axis=0).astype(np.float64)
        return np.asarray(1 - spent / sum(one.full_macs for one in self.sweeps), dtype=np.float64)

    @property
    def fixed_savings(self) -> Float64[np.ndarray, " step"]:
        """The same share of runs of exactly 1, 2, ... steps."""
        spent = np.sum([one.fixed_macs for one in self.sweeps], axis=0).astype(np.float64)
        return np.asarray(1 - spent / sum(one.full_macs for one in self.sweeps), dtype=np.float64)


def joined(
    found: list[ImageSweep],
    samples: list[HaltingSamples],
    left_out: list[str],
    grid: tuple[float, ...],
    names: tuple[HaltingLoss, ...],
    rule: HaltingRule,
) -> HaltingSweep:
    """Return what all images amount to.

    Args:
        found: Each image.
        samples: What the halting head said of each.
        left_out: Names of images with nothing to judge.
        grid: Thresholds, from the most careful down.
        names: Losses to count.
        rule: When windows stop.
    """
    tables: dict[HaltingLoss, LossTable] = {}
    for name in names:
        lost = [[halting_loss(name, run, one.full) for run in one.runs] for one in found]
        tables[name] = LossTable(
            thresholds=grid, losses=np.array(lost, dtype=np.float64), images=tuple(one.name for one in found)
        )
    return HaltingSweep(
        thresholds=grid,
        images=tuple(one.name for one in found),
        left_out=tuple(left_out),
        losses=tables,
        mean_steps=np.stack([one.mean_steps for one in found]),
        confusions=_summed([one.runs for one in found]),
        full=_full([one.full for one in found]),
        fixed=_summed([one.fixed for one in found]),
        exits=np.sum([one.exits for one in found], axis=0),
        halting=HaltingSamples.joined(samples),
        first=rule.first,
        sweeps=tuple(found),
    )


def _summed(runs: Sequence[tuple[RunOutcome, ...]]) -> Int64[np.ndarray, "run class class"] | None:
    """Return the sum over images of each run's counts."""
    summed: Int64[np.ndarray, "run class class"] | None = None
    for one in runs:
        counts = [run.confusion for run in one if run.confusion is not None]
        if len(counts) < len(one):
            return None
        summed = np.stack(counts) if summed is None else summed + np.stack(counts)
    return summed


def _full(runs: Sequence[RunOutcome]) -> Int64[np.ndarray, "class class"] | None:
    summed = _summed([(run,) for run in runs])
    return None if summed is None else summed[0]
