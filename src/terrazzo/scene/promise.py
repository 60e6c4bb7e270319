"""What a calibrated bundle promises of a map, and where the map is made otherwise than it was promised of."""

from collections.abc import Iterator

from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Conditions, Origin
from terrazzo.calibration.words import halting_words
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.steps import stepping_rule
from terrazzo.scene.windows import step_between

__all__ = ["conditions_of", "promise_notes", "promise_warnings"]


def conditions_of(bundle: Bundle, settings: PredictSettings) -> Conditions:
    """Return how windows are laid, seen and blended.

    Args:
        bundle: What maps.
        settings: How.

    Raises:
        ConfigError: The settings contradict each other or the bundle.
    """
    window = settings.window or bundle.patch_size
    rule = stepping_rule(bundle, settings)
    return Conditions(
        window=window,
        stride=step_between(window, overlap=settings.overlap, stride=settings.stride),
        margin=settings.margin,
        blend=settings.blend,
        views=settings.views,
        scales=settings.scales,
        steps=None if rule is None else rule.last,
    )


def promise_warnings(bundle: Bundle, settings: PredictSettings) -> tuple[str, ...]:
    """Return what a map's reader should know where it is made otherwise than the bundle was calibrated for.

    Args:
        bundle: What maps.
        settings: How.
    """
    calibration = bundle.calibration
    if calibration is None or not settings.calibrated:
        return ()
    here = conditions_of(bundle, settings)
    found: dict[str, list[str]] = {}
    for name, origin in _origins(bundle):
        differences = origin.conditions.differences(here)
        if differences:
            found.setdefault("; ".join(differences), []).append(name)
    warnings = [
        f"calibrated for other conditions: {', '.join(names)} ({differences}), so that what was found and promised "
        "need not hold for this map; map as calibrated, or run `terrazzo calibrate` with these settings"
        for differences, names in found.items()
    ]
    halting = calibration.halting
    if halting is not None and settings.tau is not None and settings.tau < halting.tau:
        warnings.append(
            f"predict.tau {settings.tau:g} is below the calibrated {halting.tau:g}, of which the promise was made; "
            "nothing is promised of this map's early stops"
        )
    return tuple(warnings)


def promise_notes(bundle: Bundle, settings: PredictSettings) -> dict[str, str]:
    """Return the notes that say which temperatures and thresholds made a map, and what is promised of them.

    Args:
        bundle: What maps.
        settings: How.
    """
    notes: dict[str, str] = {}
    rule = stepping_rule(bundle, settings)
    if rule is not None and rule.first < rule.last:
        notes["TERRAZZO_TAU"] = f"{min(rule.threshold, 1.0):g}"
    calibration = bundle.calibration
    if calibration is None or not settings.calibrated:
        return notes
    for word, temperature in (
        ("TERRAZZO_WINDOW_TEMPERATURE", calibration.window_temperature),
        ("TERRAZZO_TEMPERATURE", calibration.temperature),
    ):
        if temperature is not None:
            notes[word] = temperature.model_dump_json()
    halting = calibration.halting
    if halting is not None and rule is not None:
        kept = settings.tau is None or settings.tau >= halting.tau
        same = not halting.origin.conditions.differences(conditions_of(bundle, settings))
        notes["TERRAZZO_PROMISE"] = (
            halting_words(halting)
            if kept and same
            else "none: this map is made otherwise than the bundle was calibrated"
        )
    return notes


def _origins(bundle: Bundle) -> Iterator[tuple[str, Origin]]:
    """Yield what was calibrated, in words, with what on."""
    calibration = bundle.calibration
    if calibration is None:
        return
    if calibration.fitted is not None:
        yield "the temperature", calibration.fitted
    for name, part in (
        ("the halting threshold", calibration.halting),
        ("the decision threshold", calibration.decision),
        ("the threshold to abstain", calibration.abstention),
        ("the class sets", calibration.sets),
    ):
        if part is not None:
            yield name, part.origin
