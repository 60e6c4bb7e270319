"""Rounds of the sieve until nothing is left to do."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import label

from terrazzo.scene.polygons.rounds import SieveRounds
from terrazzo.scene.polygons.sieve import Sieve


def sieved(values: np.ndarray, smallest: int, folder: Path, *, chunk: int, band_rows: int) -> tuple[np.ndarray, int]:
    rounds = SieveRounds(values.shape[1], smallest=smallest, ignore=255, band_rows=band_rows, folder=folder)
    for top in range(0, len(values), chunk):
        rounds.write(values[top : top + chunk])
    found = np.concatenate(list(rounds.finish()))
    rounds.close()
    return found, rounds.rounds


def smallest_area(values: np.ndarray) -> int:
    labels = [label(values == value)[0] for value in np.unique(values[values != 255])]
    return min(np.bincount(found.ravel())[1:].min() for found in labels)


@pytest.mark.parametrize("smallest", [2, 10, 40])
def test_no_small_area_is_left_of_noise(smallest: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (50, 60)).astype(np.uint8)
    found, rounds = sieved(values, smallest, tmp_path, chunk=7, band_rows=11)
    assert rounds > 1
    assert smallest_area(found) >= smallest
    for chunk, band_rows in ((1, 1), (50, 50), (13, 3)):
        other, again = sieved(values, smallest, tmp_path, chunk=chunk, band_rows=band_rows)
        np.testing.assert_array_equal(other, found)
        assert again == rounds


def test_what_is_large_enough_stays(tmp_path: Path) -> None:
    values = np.kron(np.random.default_rng(0).integers(0, 3, (6, 6)), np.ones((5, 5))).astype(np.uint8)
    found, rounds = sieved(values, 25, tmp_path, chunk=4, band_rows=3)
    np.testing.assert_array_equal(found, values)
    assert rounds == 1


def test_a_map_smaller_than_the_sieve_becomes_one_area(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4, (6, 7)).astype(np.uint8)
    found, _ = sieved(values, 1000, tmp_path, chunk=2, band_rows=2)
    assert len(np.unique(found)) == 1


def test_a_round_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = SieveRounds(9, smallest=50, ignore=255, band_rows=2, folder=tmp_path)
    rounds.write(np.random.default_rng(0).integers(0, 4, (9, 9)).astype(np.uint8))

    def fail(*_: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(Sieve, "finish", fail)
        with pytest.raises(OSError, match="the disk is gone"):
            next(rounds.finish())
    rounds.close()
    assert list(tmp_path.iterdir()) == []
