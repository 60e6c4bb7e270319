"""What every area has in common: its place in the table, and the question whether a window touches it."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from affine import Affine
from pydantic import ValidationError

from terrazzo.data.areas.area import AREAS, Area, AreaReader
from terrazzo.errors import ConfigError
from terrazzo.geo.grid import Grid, Window

GRID = Grid(None, Affine.identity(), 9, 7)


class Drawn(AreaReader):
    """A given picture, which counts how often it is asked."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.asked = pixels, 0

    def inside(self, window: Window) -> np.ndarray:
        self.asked += 1
        return self.pixels[window.slices]


class Corner(Area):
    """The pixel in the upper left corner."""

    name: Literal["corner"] = "corner"
    side: int = 1

    @property
    def files(self) -> tuple[Path, ...]:
        return ()

    def open(self, grid: Grid) -> Drawn:
        pixels = np.zeros(grid.shape, dtype=bool)
        pixels[: self.side, : self.side] = True
        return Drawn(pixels)


@pytest.mark.parametrize(
    ("window", "touched"),
    [
        (Window(0, 0, 9, 7), True),
        (Window(4, 3, 1, 1), True),
        (Window(4, 4, 1, 1), False),
        (Window(0, 0, 4, 7), False),
        (Window(2, 1, 3, 3), True),
        (Window(5, 0, 4, 7), False),
    ],
)
def test_a_window_touches_where_one_of_its_pixels_lies_inside(window: Window, touched: bool) -> None:
    pixels = np.zeros((9, 7), dtype=bool)
    pixels[4, 3] = True
    reader = Drawn(pixels)
    assert reader.touches(window) is touched
    assert reader.asked == 1


def test_a_reader_must_say_what_lies_inside() -> None:
    for question in (AreaReader().inside, AreaReader().touches):
        with pytest.raises(NotImplementedError):
            question(Window(0, 0, 1, 1))


def test_an_area_must_name_its_files_and_open() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Area(name="nothing")


def test_an_area_is_a_frozen_record_that_can_be_a_key() -> None:
    assert {Corner(): 1}[Corner(side=1)] == 1
    assert Corner() != Corner(side=2)
    with pytest.raises(ValidationError, match="frozen"):
        Corner().side = 3
    with pytest.raises(ValidationError, match="extra"):
        Corner(sides=3)
    assert Corner(side=2).open(GRID).pixels.sum() == 4


# The least that each kind needs to be made.
SETTINGS = {
    "blocks": {"part": "train", "shares": [["train", 0.5], ["val", 0.5]], "size": 2.0},
    "intersection": {"areas": [{"name": "blocks", "part": "a", "shares": [["a", 1.0]], "size": 4.0}]},
    "polygons": {"vectors": ["Äcker 1/a b.gpkg"]},
}


def test_each_kind_in_the_table_is_made_by_its_name_and_again_from_json() -> None:
    assert AREAS.names() == sorted(SETTINGS)
    for name, settings in SETTINGS.items():
        area = AREAS.create(name, **settings)
        assert isinstance(area, Area)
        assert area.name == name
        assert AREAS.create(**area.model_dump(mode="json")) == area
        assert hash(AREAS.create(**area.model_dump())) == hash(area)


def test_an_area_without_files_opens_on_any_grid_and_covers_it_by_its_parts() -> None:
    shares = SETTINGS["blocks"]["shares"]
    parts = [AREAS.create("blocks", part=part, shares=shares, size=2.0).open(GRID) for part in ("train", "val")]
    inside = [part.inside(GRID.whole) for part in parts]
    assert np.array_equal(inside[0], ~inside[1])
    single = Window(8, 6, 1, 1)
    assert [part.touches(single) for part in parts] == [bool(pixels[8, 6]) for pixels in inside]


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='Did you mean "polygons"'):
        AREAS.create("polygon", vectors=["a.gpkg"])
