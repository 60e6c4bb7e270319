"""What docs/hardnet.md says holds."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models import ARCHITECTURES, build
from terrazzo.models.backbones.backbone import BACKBONES

PAGE = (Path(__file__).parents[3] / "docs" / "hardnet.md").read_text(encoding="utf-8")
ROWS = re.findall(r"\| `(hardnet\d\d)` \| ([\d,]+) \| ([\d.]+) \| (\d+) \|", PAGE)


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_its_settings_are_accepted(block):
    ((key, settings),) = yaml.safe_load(block).items()
    table = {"model": ARCHITECTURES, "backbone": BACKBONES}[key]
    assert table.create(settings.pop("name"), **settings)


def test_it_lists_every_network():
    assert {name for name, *_ in ROWS} == {name for name in ARCHITECTURES.names() if name.startswith("hardnet")}


@pytest.mark.parametrize(("name", "parameters", "gmac", "stride"), ROWS)
def test_its_figures_are_counted(name, parameters, gmac, stride):
    with torch.device("meta"):
        network = build(name, classes=11).eval()
    assert sum(one.numel() for one in network.parameters()) == int(parameters.replace(",", ""))
    sizes = []
    layers = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    hooks = [
        one.register_forward_hook(lambda _module, _given, answer: sizes.append(answer.shape[-1])) for one in layers
    ]
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 352, 480, device="meta"))
    for hook in hooks:
        hook.remove()
    assert f"{counter.get_total_flops() / 2e9:.2f}" == gmac
    assert min(sizes) == -(-480 // int(stride))
