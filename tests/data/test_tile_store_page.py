"""What docs/tile-store.md says is so."""

import re
from pathlib import Path

import yaml

from terrazzo.data.labels import vector
from terrazzo.data.open_files import KEPT_BYTES, OPEN_FILES
from terrazzo.data.reading import WHOLE_BYTES
from terrazzo.data.settings import PrepareSettings
from terrazzo.data.store import plan, store
from terrazzo.data.store.tile import TILE
from terrazzo.geo import burning

PAGE = (Path(__file__).parents[2] / "docs" / "tile-store.md").read_text(encoding="utf-8")


def test_the_settings_of_the_page_are_read_and_default_to_auto():
    shown = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])["prepare"]
    assert PrepareSettings(**shown) == PrepareSettings()
    for choice in ("original", "tiles", "auto"):
        assert PrepareSettings(store=choice).store == choice
        assert re.search(rf"^\| `{choice}`", PAGE, re.MULTILINE)


def test_the_limits_of_the_page_are_those_of_the_code():
    assert f"the {KEPT_BYTES // 2**20} MiB that a process keeps" in PAGE
    assert f"larger than {WHOLE_BYTES // 2**20} MiB" in PAGE
    assert f"at most {plan.LARGEST_BLOCK} x {plan.LARGEST_BLOCK}" in PAGE
    burned = burning.KEPT_BYTES // (burning.BLOCK**2 * plan.CODE_BYTES)
    assert f"images of at most {vector.KEPT_WHOLE} x {vector.KEPT_WHOLE}" in PAGE
    assert f"blocks of {burning.BLOCK} x {burning.BLOCK}, of which an open label keeps {burned}" in PAGE
    assert f"a process keeps {OPEN_FILES} labels open" in PAGE
    assert (plan.LARGEST_MULTIPLE, store.AUTOMATIC_SHARE) == (4, 4)
    assert "at most four times itself" in PAGE
    assert "a quarter of the free disk" in PAGE
    assert f"tiles of {TILE} pixels, each band apart" in PAGE
