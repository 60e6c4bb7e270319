"""The verb `prepare` with masks: asked for in the configuration, or by the call."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from terrazzo.config import load_config
from terrazzo.phases.prepare import prepare

CONFIG = """
data: {{source: {{name: cvat, folder: "{folder}"}}, classes: [background, roof], split: {{fractions: {{train: 1.0}}}}}}
model: {{name: smp, encoder: resnet18}}
prepare: {{folder: "{folder}/prepared", masks: {masks}}}
"""


@pytest.fixture
def project(tmp_path: Path, quiet_torch: None) -> Path:
    box = '<box label="roof" xtl="1" ytl="2" xbr="4" ybr="3"></box>'
    content = f'<annotations><image id="0" name="1.png" width="6" height="5">{box}</image></annotations>'
    (tmp_path / "annotations.xml").write_text(content)
    Image.fromarray(np.full((5, 6, 3), 7, dtype=np.uint8)).save(tmp_path / "1.png")
    return tmp_path


def configured(project: Path, masks: str) -> Path:
    path = project / "terrazzo.yaml"
    path.write_text(CONFIG.format(folder=project, masks=masks), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("setting", "asked", "expected"),
    [
        ("none", None, []),
        ("index", None, ["index/1.png"]),
        ("index", "both", ["colour/1.png", "index/1.png"]),
        ("both", "none", []),
    ],
)
def test_masks_are_written_on_demand(project: Path, setting: str, asked: str | None, expected: list[str]) -> None:
    summary = prepare(load_config(configured(project, setting)), masks=asked)
    folder = project / "prepared" / "masks"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == expected
    assert summary.masks == (folder if expected else None)
    if "index/1.png" in expected:
        with Image.open(folder / "index" / "1.png") as opened:
            wanted = np.zeros((5, 6), dtype=np.uint8)
            wanted[2, 1:4] = 1
            np.testing.assert_array_equal(np.asarray(opened), wanted)
