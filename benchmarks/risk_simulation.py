"""Bar: promises about halting are kept: a thousand calibrations on populations whose risk is known at every threshold.

    python benchmarks/risk_simulation.py [--draws 1000] [--images 207] [--epsilon 0.01 0.03] [--delta 0.1] [--bound 0.2]

A population is 20,000 images of 24 windows, answered in up to 6 steps. A window halts at the first step at which its
probability to halt reaches tau; an image loses the share of its pixels that are wrong because of that. Calibrations
draw images from the population with replacement, so that the risk of each tau is the population's mean, exactly.

`usual`: the probability to halt tells, not quite rightly, whether later steps will help. `confident`: on an eighth of
the images it is largest, from the first step on, although all later steps would help: made for the quantile rule.

Violations are calibrations whose tau has a risk above epsilon. `wsr` and `ltt` may have a share of delta of them, `crc`
any number, as long as the mean risk is at most epsilon. `plain` takes the last tau of an unbroken run at which the mean
loss of the calibration images is at most epsilon, and `quantile` the 1 - delta quantile of all probabilities to halt;
neither promises anything. Fails if a promise is broken by more than three standard deviations.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass

import numpy as np

from terrazzo.calibration.risk import positions, quantile_threshold

GRID = (1.0, 0.9999, 0.9998, 0.9995, 0.999, 0.998, 0.995, 0.99, *((49 - place) / 50 for place in range(50)))
IMAGES, WINDOWS, STEPS = 20_000, 24, 6
AT_ONCE = 50
"""Calibrations in memory."""


@dataclass(frozen=True)
class Population:
    """Images of which everything is known.

    Attributes:
        losses: Of each image at each threshold of the grid.
        steps: Mean steps of its windows there.
        halt: Probabilities to halt of its windows at each step.
    """

    losses: np.ndarray
    steps: np.ndarray
    halt: np.ndarray


def population(*, confident: bool, seed: int = 0) -> Population:
    """Make images whose windows settle after some step; before that a part of their pixels is wrong."""
    generator = np.random.default_rng(seed)
    difficulty = generator.beta(1.2, 2.5, (IMAGES, 1))
    settled = 1 + generator.binomial(STEPS - 1, difficulty, (IMAGES, WINDOWS))
    wrong = 0.3 * generator.beta(1, 4, (IMAGES, WINDOWS))
    step = np.arange(1, STEPS + 1)
    score = 2.5 * (step - settled[..., None]) + 1 + generator.normal(0, 1, (IMAGES, WINDOWS, STEPS))
    halt = 1 / (1 + np.exp(-score))
    if confident:
        strange = generator.random((IMAGES, 1)) < 0.125
        settled = np.where(strange, STEPS, settled)
        wrong = np.where(strange, 3 * wrong, wrong)
        halt = np.where(strange[..., None], generator.uniform(0.85, 1, halt.shape), 0.85 * halt)
    reached = np.maximum.accumulate(halt, axis=-1)
    losses, steps = np.empty((IMAGES, len(GRID))), np.empty((IMAGES, len(GRID)))
    for place, threshold in enumerate(GRID):
        # A threshold of 1 is never reached.
        short = (reached < threshold) if threshold < 1 else np.ones(reached.shape, dtype=bool)
        stop = np.minimum(1 + short.sum(axis=-1), STEPS)
        losses[:, place] = np.where(stop < settled, wrong, 0).mean(axis=1)
        steps[:, place] = stop.mean(axis=1)
    # On a tenth of the images each later step spoils a little: there stopping early gains, and the loss is negative.
    gains = generator.random((IMAGES, 1)) < 0.1
    losses = np.where(gains, losses - 0.004 * (STEPS - steps) / STEPS, losses)
    return Population(losses, steps, halt.reshape(IMAGES, -1))


def calibrated(
    found: Population, *, draws: int, images: int, epsilon: float, delta: float, bound: float, seed: int = 1
) -> dict[str, np.ndarray]:
    """Return the position in the grid that each method finds in each calibration."""
    generator = np.random.default_rng(seed)
    chosen: dict[str, list[np.ndarray]] = {name: [] for name in ("crc", "wsr", "ltt", "plain", "quantile")}
    for begun in range(0, draws, AT_ONCE):
        rows = generator.integers(0, IMAGES, (min(AT_ONCE, draws - begun), images))
        losses = found.losses[rows]
        for method in ("crc", "wsr", "ltt"):
            places = positions(losses, method=method, epsilon=epsilon, delta=delta, bound=bound)
            chosen[method].append(np.maximum(places, 0))
        passing = np.minimum(losses, bound).mean(axis=1) <= epsilon
        chosen["plain"].append(np.maximum(np.logical_and.accumulate(passing, axis=1).sum(axis=1) - 1, 0))
        taus = [quantile_threshold(found.halt[one], delta=delta) for one in rows]
        # The next more careful threshold of the grid.
        chosen["quantile"].append(np.array([sum(threshold >= tau for threshold in GRID) - 1 for tau in taus]))
    return {name: np.concatenate(places) for name, places in chosen.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--images", type=int, default=207)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.01, 0.03])
    parser.add_argument("--delta", type=float, default=0.1)
    parser.add_argument("--bound", type=float, default=0.2)
    asked = parser.parse_args()
    begun, broken = time.perf_counter(), []
    print(f"{asked.draws} calibrations of {asked.images} images, delta {asked.delta:g}, bound {asked.bound:g}")
    print("population  epsilon  method    violations        mean risk  mean steps  nothing found")
    for name in ("usual", "confident"):
        found = population(confident=name == "confident")
        risks, steps = np.minimum(found.losses, asked.bound).mean(axis=0), found.steps.mean(axis=0)
        for epsilon in asked.epsilon:
            chosen = calibrated(
                found,
                draws=asked.draws,
                images=asked.images,
                epsilon=epsilon,
                delta=asked.delta,
                bound=asked.bound,
            )
            for method, places in chosen.items():
                violations = float((risks[places] > epsilon).mean())
                error = math.sqrt(max(violations * (1 - violations), 1 / asked.draws) / asked.draws)
                told = f"{risks[places].mean():>9.4f}  {steps[places].mean():>10.2f}  {(places == 0).mean():>13.3f}"
                print(f"{name:<10}  {epsilon:<7g}  {method:<8}  {violations:.3f} +- {error:.3f}  {told}")
                allowed = asked.delta + 3 * math.sqrt(asked.delta * (1 - asked.delta) / asked.draws)
                most = epsilon + 3 * risks[places].std() / math.sqrt(asked.draws)
                if (method in ("wsr", "ltt") and violations > allowed) or (
                    method == "crc" and risks[places].mean() > most
                ):
                    broken.append(f"{method} ({name}, epsilon {epsilon:g})")
    print(f"{time.perf_counter() - begun:.0f} s")
    if broken:
        print(f"broken promises: {', '.join(broken)}")
    return len(broken)


if __name__ == "__main__":
    sys.exit(main())
