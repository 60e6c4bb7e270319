"""What docs/feature-cache.md says is so."""

import re
from pathlib import Path

import yaml

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.features.names import VIEWS
from terrazzo.data.features.plan import LARGEST_SHARD, SHARD_PIXELS
from terrazzo.data.features.views import unsuited
from terrazzo.data.settings import PrepareSettings

PAGE = (Path(__file__).parents[3] / "docs" / "feature-cache.md").read_text(encoding="utf-8")


def test_the_configuration_of_the_page_is_read():
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    settings = PrepareSettings(**shown["prepare"])
    assert settings.cache == "features"
    assert unsuited(Augmentation.model_validate(shown["augment"]), settings.cache_views) == ""


def test_the_defaults_of_the_page_are_those_of_the_code():
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", PAGE, re.MULTILINE))
    given = PrepareSettings()
    known = {name: getattr(given, name) for name in ("cache", "cache_dtype", "device", "cache_batch_size")}
    assert rows == {name: str(value) for name, value in known.items()} | {"cache_views": "[identity]"}
    assert given.cache_views == ("identity",)


def test_every_view_is_named():
    assert all(f"`{view}`" in PAGE for view in VIEWS)


def test_the_sizes_of_the_page_are_right():
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) MiB \| (\d+) GiB \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for _, channels, one, many in rows:
        size = 4 * int(channels) * 32 * 32 * 2 / 2**20
        assert size == int(one)
        assert round(size * 20_000 / 1024) == int(many)


def test_the_files_of_the_page_are_as_large_as_ours():
    assert f"up to {LARGEST_SHARD} neighbouring patches" in PAGE
    assert f"({SHARD_PIXELS // 512**2} at 512 pixels)" in PAGE
