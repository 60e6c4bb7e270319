"""What docs/losses.md shows works, and it names every loss and every setting."""

import re
from pathlib import Path

import pytest
import yaml

from terrazzo.losses import LOSSES, DeeplySupervised, Halting, MaskLoss, Ponder, StepLoss

PAGE = (Path(__file__).parents[2] / "docs" / "losses.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_the_settings_of_the_page_are_accepted(block):
    settings = yaml.safe_load(block)["loss"]
    settings = {"name": settings} if isinstance(settings, str) else settings
    assert LOSSES.create(settings.pop("name"), **settings).name in LOSSES


@pytest.mark.parametrize("name", LOSSES.names())
def test_the_page_names_every_loss_and_each_of_its_settings(name):
    assert f"`{name}`" in PAGE
    for field in set(LOSSES.find(name).model_fields) - {"name"}:
        assert re.search(rf"\b{field}\b", PAGE), field


@pytest.mark.parametrize("record", [Halting(), Ponder()])
def test_the_page_names_each_setting_of_halting_and_ponder(record):
    for field in type(record).model_fields:
        assert re.search(rf"\b{field}\b", PAGE), field


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("`auxiliary_weight` | 0.4 ", DeeplySupervised().auxiliary_weight),
        ("`gamma`, `alpha` | 0.8, 0.3 ", (StepLoss().gamma, StepLoss().alpha)),
        ("`kappa` | 0.005 ", Halting().kappa),
        ("`beta` | 0.5 ", Halting().beta),
        ("`beta` 0.01, `lambda_p` 0.2 ", (Ponder().beta, Ponder().lambda_p)),
        ("`rho` 0.001 ", Ponder().rho),
        ("`no_object_weight` | 0.1 ", MaskLoss().no_object_weight),
    ],
)
def test_defaults_are_as_the_page_says(setting, value):
    assert setting in PAGE
    shown = [float(one) for one in re.findall(r"\d+\.\d+", setting)]
    assert shown == list(value if isinstance(value, tuple) else (value,))
