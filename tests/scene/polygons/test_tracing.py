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
    # Both areas of 1 may become one further down; they meet crosswise between the rows.
    pieces = pieces_of([[1, 1, 0, 0], [1, 2, 1, 0]], wanted=(1,))
    ends = set(pieces.end[(pieces.end & 2).astype(bool) & (pieces.end != NO_JOIN)].tolist())
    starts = set(pieces.start[(pieces.start & 2).astype(bool) & (pieces.start != NO_JOIN)].tolist())
    assert starts == ends
    assert len(ends) == 2
    assert min(ends) ^ 1 == max(ends)


def test_a_crossing_is_decided_where_an_area_is_complete_or_both_are_one() -> None:
    complete = pieces_of([[0, 0, 0], [1, 0, 0], [0, 1, 0]], wanted=(1,))
    assert sorted(complete.signed[complete.start == NO_JOIN].tolist()) == [1]
    one = pieces_of([[1, 1, 1], [1, 0, 1], [1, 1, 0]], wanted=(1,))
    # The hole is a ring of its own, the border around it crosses to the other side of the corner.
    assert one.signed[one.start == NO_JOIN].tolist() == [-1]
    for pieces in (complete, one):
        joins = pieces.end[pieces.end != NO_JOIN]
        assert not (joins & 2).any()
