"""The page on splits says what works."""

from pathlib import Path

import pytest
import yaml

from terrazzo.data.settings import DataSettings
from terrazzo.data.splitting.validation_sets import validation_sets
from terrazzo.training.settings import TrainSettings

TEXT = (Path(__file__).parents[2] / "docs" / "splits.md").read_text(encoding="utf-8")
EXAMPLES = [part.split("```")[0] for part in TEXT.split("```yaml\n")[1:]]
NEEDED = {"source": {"name": "folder", "folder": "data"}, "classes": ["a", "b"]}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_valid(example: str) -> None:
    content = yaml.safe_load(example)
    data = DataSettings.model_validate({**NEEDED, **content["data"]})
    assert data.split.blocks or data.split.folds or data.validation
    TrainSettings.model_validate(content.get("train", {}))


def test_the_list_is_read_as_told(tmp_path: Path) -> None:
    path = tmp_path / "sets.txt"
    path.write_text(TEXT.split("```\n")[-2], encoding="utf-8")
    sets = validation_sets(DataSettings.model_validate({**NEEDED, "validation_list": path}))
    assert {name: one.every for name, one in sets.items()} == {"city": 2, "coast_2019": 1}
    assert sets["city"].source.folder == tmp_path / "city"
