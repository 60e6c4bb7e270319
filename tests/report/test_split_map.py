"""Footprints stand in proportion, north up, inside the drawing."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from terrazzo.report.split_map import FootprintFacts, split_map

Parse = Callable[[str], Any]


def box(image: str, split: str, west: float, south: float, wide: float, tall: float) -> FootprintFacts:
    corners = ((west, south), (west + wide, south), (west + wide, south + tall), (west, south + tall))
    return FootprintFacts(image, split, tuple((float(x), float(y)) for x, y in corners))


def corners(path: dict[str, str | None]) -> list[tuple[float, float]]:
    numbers = [float(text) for text in re.findall(r"-?[\d.]+", path["d"] or "")]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


@pytest.mark.parametrize("size", [1e-2, 1.0, 5e6])
def test_proportions(parse: Parse, size: float) -> None:
    page = parse(split_map([box("a", "train", 0, 0, size, size), box("b", "test", 3 * size, 2 * size, size, size)]))
    first, second = map(corners, page.all("path", class_="footprint")[:2])
    wide = first[1][0] - first[0][0]
    assert first[0][1] - first[3][1] == pytest.approx(wide, abs=0.2)
    assert second[0][0] - first[0][0] == pytest.approx(3 * wide, abs=0.3)
    # Further north is higher up.
    assert first[0][1] - second[0][1] == pytest.approx(2 * wide, abs=0.3)
    _, _, right, bottom = map(float, (page.all("svg", role="img")[0]["viewbox"] or "").split())
    assert all(0 <= x <= right and 0 <= y <= bottom for x, y in [*first, *second])


def test_one_point_and_one_line_of_images(parse: Parse) -> None:
    assert parse(split_map([box("a", "train", 5, 5, 0, 0)])).all("path", class_="footprint")
    flat = parse(split_map([box(str(number), "val_sea", 900 * number, 0, 10, 10) for number in range(30)]))
    assert "val_sea (30)" in flat.text


def test_scale_legend_and_names(parse: Parse) -> None:
    page = parse(split_map([box("<i>", "train", 0, 0, 9000, 3000), box("b", "val", 0, 0, 100, 100)]))
    assert "2 km" in page.text
    assert "train (1)" in page.text
    assert "<i>: train" in page.text
    scale = next(path for path in page.all("path") if path.get("class") == "scale")
    begin = float(re.search(r"M([\d.]+)", scale["d"] or "")[1])
    end = float(re.search(r"H([\d.]+)", scale["d"] or "")[1])
    # 9 km take the whole width of 720.
    assert end - begin == pytest.approx(720 * 2 / 9, abs=0.2)
