"""Rings to polygons: order, direction, and what is refused."""

import numpy as np
import pytest
import shapely
from affine import Affine

from terrazzo.errors import StorageError
from terrazzo.scene.polygons import assembly
from terrazzo.scene.polygons.areas import BandAreas, no_areas
from terrazzo.scene.polygons.assembly import polygons_of
from terrazzo.scene.polygons.rings import Rings


def square(y: int, x: int, side: int, *, hole: bool = False, turn: int = 0) -> list[tuple[int, int]]:
    """Return a square's corners (y, x), clockwise as seen, from any of them on."""
    corners = [(y, x), (y, x + side), (y + side, x + side), (y + side, x)]
    corners = corners[turn:] + corners[:turn]
    return corners[::-1] if hole else corners


def rings(*given: tuple[int, int, list[tuple[int, int]]]) -> Rings:
    return Rings(
        np.array([area for area, _, _ in given], dtype=np.int64),
        np.array([signed for _, signed, _ in given], dtype=np.int64),
        np.array([len(points) for _, _, points in given], dtype=np.int64),
        np.array([point for _, _, points in given for point in points], dtype=np.int32).reshape(-1, 2),
    )


def areas(*pixels: int) -> BandAreas:
    count = len(pixels)
    return BandAreas(
        of_run=np.zeros(0, np.int64),
        moved=np.zeros(0, np.int64),
        values=np.arange(10, 10 + count),
        pixels=np.array(pixels, dtype=np.int64),
        square_metres=np.array(pixels, dtype=np.float64) / 2,
        last_row=np.full(count, 9),
        still_open=np.full(count, -1),
        after=no_areas(1),
    )


def test_holes_go_with_their_areas_in_order() -> None:
    given = rings(
        (1, -1, square(4, 4, 1, hole=True, turn=3)),
        (0, 4, square(0, 8, 2, turn=2)),
        (1, -4, square(1, 1, 2, hole=True, turn=1)),
        (1, 36, square(0, 0, 6, turn=1)),
    )
    found = polygons_of(given, areas(4, 31), Affine(1, 0, 0, 0, -1, 0))
    # Both begin in row 0; the square of six is further left.
    assert found.values.tolist() == [11, 10]
    assert found.pixels.tolist() == [31, 4]
    assert found.square_metres.tolist() == [15.5, 2.0]
    assert shapely.area(found.geometries).tolist() == [31, 4]
    assert found.geometries[0].wkt == (
        "POLYGON ((0 0, 0 -6, 6 -6, 6 0, 0 0), (1 -1, 3 -1, 3 -3, 1 -3, 1 -1), (4 -4, 5 -4, 5 -5, 4 -5, 4 -4))"
    )


def test_nothing_gives_nothing() -> None:
    assert len(polygons_of(rings(), areas(), Affine.identity())) == 0


def test_rings_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(StorageError, match="do not add up"):
        polygons_of(rings((0, 4, square(0, 0, 2))), areas(5), Affine.identity())


def test_what_no_format_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MOST_POINTS", 4)
    with pytest.raises(StorageError, match=r"4 pixels has 5 corners.*smallest_pixels"):
        polygons_of(rings((0, 4, square(0, 0, 2))), areas(4), Affine.identity())
