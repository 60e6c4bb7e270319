"""What a network that refines in steps costs: its encoder once, and what it really runs of the rest."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64

from terrazzo.errors import ConfigError
from terrazzo.models.adaptive import Freezing, refine
from terrazzo.models.architecture import Adaptive
from terrazzo.models.halting import HaltingRule
from terrazzo.profiling.counting import count_operations

__all__ = ["StepCosts", "Stepper", "run_steps", "step_costs"]

NEVER = 2.0
"""A threshold that no probability reaches."""


@dataclass(frozen=True)
class StepCosts:
    """Multiplications of the parts of one run on one image.

    Attributes:
        encoder: Before the first step.
        step: One step.
        halting: One decision whether to go on.
        answer: Logits at the size of the image.
        first: Step from which on is decided.
        last: Step at which every run stops, without a decision.

    Source: cost = encoder + steps run x step + decisions made x halting + answer.
    Differs: DeepGlobe-TRM multiplies (encoder + one step) by the steps, which counts the encoder again in each.

    >>> costs = StepCosts(encoder=100, step=10, halting=1, answer=0, first=2, last=6)
    >>> costs.macs(2), costs.macs(6)
    (121, 164)
    """

    encoder: int
    step: int
    halting: int
    answer: int
    first: int
    last: int

    def macs(self, steps: float | int) -> float | int:
        """Return the multiplications of a run of so many steps; of the mean run, for a mean number of steps.

        Decisions follow from the mean too, and are at most as many as this counts.
        """
        decisions = max(min(steps, self.last - 1) - self.first + 1, 0)
        return self.encoder + self.answer + steps * self.step + decisions * self.halting

    @property
    def encoder_share(self) -> float:
        """Share of the encoder in a run of all steps, halting and answer left out: e."""
        return self.encoder / (self.encoder + self.last * self.step)

    def saving(self, steps: float | int) -> float:
        """Return what stopping after a mean number of steps saves of a run of all steps: (1 - e) (1 - steps / last).

        >>> round(StepCosts(encoder=2_529, step=1_549, halting=0, answer=0, first=2, last=6).saving(3.0), 3)
        0.393
        """
        return (1.0 - self.encoder_share) * (1.0 - steps / self.last)


class Stepper:
    """A network that is made to stop after a certain step, whatever its halting head says.

    All that it would compute to decide is computed.

    Args:
        network: It is asked for everything.
        stop: Step after which it stops.
    """

    def __init__(self, network: "Adaptive[object]", stop: int) -> None:
        self._network = network
        self._stop = stop
        self._done = 0

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> object:
        """Encode the image."""
        self._done = 0
        return self._network.start(image)

    def step(self, state: object) -> object:
        """Refine once."""
        self._done += 1
        return self._network.step(state)

    def answer(self, state: object) -> Float[torch.Tensor, "batch class y x"]:
        """Return the logits of a state."""
        return self._network.answer(state)

    def halt(self, state: object) -> Float[torch.Tensor, " batch"]:
        """Ask the network, and answer 1 at the step to stop after, 0 before."""
        return torch.full_like(self._network.halt(state), float(self._done >= self._stop))

    def freeze(self, state: object, threshold: float) -> object:
        """Let the network look for settled cells; none settles."""
        del threshold
        return self._network.freeze(state, NEVER) if isinstance(self._network, Freezing) else state

    def select(self, state: object, index: Int64[torch.Tensor, " kept"]) -> object:
        """Return the state of some tiles."""
        return self._network.select(state, index)


def run_steps(
    network: "Adaptive[object]", image: Float[torch.Tensor, "batch band y x"], *, rule: HaltingRule, steps: int
) -> Float[torch.Tensor, "batch class y x"]:
    """Answer after exactly so many steps, by the very loop that mapping runs.

    Args:
        network: In evaluation mode.
        image: Normalised values.
        rule: Between which steps it decides.
        steps: After which it stops.

    Raises:
        ConfigError: No run of it stops there.
    """
    if not rule.first <= steps <= rule.last:
        raise ConfigError(f"A run stops between step {rule.first} and step {rule.last}, so not after {steps}.")
    return refine(Stepper(network, steps), image, rule=HaltingRule(0.5, rule.first, rule.last)).logits


def step_costs(
    network: "Adaptive[object]", image: Float[torch.Tensor, "batch band y x"], rule: HaltingRule
) -> StepCosts:
    """Count each part of a run by itself, per image.

    Args:
        network: In evaluation mode.
        image: One image.
        rule: Between which steps it decides.
    """
    probe = Stepper(network, rule.last)
    states: list[object] = []
    parts = (
        count_operations(lambda: states.append(probe.start(image))),
        count_operations(lambda: states.append(probe.step(states[0]))),
        count_operations(lambda: probe.halt(probe.freeze(states[1], NEVER))),
        count_operations(lambda: probe.answer(states[1])),
    )
    encoder, step, halting, answer = (part.macs for part in parts)
    return StepCosts(encoder, step, halting, answer, rule.first, rule.last)
