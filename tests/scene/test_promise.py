"""What a map says of its promise, and where it is made otherwise than the bundle was calibrated for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Calibration, HaltingPromise, Origin
from terrazzo.calibration.temperature import ScalarTemperature
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.refiner.trm import Trm
from terrazzo.scene.promise import conditions_of, promise_notes, promise_warnings
from terrazzo.scene.settings import PredictSettings

Make = Callable[..., Bundle]


def origin(bundle: Bundle, settings: PredictSettings) -> Origin:
    return Origin(
        split="calibrate", split_hash="0" * 64, images=20, date="2026-01-02", conditions=conditions_of(bundle, settings)
    )


@pytest.fixture
def scalar(make_bundle: Make) -> Bundle:
    bundle = make_bundle()
    found = Calibration(temperature=ScalarTemperature(temperature=2.0), fitted=origin(bundle, PredictSettings()))
    return replace(bundle, calibration=found)


@pytest.fixture
def halting(make_bundle: Make) -> Bundle:
    record = Trm(width=4, backbone=Stem(width=4, blocks=0), t_min=1, t_max=3, tau=0.5)
    bundle = replace(make_bundle(), architecture=record, weights=record.build(bands=3, classes=3).state_dict())
    promise = HaltingPromise(
        tau=0.8, method="wsr", loss="error", epsilon=0.01, delta=0.1, bound=0.2, clipped=0, grid=(1.0, 0.8),
        risk=0.001, upper=0.009, mean_steps=2.0, origin=origin(bundle, PredictSettings()),
    )  # fmt: skip
    return replace(bundle, calibration=Calibration(halting=promise))


def test_conditions_are_those_of_the_plan(make_bundle: Make, halting: Bundle):
    found = conditions_of(make_bundle(), PredictSettings(window=64, overlap=0.25, margin=3, scales=(0.5, 1.0)))
    assert (found.window, found.stride, found.margin, found.scales, found.steps) == (64, 48, 3, (0.5, 1.0), None)
    assert conditions_of(halting, PredictSettings()).steps == 3
    assert conditions_of(halting, PredictSettings(steps=2)).steps == 2


def test_a_map_as_calibrated_warns_of_nothing(scalar: Bundle, halting: Bundle, make_bundle: Make):
    for bundle in (scalar, halting, make_bundle()):
        assert promise_warnings(bundle, PredictSettings()) == ()


def test_other_conditions_are_named(scalar: Bundle):
    (warning,) = promise_warnings(scalar, PredictSettings(overlap=0.5, views=("identity", "hflip")))
    assert "the temperature" in warning
    assert "stride 14 (calibrated) -> 8" in warning
    assert "hflip" in warning


def test_without_calibration_nothing_was_promised(scalar: Bundle):
    other = PredictSettings(overlap=0.5, calibrated=False)
    assert promise_warnings(scalar, other) == ()
    assert promise_notes(scalar, other) == {}


def test_a_threshold_below_the_calibrated_one_breaks_the_promise(halting: Bundle):
    (warning,) = promise_warnings(halting, PredictSettings(tau=0.7))
    assert "below the calibrated 0.8" in warning
    # What is more careful than promised is promised too.
    assert promise_warnings(halting, PredictSettings(tau=0.9)) == ()


def test_notes_say_temperature_threshold_and_promise(scalar: Bundle, halting: Bundle, make_bundle: Make):
    assert promise_notes(make_bundle(), PredictSettings()) == {}
    assert promise_notes(scalar, PredictSettings()) == {"TERRAZZO_TEMPERATURE": '{"name":"scalar","temperature":2.0}'}
    kept = promise_notes(halting, PredictSettings())
    assert kept["TERRAZZO_TAU"] == "0.8"
    assert "90 % confidence" in kept["TERRAZZO_PROMISE"]
    for settings in (PredictSettings(tau=0.3), PredictSettings(window=32)):
        assert promise_notes(halting, settings)["TERRAZZO_PROMISE"].startswith("none")
    trained = promise_notes(halting, PredictSettings(calibrated=False))
    assert trained == {"TERRAZZO_TAU": "0.5"}
    assert promise_notes(halting, PredictSettings(tau=1.0))["TERRAZZO_TAU"] == "1"
