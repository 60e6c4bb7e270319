"""Temperatures of blended log-probabilities: the same bits in any piece, and records that hold what they say."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling

SCORES = torch.randn(4, 41, 53, generator=torch.Generator().manual_seed(1)).log_softmax(0)
BOTH = [
    ScalarTemperature(temperature=1.7),
    VectorScaling(weight=(0.3, 1.1, 0.9, 1.7), bias=(0.1, -0.2, 0.0, 0.4)),
]


@pytest.mark.parametrize("temperature", BOTH)
def test_a_pixels_bits_do_not_depend_on_its_piece(temperature: ScalarTemperature | VectorScaling) -> None:
    whole = temperature(SCORES)
    for y in (slice(0, 1), slice(3, 8), slice(7, 41)):
        for x in (slice(0, 53), slice(1, 2), slice(5, 38)):
            assert torch.equal(temperature(SCORES[:, y, x]), whole[:, y, x])
            assert torch.equal(temperature(SCORES[:, y, x].contiguous()), whole[:, y, x])


def test_one_temperature_divides() -> None:
    torch.testing.assert_close(BOTH[0](SCORES) * 1.7, SCORES)
    assert torch.equal(BOTH[0](SCORES).argmax(0), SCORES.argmax(0))


def test_factors_and_offsets_are_each_classes_own() -> None:
    found = BOTH[1](SCORES)
    for number, (weight, bias) in enumerate(zip(BOTH[1].weight, BOTH[1].bias, strict=True)):
        torch.testing.assert_close(found[number], SCORES[number] * weight + bias)


def test_who_may_change_classes() -> None:
    assert [one.keeps_classes for one in BOTH] == [True, False]
    assert "keeps_classes" not in ScalarTemperature.model_fields


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_a_positive_number(wrong: float) -> None:
    with pytest.raises(ValidationError):
        ScalarTemperature(temperature=wrong)


def test_one_factor_and_one_offset_a_class() -> None:
    for weight, bias in (((1.0,), (0.0, 0.0)), ((), ())):
        with pytest.raises(ValidationError, match="each class needs one of both"):
            VectorScaling(weight=weight, bias=bias)
    with pytest.raises(ValidationError):
        VectorScaling(weight=(float("inf"),), bias=(0.0,))


@pytest.mark.parametrize("temperature", BOTH)
def test_a_record_of_either_kind_is_read_back(temperature: ScalarTemperature | VectorScaling) -> None:
    written = Calibration(temperature=temperature).model_dump_json()
    assert Calibration.model_validate_json(written).temperature == temperature
