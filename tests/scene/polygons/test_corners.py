"""Corners and edges of small maps, drawn by hand."""

import numpy as np

from terrazzo.scene.polygons.corners import CROSS, DOWN, LEFT, RIGHT, UP, corners_of, onwards


def framed(values: list[list[int]]) -> np.ndarray:
    return np.pad(np.array(values, dtype=np.uint8), 1, constant_values=9)


def test_one_pixel_has_four_corners() -> None:
    corners = corners_of(framed([[1]]))
    assert list(zip(corners.y, corners.x, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert corners.edges.tolist() == [
        1 << RIGHT | 1 << DOWN,
        1 << LEFT | 1 << DOWN,
        1 << RIGHT | 1 << UP,
        1 << LEFT | 1 << UP,
    ]
    assert corners.neighbours.tolist() == [[1, 2, -1, -1], [-1, 3, 0, -1], [3, -1, -1, 0], [-1, -1, 2, 1]]
    assert len(corners.leaves(UP)) == len(corners.leaves(DOWN)) == 0


def test_edges_that_leave_the_band() -> None:
    # Neither the row above nor the row below ends the column of 1.
    band = np.array([[9, 0, 1, 1, 9], [9, 0, 1, 2, 9], [9, 0, 1, 2, 9]], dtype=np.uint8)
    corners = corners_of(band)
    assert list(zip(corners.y, corners.x, strict=True)) == [(0, 2), (0, 3)]
    assert corners.leaves(DOWN).tolist() == [0, 1]
    assert corners.leaves(UP).tolist() == [1]


def test_a_straight_border_has_no_corner() -> None:
    assert len(corners_of(np.array([[1, 1, 2], [1, 1, 2], [1, 1, 2]], dtype=np.uint8))) == 0


def test_ways_on_turn_around_the_pixel_on_the_right() -> None:
    # Moving right one arrives by the edge on the left; the pixel on the right of the way is below it.
    edges, arrival = np.array([CROSS, 1 << LEFT | 1 << UP, 1 << LEFT | 1 << RIGHT | 1 << UP]), np.array([LEFT] * 3)
    assert onwards(edges.astype(np.uint8), arrival.astype(np.uint8)).tolist() == [DOWN, UP, RIGHT]


def test_every_edge_is_known_from_both_ends() -> None:
    values = np.random.default_rng(0).integers(0, 3, (12, 15)).astype(np.uint8)
    corners = corners_of(np.pad(values, 1, constant_values=9))
    for direction in (RIGHT, DOWN, LEFT, UP):
        leaving = np.flatnonzero(corners.neighbours[:, direction] >= 0)
        reached = corners.neighbours[leaving, direction]
        assert (corners.neighbours[reached, (direction + 2) % 4] == leaving).all()
        assert ((corners.edges >> direction & 1) == (corners.neighbours[:, direction] >= 0)).all()
