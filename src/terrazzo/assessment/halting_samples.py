"""How well a halting head knows what further steps would gain: its probabilities beside what was really gained.

A head is judged by the AUROC of "the remaining gain is above kappa" at each step, not by its cross-entropy, which says
little where nearly all windows should stop.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from scipy.stats import rankdata

from terrazzo.assessment.step_forward import StepForward
from terrazzo.assessment.step_record import StepRecord, WindowKey
from terrazzo.scene.plan import ScenePlan

__all__ = ["KAPPA", "QUANTILES", "HaltingSamples", "StepStatistics", "halting_samples"]

KAPPA = 0.005
"""Gain up to which further steps are said not to help, where nothing else is asked for: that of training."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_CELLS_A_WINDOW = 256


@dataclass(frozen=True)
class StepStatistics:
    """The halting head's probabilities q after one step, over all windows, whether or not they would run so far.

    Attributes:
        step: Counted from 1.
        samples: Windows and views, or pixels where cells halt.
        mean: Of q.
        std: Of q.
        quantiles: Of q, at `QUANTILES`.
        share_above: Share of q that is at least tau.
        should_go_on: Share of the judged samples whose remaining gain is above kappa; None after the last step, and
            where nothing could be judged.
        auroc: Probability that a sample which should go on has a lower q than one which should stop, ties half; None
            where all should do the same.
    """

    step: int
    samples: int
    mean: float
    std: float
    quantiles: tuple[float, ...]
    share_above: float
    should_go_on: float | None
    auroc: float | None


@dataclass(frozen=True, eq=False)
class HaltingSamples:
    """Windows after each step.

    Attributes:
        q: Probability that more steps would not help.
        gain: What the best later step gains, as a share of pixels; without labels the share of pixels whose class is
            not the last step's. NaN after the last step and where no pixel counts.
    """

    q: Float32[np.ndarray, "sample step"]
    gain: Float32[np.ndarray, "sample step"]

    @classmethod
    def joined(cls, parts: "Sequence[HaltingSamples]") -> "HaltingSamples":
        """Return the samples of several images."""
        if not parts:
            return cls(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))
        return cls(np.concatenate([one.q for one in parts]), np.concatenate([one.gain for one in parts]))

    def statistics(self, *, tau: float | int, kappa: float = KAPPA) -> tuple[StepStatistics, ...]:
        """Return one line a step.

        Args:
            tau: Threshold of `share_above`.
            kappa: Gain above which a window should go on.

        >>> samples = HaltingSamples(np.array([[0.2, 0.9], [0.8, 0.9]], np.float32),
        ...                          np.array([[0.1, np.nan], [0.0, np.nan]], np.float32))
        >>> [(one.step, round(one.mean, 3), one.auroc) for one in samples.statistics(tau=0.7)]
        [(1, 0.5, 1.0), (2, 0.9, None)]
        """
        if not len(self.q):
            return ()
        found = []
        for number, (q, gain) in enumerate(zip(self.q.T.astype(np.float64), self.gain.T, strict=True)):
            judged = ~np.isnan(gain)
            go_on = gain[judged] > kappa
            found.append(
                StepStatistics(
                    step=number + 1,
                    samples=len(q),
                    mean=float(q.mean()),
                    std=float(q.std()),
                    quantiles=tuple(float(value) for value in np.quantile(q, QUANTILES)),
                    share_above=float((self.q[:, number] >= np.float32(tau)).mean()) if tau < 1 else 0.0,
                    should_go_on=float(go_on.mean()) if judged.any() else None,
                    auroc=auroc(-q[judged], go_on),
                )
            )
        return tuple(found)


def auroc(score: Shaped[np.ndarray, " sample"], positive: Bool[np.ndarray, " sample"]) -> float | None:
    """Return the probability that a positive sample has a larger score than another one, ties half.

    None where there is only one kind.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, False, True, True]))
    0.875

    Source: Mann-Whitney: (sum of the positives' mean ranks - p (p + 1) / 2) / (p n).
    """
    positives = int(positive.sum())
    others = len(positive) - positives
    if not positives or not others:
        return None
    ranks = float(rankdata(score)[positive].sum())
    return (ranks - positives * (positives + 1) / 2) / (positives * others)


def halting_samples(
    record: StepRecord,
    forward: StepForward,
    plan: ScenePlan,
    *,
    target: Shaped[np.ndarray, "y x"] | None,
    counted: Bool[np.ndarray, "y x"],
    cells: bool,
) -> HaltingSamples:
    """Judge each window of an image after each step, by its own answer before windows are blended.

    Q of a window is the share of its counted pixels that are right. Where cells halt the samples are pixels, at most
    256 on a lattice over each window: one gains where it is wrong now and right after a later step.

    Args:
        record: All steps of all windows.
        forward: What lays them over the image.
        plan: How the image is cut.
        target: Labels; None to compare with the last step instead.
        counted: Pixels that count.
        cells: Whether cells halt one by one.
    """
    parts = [_window(record, forward, plan, key, target, counted, cells=cells) for key in record]
    return HaltingSamples.joined(parts)


def _window(
    record: StepRecord,
    forward: StepForward,
    plan: ScenePlan,
    key: WindowKey,
    target: Shaped[np.ndarray, "y x"] | None,
    counted: Bool[np.ndarray, "y x"],
    *,
    cells: bool,
) -> HaltingSamples:
    steps = len(record.halting[key])
    y, x = plan.rows.starts[key[0]], plan.columns.starts[key[1]]
    inside = slice(y, y + plan.rows.size), slice(x, x + plan.columns.size)
    counts = counted[inside]

    def answered(step: int) -> Shaped[np.ndarray, "y x"]:
        number: Shaped[np.ndarray, "y x"] = forward.view_logits(key, step, plan)[0].argmax(dim=0).cpu().numpy()
        return number

    last = answered(steps) if target is None else None
    wanted = last if target is None else target[inside]
    right: Callable[[int], Bool[np.ndarray, "y x"]] = lambda step: answered(step) == wanted  # noqa: E731 - one line
    if not cells:
        shares = np.array([right(step)[counts].mean() if counts.any() else np.nan for step in range(1, steps + 1)])
        return HaltingSamples(record.halting[key].numpy()[None], _gains(shares[None]))
    every = max(1, int(np.ceil(np.sqrt(counts.size / _CELLS_A_WINDOW))))
    lattice = slice(every // 2, None, every), slice(every // 2, None, every)
    kept = counts[lattice]
    q = forward.view_cells(key, plan).cpu().numpy()[:, *lattice][:, kept].T
    each = np.stack([right(step)[lattice][kept] for step in range(1, steps + 1)], axis=1)
    return HaltingSamples(np.ascontiguousarray(q), _gains(each.astype(np.float64)))


def _gains(quality: Shaped[np.ndarray, "sample step"]) -> Float32[np.ndarray, "sample step"]:
    """Return what the best of the later steps gains over each; NaN after the last."""
    gains = np.full(quality.shape, np.nan, dtype=np.float32)
    if quality.shape[1] > 1:
        best = np.maximum.accumulate(quality[:, ::-1], axis=1)[:, ::-1]
        gains[:, :-1] = best[:, 1:] - quality[:, :-1]
    return gains
