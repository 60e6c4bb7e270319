"""Points in memory and on the disk."""

from pathlib import Path

import numpy as np
import pytest

from terrazzo.scene.polygons import point_store
from terrazzo.scene.polygons.point_store import PointStore


@pytest.mark.parametrize("capacity", [1, 3, 10, 1000])
def test_pieces_come_back_whatever_fits_in_memory(
    capacity: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_store, "_GAP", 2)
    monkeypatch.setattr(point_store, "_AT_ONCE", 4)
    draw = np.random.default_rng(0)
    store = PointStore(tmp_path, memory_points=capacity)
    pieces = [draw.integers(0, 2**31 - 1, (length, 2)).astype(np.int32) for length in (3, 0, 7, 1, 12, 2, 5)]
    begins = np.array([store.append(piece) for piece in pieces])
    assert len(store) == 30
    assert store.spilled_points >= 30 - capacity
    order = np.array([4, 0, 6, 1, 3, 4])
    found = store.read(begins[order], np.array([len(pieces[number]) for number in order]))
    np.testing.assert_array_equal(found, np.concatenate([pieces[number] for number in order]))
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_spilled_that_fits(tmp_path: Path) -> None:
    store = PointStore(tmp_path, memory_points=100)
    store.append(np.zeros((100, 2), dtype=np.int32))
    assert store.spilled_points == 0
    store.append(np.zeros((1, 2), dtype=np.int32))
    assert store.spilled_points == 100
    store.close()
