"""When a network that answers in steps is done with a window, as the bundle and the settings say."""

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError
from terrazzo.models.adaptive import NEVER
from terrazzo.models.halting import HaltingRule
from terrazzo.scene.products import STEPS_SCALE
from terrazzo.scene.settings import PredictSettings

__all__ = ["stepping_rule"]


def stepping_rule(bundle: Bundle, settings: PredictSettings) -> HaltingRule | None:
    """Return the rule of a network that answers in steps; None for one that answers at once.

    A network that always runs all its steps may be stopped after fewer; one that stops by itself not before its first.

    Raises:
        ConfigError: The settings name steps or a threshold that the network does not have.
    """
    rule, name = bundle.architecture.halting_rule, bundle.architecture.name
    if rule is None:
        for setting, given in (
            ("tau", settings.tau is not None),
            ("steps", settings.steps is not None),
            ("layers: steps", "steps" in settings.layers),
        ):
            if given:
                raise ConfigError(f"predict.{setting} is given, but {name} answers at once: leave it out.")
        return None
    always = rule.first == rule.last
    if settings.tau is not None and always:
        raise ConfigError(
            f"predict.tau is {settings.tau}, but this {name} always runs {rule.last} steps: no threshold stops it. "
            "Leave it out, or train with a halting head (act: true)."
        )
    last = rule.last if settings.steps is None else settings.steps
    first = min(rule.first, last) if always else rule.first
    if not first <= last <= rule.last:
        raise ConfigError(
            f"predict.steps is {last}, but this {name} runs {1 if always else rule.first} to {rule.last} steps."
        )
    most = 254 // STEPS_SCALE
    if "steps" in settings.layers and last > most:
        raise ConfigError(
            f"layers: steps holds {most} steps at most, but this {name} runs up to {last}; lower predict.steps or "
            "leave the layer out."
        )
    return HaltingRule(_threshold(bundle, settings, rule), first, last)


def _threshold(bundle: Bundle, settings: PredictSettings, rule: HaltingRule) -> float:
    """Return tau: what was asked for, else what was calibrated, else what the network was trained with."""
    if settings.tau is not None:
        tau = settings.tau
    else:
        promise = bundle.calibration.halting if bundle.calibration is not None and settings.calibrated else None
        tau = rule.threshold if promise is None else promise.tau
    # A probability that is rounded to 1 must not stop what is never to stop early.
    return NEVER if tau >= 1 else tau
