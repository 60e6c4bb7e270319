"""Figures of a map's page: colours that mean values, bars and curves that lie where they should."""

import base64
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from terrazzo.report.scene_figures import SCALE, Curve, bars, heat_picture, seam_chart

Parse = Callable[[str], Any]


def pixels(page: Any) -> np.ndarray:
    (image,) = page.all("img")
    content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)))


class TestHeatPicture:
    def test_ends_and_middle_of_the_scale_and_blanks(self, parse: Parse) -> None:
        values = np.array([[2.0, 6.0], [4.0, np.nan]], dtype=np.float32)
        page = parse(heat_picture("Where", values, low=2.0, high=6.0, labels=("two", "six")))
        found = pixels(page)
        assert found.shape == (480, 480, 4)
        assert found[0, 0].tolist() == [*map(int, SCALE[0]), 255]
        assert found[0, -1].tolist() == [*map(int, SCALE[-1]), 255]
        assert found[-1, 0].tolist() == [*map(int, SCALE[4]), 255]
        assert found[-1, -1, 3] == 0
        assert (found[:240, :240] == found[0, 0]).all()
        (image,) = page.all("img")
        assert image["alt"] == "Where, from two (dark) to six (bright)"
        assert "two" in page.text
        assert "six" in page.text

    def test_values_beyond_the_ends_take_their_colours(self, parse: Parse) -> None:
        found = pixels(parse(heat_picture("a", np.array([[-1.0, 9.0]]), low=0.0, high=1.0, labels=("0", "1"))))
        assert found[0, 0, :3].tolist() == SCALE[0].tolist()
        assert found[0, -1, :3].tolist() == SCALE[-1].tolist()

    @pytest.mark.parametrize("values", [np.full((3, 2), np.nan), np.zeros((1, 1)), np.zeros((600, 4))])
    def test_nothing_to_tell_apart(self, values: np.ndarray, parse: Parse) -> None:
        page = parse(heat_picture("a", values, low=0.0, high=0.0, labels=("0", "0")))
        assert pixels(page).shape[0] >= values.shape[0]
        upright = values.shape[0] > values.shape[1]
        assert page.all("figure", class_="coarse upright-picture" if upright else "coarse")


class TestBars:
    def test_heights_are_shares(self, parse: Parse) -> None:
        page = parse(bars("Pixels", (10, 0, 30), (0.0, 3.0), axis="steps"))
        boxes = page.all("rect", class_="box")
        assert len(boxes) == 2
        assert float(boxes[1]["height"]) == pytest.approx(3 * float(boxes[0]["height"]), rel=0.01)
        assert float(boxes[1]["x"]) > float(boxes[0]["x"])
        bottoms = {round(float(box["y"]) + float(box["height"])) for box in boxes}
        assert len(bottoms) == 1
        assert "2 to 3: 75 %" in page.text
        (drawing,) = page.all("svg")
        assert drawing["aria-label"] == "Pixels: most, 75 %, lie between 2 and 3"

    def test_without_values(self, parse: Parse) -> None:
        assert "No values." in parse(bars("Pixels", (0, 0), (0.0, 1.0), axis="x")).text


class TestSeamChart:
    def test_curves_and_the_shaded_fade(self, parse: Parse) -> None:
        offsets = tuple(range(-4, 5))
        first = Curve("classes", offsets, (None, 0.0, 0.1, 0.2, 0.4, 0.2, None, 0.1, 0.0), "red")
        second = Curve("confidence", offsets, (0.1,) * 9, "blue", dashed=True)
        page = parse(seam_chart("Seams", [first, second], half=2.0))
        (shade,) = page.all("rect", class_="fade")
        curves = page.all("path", class_="curve")
        assert len(curves) == 2
        places = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+) ([\d.]+)", curves[0]["d"])]
        assert curves[0]["d"].count("M") == 2
        assert len(places) == 7
        # The peak lies at the middle of the shade, at the top of the plot.
        peak = min(places, key=lambda place: place[1])
        assert peak[0] == pytest.approx(float(shade["x"]) + float(shade["width"]) / 2, abs=0.2)
        assert peak[1] == pytest.approx(float(shade["y"]), abs=0.2)
        assert curves[1]["stroke-dasharray"] == "5 3"
        assert "classes from 0 % to 40 %" in page.text

    def test_without_values(self, parse: Parse) -> None:
        assert "No values." in parse(seam_chart("Seams", [Curve("a", (0,), (None,), "red")], half=1.0)).text

    def test_where_nothing_differs(self, parse: Parse) -> None:
        page = parse(seam_chart("Seams", [Curve("a", (-1, 0, 1), (0.0, 0.0, 0.0), "red")], half=9.0))
        assert len(page.all("path", class_="curve")) == 1
