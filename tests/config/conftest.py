"""A small configuration that every test of this room may build on."""

from pathlib import Path

import pytest

MINIMAL = """\
data:
  source: {name: folder, folder: data}
  classes: [water, land]
model: smp
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder that is the working directory and holds run.yaml, the least that can be said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TERRAZZO_CONFIG", raising=False)
    (tmp_path / "run.yaml").write_text(MINIMAL, encoding="utf-8")
    return tmp_path
