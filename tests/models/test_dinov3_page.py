"""What docs/dinov3.md says is so."""

import re
from pathlib import Path

import pytest
import yaml

from terrazzo.models import ARCHITECTURES
from terrazzo.models.backbones import dinov3_convnext, dinov3_vit
from terrazzo.models.backbones.dinov3_check import NORMALISATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "dinov3.md").read_text(encoding="utf-8")


def rows(first: str) -> list[list[str]]:
    """Return the cells of the table whose heading begins so."""
    lines = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_settings_of_the_page_are_accepted():
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    settings = yaml.safe_load(block)["model"]
    record = ARCHITECTURES.create(settings.pop("name"), **settings)
    assert (record.backbone.size, record.backbone.variant, record.head.name) == ("large", "web", "linear")


@pytest.mark.parametrize("row", rows("`dinov3_vit`"), ids=lambda row: row[0])
def test_the_table_of_transformers(row):
    record = dinov3_vit.DinoV3Vit(size=row[0])
    shape = record.shape
    assert [int(cell) for cell in row[2:5]] == [shape.channels, shape.layers, shape.heads]
    assert row[5] == ("SwiGLU" if shape.gated else "two layers")
    assert [int(cell) for cell in row[6].split(",")] == list(record.chosen_taps)


@pytest.mark.parametrize("row", rows("`dinov3_convnext`"), ids=lambda row: row[0])
def test_the_table_of_convnexts(row):
    record = dinov3_convnext.DinoV3ConvNext(size=row[0])
    count = sum(one.numel() for one in record.build_without_external(bands=3).parameters())
    assert float(row[1]) == round(count / 1e6, 1)
    assert [int(cell) for cell in row[2].split(",")] == list(record.shape.channels)


def test_every_size_has_a_row():
    assert [row[0] for row in rows("`dinov3_vit`")] == list(dinov3_vit.SIZES)
    assert [row[0] for row in rows("`dinov3_convnext`")] == list(dinov3_convnext.SIZES)


def test_the_table_of_variants():
    found = {
        row[0]: tuple(tuple(float(one) for one in cell.split(",")) for cell in row[1:]) for row in rows("`variant`")
    }
    assert found == dict(NORMALISATIONS)
