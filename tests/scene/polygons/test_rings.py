"""Some pieces of several, with their points."""

import numpy as np

from terrazzo.scene.polygons.rings import Pieces, selected


def test_points_go_with_their_pieces() -> None:
    numbers = np.arange(4)
    points = np.repeat(np.array([[0, 0], [1, 1], [2, 2], [3, 3]], dtype=np.int32), [2, 0, 3, 1], axis=0)
    pieces = Pieces(numbers, numbers + 10, numbers + 20, numbers + 30, np.array([2, 0, 3, 1]), points)
    found = selected(pieces, np.array([False, True, True, False]))
    assert found.start.tolist() == [1, 2]
    assert found.end.tolist() == [11, 12]
    assert found.area.tolist() == [21, 22]
    assert found.signed.tolist() == [31, 32]
    assert found.counts.tolist() == [0, 3]
    assert found.points.tolist() == [[2, 2]] * 3
