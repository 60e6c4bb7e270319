"""Rows on the disk."""

from pathlib import Path

import numpy as np
import pytest

from terrazzo.errors import StorageError
from terrazzo.scene.polygons.row_store import RowStore


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rows_come_back_as_often_as_they_are_read(dtype: type, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 200, (20, 9)).astype(dtype)
    store = RowStore(tmp_path)
    for top in (0, 3, 11):
        store.append(values[top : {0: 3, 3: 11, 11: 20}[top]])
    for _ in range(2):
        found = np.concatenate(list(store.read()))
        np.testing.assert_array_equal(found, values)
        assert found.dtype == dtype
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told(tmp_path: Path) -> None:
    store = RowStore(tmp_path)
    store.append(np.arange(100, dtype=np.uint8).reshape(10, 10))
    store._file.seek(3)
    store._file.write(b"\0\0\0\0\0\0")
    with pytest.raises(StorageError, match="does not hold what was written"):
        list(store.read())
    store.close()
