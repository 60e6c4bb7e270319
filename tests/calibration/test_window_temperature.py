"""Temperatures of a window's logits: each window, or each of its pixels, by the step that it was answered after."""

import pytest
import torch
from pydantic import ValidationError

from terrazzo.calibration.record import Calibration
from terrazzo.calibration.window_temperature import StepTemperatures

LOGITS = torch.randn(3, 4, 6, 5, generator=torch.Generator().manual_seed(2))
IMAGE = torch.zeros(3, 2, 6, 5)
STEPS = StepTemperatures(temperatures=(4.0, 2.0, 1.0))


def test_each_window_by_its_step() -> None:
    found = STEPS(LOGITS, IMAGE, torch.tensor([2, 1, 3])[:, None, None])
    for window, temperature in enumerate((2.0, 4.0, 1.0)):
        assert torch.equal(found[window], LOGITS[window] / temperature)


def test_each_pixel_by_its_own_step() -> None:
    steps = torch.randint(1, 4, (3, 6, 5), generator=torch.Generator().manual_seed(3), dtype=torch.int16)
    found = STEPS(LOGITS, IMAGE, steps)
    for window in range(3):
        for y in range(6):
            for x in range(5):
                temperature = STEPS.temperatures[int(steps[window, y, x]) - 1]
                assert torch.equal(found[window, :, y, x], LOGITS[window, :, y, x] / temperature)


def test_a_network_that_answers_at_once_is_left_alone() -> None:
    assert torch.equal(STEPS(LOGITS, IMAGE, None), LOGITS)


@pytest.mark.parametrize("wrong", [(), (0.0,), (1.0, float("nan"))])
def test_temperatures_are_positive_numbers(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        StepTemperatures(temperatures=wrong)


def test_the_record_is_read_back() -> None:
    written = Calibration(window_temperature=STEPS).model_dump_json()
    assert Calibration.model_validate_json(written).window_temperature == STEPS
