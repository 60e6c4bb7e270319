"""Pieces of one band."""

import numpy as np

from terrazzo.scene.polygons.areas import follow_areas, no_areas
from terrazzo.scene.polygons.corners import corners_of
from terrazzo.scene.polygons.rings import NO_JOIN, Pieces
from terrazzo.scene.polygons.runs import runs_of
from terrazzo.scene.polygons.tracing import BorderTracer

NOTHING = 9


def pieces_of(rows: list[list[int]], *, wanted: tuple[int, ...] = (0, 1, 2), dropped: tuple[int, ...] = ()) -> Pieces:
    """Return the pieces of the first band of a map."""
    values = np.pad(np.array(rows, dtype=np.uint8), ((1, 0), (1, 1)), constant_values=NOTHING)
    runs, corners = runs_of(values), corners_of(values)
    areas = follow_areas(no_areas(1), values, runs, top=0, square_metres=np.zeros(len(runs) - 1))
    left_out = np.zeros(len(corners), dtype=bool)
    left_out[list(dropped)] = True
    return BorderTracer(values.shape[1] - 2).trace(
        values, corners, runs, areas, wanted=np.isin(areas.values, wanted), dropped=left_out, top=0
    )


def test_a_pixel_inside_is_a_ring_and_a_hole() -> None:
    pieces = pieces_of([[0, 0, 0], [0, 1, 0], [0, 0, 0]])
    rings = pieces.start == NO_JOIN
    assert sorted(pieces.signed[rings].tolist()) == [-1, 1]
    assert pieces.counts[rings].tolist() == [4, 4]
    # The frame is open below: one piece, up on one side and down on the other.
    assert pieces.start[~rings].tolist() != pieces.end[~rings].tolist()
    assert len(pieces.start) == 3


def test_unwanted_areas_have_no_pieces() -> None:
    pieces = pieces_of([[0, 0, 0], [0, 1, 0], [0, 0, 0]], wanted=(1,))
    assert pieces.signed.tolist() == [1]
    assert pieces.points.tolist() == [[1, 1], [1, 2], [2, 2], [2, 1]]


def test_dropped_corners_leave_points_out_and_areas_alone() -> None:
    pieces = pieces_of([[0, 0, 0], [0, 1, 0], [0, 0, 0]], wanted=(1,), dropped=(2,))
    assert pieces.signed.tolist() == [1]
    assert pieces.points.tolist() == [[1, 2], [2, 2], [2, 1]]


def test_a_crossing_of_two_open_areas_is_left_undecided() -> None:
    # Both areas of 1 may join further down, both of 0 are one already by the frame.
    pieces = pieces_of([[1, 2, 0], [1, 0, 2], [1, 0, 1]], wanted=(1,))
    assert (pieces.start != NO_JOIN).any()
    crossing = pieces_of([[2, 1, 0], [2, 0, 1], [2, 0, 1]], wanted=(0, 1))
    undecided = crossing.end[(crossing.end & 2).astype(bool) & (crossing.end != NO_JOIN)]
    # One area of 0 is complete: its ring turns. Both pixels of 1 may be one area only through rows above: they are not.
    assert len(undecided) == 0
    open_below = pieces_of([[1, 0], [0, 1]], wanted=(0, 1))
    assert len(open_below.start) > 0
