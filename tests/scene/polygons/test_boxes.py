"""Counting corners in boxes, against looking at each."""

import numpy as np

from terrazzo.scene.polygons.boxes import Boxes
from terrazzo.scene.polygons.corners import corners_of


def test_counts_and_cover() -> None:
    draw = np.random.default_rng(0)
    values = draw.integers(0, 2, (14, 19)).astype(np.uint8)
    corners = corners_of(np.pad(values, 1, constant_values=9))
    lengths = draw.integers(1, 4, 12)
    stretches = draw.integers(0, len(corners), int(lengths.sum()))
    boxes = Boxes.around(corners, stretches, lengths)
    inside = []
    for members in np.split(stretches, np.cumsum(lengths)[:-1]):
        y, x = corners.y[members], corners.x[members]
        inside.append((corners.y >= y.min()) & (corners.y <= y.max()) & (corners.x >= x.min()) & (corners.x <= x.max()))
    assert boxes.counts(corners).tolist() == [int(member.sum()) for member in inside]
    some = np.array([1, 5, 8])
    np.testing.assert_array_equal(boxes.chosen(some).cover(corners), np.any([inside[box] for box in some], axis=0))
