"""What docs/models.md shows works."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from terrazzo.losses import LOSSES
from terrazzo.models import ARCHITECTURES, build
from terrazzo.models.smp import Name
from terrazzo.record import load_plugin
from terrazzo.testing import check_architecture

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def _blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_plugin_of_the_page_works(tmp_path, monkeypatch):
    monkeypatch.setattr(ARCHITECTURES, "_entries", dict(ARCHITECTURES._entries))
    (source,) = _blocks("python")
    file = tmp_path / "my network ä.py"
    file.write_text(source, encoding="utf-8")
    load_plugin(file)
    assert build("shallow", classes=3, channels=4).layers[0].out_channels == 4
    check_architecture(ARCHITECTURES.create("shallow"), sizes=((8, 8), (5, 9), (1, 1)))


@pytest.mark.parametrize(("key", "table"), [("model", ARCHITECTURES), ("loss", LOSSES)])
def test_the_settings_of_the_page_are_accepted(key, table):
    (settings,) = [block[key] for block in map(yaml.safe_load, _blocks("yaml")) if key in block]
    record = table.create(settings.pop("name"), **settings)
    assert all(record.model_dump()[field] is not None for field in settings if settings[field] is not None)


def test_the_page_names_every_architecture_and_loss():
    for name in (*get_args(Name), *LOSSES.names()):
        assert re.search(rf"\b{name}\b", PAGE), name
