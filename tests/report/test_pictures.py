import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrazzo.data.pictures.picture import write_png
from terrazzo.report import pictures
from terrazzo.report.pictures import WIDEST, embedded, picture


def draw(path: Path, height: int, width: int) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    write_png(path, values)
    return path


def test_a_small_picture_goes_in_as_it_is(tmp_path: Path) -> None:
    path = draw(tmp_path / "a b.png", 3, 5)
    assert picture(path) == path.read_bytes()


def test_one_pixel(tmp_path: Path) -> None:
    path = draw(tmp_path / "ü.png", 1, 1)
    assert picture(path) == path.read_bytes()


def test_a_wide_picture_is_reduced_in_proportion(tmp_path: Path) -> None:
    content = picture(draw(tmp_path / "wide.png", 101, 2 * WIDEST))
    assert content is not None
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (WIDEST, 50)


def test_a_line_of_pixels_keeps_a_row(tmp_path: Path) -> None:
    content = picture(draw(tmp_path / "line.png", 1, 5000))
    assert content is not None
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (WIDEST, 1)


def test_a_class_map_keeps_its_colours(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 3, (20, 3333), dtype=np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 255])
    image.save(tmp_path / "map.png")
    content = picture(tmp_path / "map.png")
    assert content is not None
    with Image.open(io.BytesIO(content)) as reduced:
        colours = {colour for _, colour in reduced.convert("RGB").getcolors()}
    assert colours == {(10, 20, 30), (200, 100, 0), (0, 0, 255)}


@pytest.mark.parametrize("kept", [0, 7, 20, 60, -30])
def test_a_file_that_is_cut_off_is_left_out(tmp_path: Path, kept: int) -> None:
    path = draw(tmp_path / "cut.png", 40, 40)
    path.write_bytes(path.read_bytes()[:kept])
    assert picture(path) is None


def test_a_damaged_body_is_left_out(tmp_path: Path) -> None:
    path = draw(tmp_path / "damaged.png", 40, 40)
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(bytes(content))
    assert picture(path) is None


def test_no_png_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"<svg onload='alert(1)'></svg>" * 4)
    assert picture(tmp_path / "a.png") is None
    assert picture(tmp_path / "missing.png") is None
    assert picture(tmp_path) is None


def test_a_picture_that_claims_a_huge_size_is_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = draw(tmp_path / "bomb.png", 4, 4)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    path.write_bytes(bytes(content))

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr(Image, "open", refuse)
    assert picture(path) is None


def test_pictures_are_embedded_with_their_captions(tmp_path: Path, parse: Callable[[str], Any]) -> None:
    paths = [draw(tmp_path / f"{name}.png", 4, 4) for name in "ab"]
    shown, left = embedded(paths, ["first <b>", "second"])
    page = parse("".join(shown))
    assert left == []
    assert [image["alt"] for image in page.all("img")] == ["first <b>", "second"]
    sources = [image["src"].removeprefix("data:image/png;base64,") for image in page.all("img")]
    assert [base64.b64decode(source) for source in sources] == [path.read_bytes() for path in paths]


def test_what_has_no_room_or_is_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = draw(tmp_path / "a.png", 20, 20), draw(tmp_path / "b.png", 20, 20)
    (tmp_path / "c.png").write_bytes(b"")
    monkeypatch.setattr(pictures, "MOST_BYTES", first.stat().st_size + 10)
    shown, left = embedded([tmp_path / "c.png", first, second], ["c", "a", "b"])
    assert len(shown) == 1
    assert left == [tmp_path / "c.png", second]
