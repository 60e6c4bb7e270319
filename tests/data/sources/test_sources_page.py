"""The page on data sources says what works, and names every source."""

import re
from pathlib import Path

import pytest
import yaml

from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.source import SOURCES

PAGE = (Path(__file__).parents[3] / "docs" / "data-sources.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", BLOCKS, ids=[str(number) for number in range(len(BLOCKS))])
def test_each_example_is_valid(text):
    data = DataSettings.model_validate(yaml.safe_load(text)["data"])
    assert len(data.classes) >= 2


def test_every_source_stands_in_the_table():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == SOURCES.names()


def test_each_field_that_the_page_names_exists():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    for section in sections:
        name = section.split("\n", 1)[0].strip()
        known = set(SOURCES.find(name).model_fields)
        assert set(re.findall(r"^\* `(\w+)[:`]", section, re.MULTILINE)) <= known


def test_what_sources_know_about_classes_is_said():
    assert len(DataSettings.model_validate({"source": {"name": "cityscapes", "folder": "."}}).classes) == 19
    assert len(DataSettings.model_validate({"source": {"name": "camvid", "folder": "."}}).classes) == 11
    said = dict(re.findall(r"^\| `(\w+)` \|[^|]*\| known: (\d+)", PAGE, re.MULTILINE))
    assert said == {"cityscapes": "19", "camvid": "11"}
