"""What docs/configuration.md shows is what happens."""

import re
from pathlib import Path

import pytest

from terrazzo.config import load_config
from terrazzo.errors import ConfigError

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def block(language: str, beginning: str) -> str:
    """Return the page's block that begins with these words."""
    found = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if text.startswith(beginning)]
    assert found, f"no {language} block begins with {beginning}"
    return found[-1]


def test_the_least_configuration_loads(place: Path):
    (place / "least.yaml").write_text(block("yaml", "data:\n  source: {name: folder,"), encoding="utf-8")
    assert load_config("least.yaml").data.classes.names == ("water", "land")


def test_the_components_load(place: Path):
    least = block("yaml", "data:\n  source: {name: folder,").replace("model: smp\n", "")
    (place / "run.yaml").write_text(least + block("yaml", "model: {name: smp"), encoding="utf-8")
    config = load_config("run.yaml")
    assert (config.loss.name, config.optimizer.name) == ("dice", "adamw")


def test_the_overrides_apply(place: Path):
    line = re.search(r"\nterrazzo train run\.yaml (.*model=smp.*)\n", PAGE)
    assert line is not None
    words = re.findall(r"'([^']*)'|(\S+)", line[1])
    config = load_config("run.yaml", "augment=[hflip]", *(quoted or plain for quoted, plain in words))
    assert config.train.epochs == 80
    assert config.data.bands == ("red", "nir")
    assert config.augment.transforms[0].probability == 1


def test_the_mistakes_are_said_as_shown(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("MY_DATA", raising=False)
    (place / "run.yaml").write_text(block("yaml", "data:\n  source: {name: foldr"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config("run.yaml", "optimizer.lr=fast", "machine.cudnn_benchmark=true")
    assert str(caught.value) + "\n" == block("text", "")
