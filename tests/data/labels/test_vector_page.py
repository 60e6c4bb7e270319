"""The page on vector labels says what works."""

from pathlib import Path

import pytest
import yaml

from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.settings import DataSettings

PAGE = Path(__file__).parents[3] / "docs" / "vector-labels.md"
EXAMPLES = [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```yaml\n")[1:]]


@pytest.mark.parametrize("text", EXAMPLES)
def test_each_example_is_valid(text):
    data = DataSettings.model_validate(yaml.safe_load(text)["data"])
    assert data.source.label_vectors.vectors
    assert not data.source.labelled_beside


def test_there_are_three_and_they_say_what_the_page_says():
    data = [DataSettings.model_validate(yaml.safe_load(text)["data"]) for text in EXAMPLES]
    assert len(data) == 3
    classes = data[0].classes
    assert [classes.number_of(word) for word in ("woods", "3.0", "(empty)", "snow")] == [0, 2, 255, None]
    assert data[1].source.label_vectors.width_m == {"motorway": 24, "track": 3.5}
    assert data[2].split.polygons.field == "split"


def test_every_setting_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in VectorLabel.model_fields if name != "name" and name not in text] == []
