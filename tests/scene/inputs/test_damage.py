"""Files that end too early."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from terrazzo.scene.inputs.damage import truncation

Write = Callable[..., Path]


@pytest.mark.parametrize(
    "profile",
    [{}, {"tiled": True, "blockxsize": 16, "blockysize": 16}, {"compress": "deflate"}, {"interleave": "band"}],
)
def test_a_file_without_its_last_block_is_truncated(
    profile: dict[str, object], write_raster: Write, noise: Callable[..., np.ndarray]
) -> None:
    path = write_raster("ä b.tif", noise(3, 70, 50), **profile)
    assert truncation(str(path)) is None
    content = path.read_bytes()
    path.write_bytes(content[: len(content) - 400])
    assert f"{path} is truncated" in str(truncation(str(path)))
    assert f"ends at byte {len(content) - 400:,}" in str(truncation(str(path)))


def test_blocks_that_were_never_written_lack_nothing(write_raster: Write) -> None:
    path = write_raster(
        "sparse.tif", np.zeros((1, 64, 64), "uint8"), sparse_ok=True, tiled=True, blockxsize=16, blockysize=16
    )
    assert truncation(str(path)) is None


def test_what_cannot_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no raster")
    assert truncation(str(tmp_path / "a.txt")) is None
    assert truncation(str(tmp_path / "missing.tif")) is None
    assert truncation("/vsis3/bucket/a.tif") is None
