"""Single files: those that cannot be used, and every one that cannot be decoded."""

from pathlib import Path

import numpy as np
from PIL import Image

from terrazzo.data.verify.files import damage, decode_whole, strips
from terrazzo.geo.grid import Window


def test_missing_empty_and_sound_files(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("x")
    missing = damage(tmp_path / "none.png")
    assert missing is not None
    assert missing.what == "cannot be opened: No such file or directory"
    empty = damage(tmp_path / "empty.png")
    assert empty is not None
    assert empty.check == "empty"
    assert damage(tmp_path / "text.png") is None
    assert damage(tmp_path) is None


def test_every_file_is_decoded_whatever_came_before(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.png" for name in "abcd"]
    for path in paths:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30)).astype(np.uint8)).save(path)
    paths[0].write_bytes(paths[0].read_bytes()[:-9])
    paths[2].write_text("no picture")
    assert [Path(finding.file).name for finding in decode_whole(paths)] == ["a.png", "c.png"]


def test_strips_cover_every_row_once_in_whole_blocks() -> None:
    found = strips(Window(0, 0, 1000, 50), 64, row_bytes=2**17)
    assert [strip.y for strip in found] == list(range(0, 1000, 64))
    assert sum(strip.height for strip in found) == 1000
    assert {strip.width for strip in found} == {50}
    assert strips(Window(0, 0, 1, 1), 1, row_bytes=1) == [Window(0, 0, 1, 1)]
