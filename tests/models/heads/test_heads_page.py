"""What docs/heads.md shows is what there is."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from terrazzo.models.backbones.backbone import FeatureLayout
from terrazzo.models.heads.head import HEADS
from terrazzo.record import load_plugin
from terrazzo.testing import check_head

PAGE = (Path(__file__).parents[3] / "docs" / "heads.md").read_text(encoding="utf-8")
NAMES = ("linear", "unet", "unet_v2", "maskformer", "pmt")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("name", NAMES)
def test_each_head_is_shown_with_all_its_defaults(name):
    (shown,) = [block for block in map(yaml.safe_load, blocks("yaml")) if block.get("name") == name]
    assert HEADS.create(**shown) == HEADS.create(name)
    assert set(shown) == set(HEADS.create(name).model_dump())


def test_the_table_gives_the_parameters():
    shown = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE, flags=re.MULTILINE))
    assert tuple(shown) == NAMES
    for name, millions in shown.items():
        with torch.device("meta"):
            head = HEADS.create(name).build(FeatureLayout((1024,) * 4, (16,) * 4, 16), bands=3, classes=6)
        assert all(each.requires_grad for each in head.parameters())
        assert f"{sum(each.numel() for each in head.parameters()) / 1e6:.3f}" == millions


def test_the_plugin_of_the_page_works(tmp_path, monkeypatch):
    monkeypatch.setattr(HEADS, "_entries", dict(HEADS._entries))
    (source,) = blocks("python")
    file = tmp_path / "my head ä.py"
    file.write_text(source, encoding="utf-8")
    load_plugin(file)
    check_head(HEADS.create("plain"), bands=(3,), sizes=((1, 2),))
