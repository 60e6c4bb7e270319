"""What docs/models.md shows works."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from terrazzo.losses import LOSSES
from terrazzo.models import ARCHITECTURES
from terrazzo.models.smp import Name

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize(("key", "table"), [("model", ARCHITECTURES), ("loss", LOSSES)])
def test_the_settings_of_the_page_are_accepted(key, table):
    (settings,) = [block[key] for block in map(yaml.safe_load, _blocks("yaml")) if key in block]
    record = table.create(settings.pop("name"), **settings)
    assert all(record.model_dump()[field] is not None for field in settings if settings[field] is not None)


def test_the_page_names_every_architecture_and_loss():
    for name in (*get_args(Name), *LOSSES.names()):
        assert re.search(rf"\b{name}\b", PAGE), name
