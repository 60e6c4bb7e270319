"""The page on preparing data says what works."""

from pathlib import Path

import yaml

from terrazzo.data.settings import DataSettings, PrepareSettings

PAGE = Path(__file__).parents[2] / "docs" / "prepare.md"


def test_the_example_is_valid():
    text = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    content = yaml.safe_load(text)
    data = DataSettings.model_validate(content["data"])
    assert len(data.classes) == 5
    assert data.patch.step == 224
    assert PrepareSettings.model_validate(content["prepare"]).folder == Path("prepared/dubai")


def test_the_binary_example_is_valid():
    line = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if "name: cloud" in line)
    data = DataSettings.model_validate(
        {"source": {"name": "folder", "folder": "."}, "classes": yaml.safe_load(line.strip().strip("`.").strip("`"))}
    )
    assert data.classes.names == ("clear", "cloud")
