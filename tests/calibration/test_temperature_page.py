"""What docs/temperature.md says is so."""

import re
from pathlib import Path
from typing import get_args

import torch

from terrazzo.assessment.temperatures import MOST_BYTES, PIXELS_PER_IMAGE, Kind
from terrazzo.calibration.local_temperature import LEAST, SIDE, LocalTemperature, LocalWeights
from terrazzo.calibration.pixel_sample import LEAST_OF_A_CLASS
from terrazzo.calibration.temperature_fit import HIGHEST, LOWEST, RIDGE
from terrazzo.scene import PredictSettings

PAGE = (Path(__file__).parents[2] / "docs" / "temperature.md").read_text(encoding="utf-8")


def test_every_kind_has_its_line() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(get_args(Kind))


def test_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"{PIXELS_PER_IMAGE} labelled pixels are drawn" in PAGE
    assert f"until there are {LEAST_OF_A_CLASS} of it" in PAGE
    assert f"{MOST_BYTES // 2**20} MiB of answers" in PAGE
    assert f"between {LOWEST} and {HIGHEST:g}" in PAGE
    assert f"cost {RIDGE:.0e}".replace("e-0", "e-") in PAGE
    assert f"T = max(1 + mixture, {LEAST})" in PAGE
    assert f"{SIDE} x {SIDE} convolutions" in PAGE
    assert PredictSettings().calibrated


def test_kernels_take_the_room_that_the_page_says() -> None:
    shapes = (8, 6, SIDE, SIDE), (8,), (1, 3, SIDE, SIDE), (1,)
    record = LocalTemperature.of(LocalWeights(*(torch.zeros(shape) for shape in shapes)))
    assert f"{round(len(record.weights) / 1000)} kB" in PAGE
