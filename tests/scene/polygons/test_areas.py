"""Areas followed from band to band, against labels of the whole map."""

import numpy as np
import pytest
from scipy.ndimage import label

from terrazzo.scene.polygons.areas import follow_areas, no_areas
from terrazzo.scene.polygons.runs import runs_of

NOTHING = 9


@pytest.mark.parametrize("height", [1, 2, 5, 40])
def test_areas_are_those_of_the_whole_map(height: int) -> None:
    values = np.random.default_rng(0).integers(0, 2, (40, 12)).astype(np.uint8)
    before, above = no_areas(1), np.full((1, 12), NOTHING, np.uint8)
    found = []
    for top in range(0, 41, height):
        rows = values[top : top + height] if top < 40 else np.full((1, 12), NOTHING, np.uint8)
        band = np.concatenate([above, rows])
        runs = runs_of(band)
        metres = 0.5 * runs.lengths[len(before.of_run) :]
        areas = follow_areas(before, band, runs, top=top, square_metres=metres)
        done = areas.still_open < 0
        found += list(zip(areas.values[done], areas.pixels[done], areas.last_row[done], strict=True))
        known = areas.values != NOTHING
        np.testing.assert_array_equal(areas.square_metres[known & (areas.pixels > 0)], areas.pixels[known] * 0.5)
        assert len(areas.moved) == len(before.pixels)
        before, above = areas.after, rows[-1:]
    expected = []
    for value in (0, 1):
        labels, count = label(values == value)
        numbers = range(1, count + 1)
        expected += [(value, (labels == one).sum(), np.nonzero(labels == one)[0].max()) for one in numbers]
    if height == 40:
        # All of the map in one band: what touches its last row is complete after the row below.
        assert len(before.pixels) <= 1
    mine = [(int(value), int(pixels), int(row)) for value, pixels, row in found if value != NOTHING]
    assert sorted(mine) == sorted((int(value), int(pixels), int(row)) for value, pixels, row in expected)
