"""Where windows contradict each other: counts, map and worst places from known agreements."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene.assemble import Seam
from terrazzo.scene.disagreement import measure_disagreement
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.strip_file import StripFigures, StripRecord

Plan = Callable[..., ScenePlan]


def record(strip: int, *agreements: tuple[int, int, str, int, int]) -> StripRecord:
    figures = StripFigures(agreements=agreements)
    return StripRecord(strip=strip, key="", file="", size=0, blocks=(), figures=figures)


def test_each_fade_counts_for_both_of_its_windows(make_plan: Plan) -> None:
    plan = make_plan((30, 44), strip_pixels=14)
    assert (len(plan.rows), len(plan.columns)) == (2, 3)
    records = {0: record(0, (0, 1, "left", 10, 32), (0, 2, "left", 0, 32)), 1: record(1, (1, 1, "left", 2, 32))}
    seams = [Seam(1, 0, 8, 28), Seam(1, 1, 0, 28), Seam(1, 2, 0, 0)]
    found = measure_disagreement(plan, records, seams)
    assert (found.differing, found.compared) == (20, 152)
    assert found.share == pytest.approx(20 / 152)
    assert found.windows_a_cell == 1
    assert found.map is not None
    expected = [[18 / 60, 10 / 92, 0], [10 / 60, 2 / 60, np.nan]]
    np.testing.assert_allclose(found.map.values, expected, rtol=1e-3)


def test_worst_places_come_first_and_say_where(make_plan: Plan) -> None:
    grid = Grid(CRS.from_epsg(32612), Affine(2, 0, 1000, 0, -2, 5000), 30, 44)
    plan = make_plan((30, 44), strip_pixels=100, grid=grid)
    few = (1, 2, "above", 3, 3)
    found = measure_disagreement(
        plan, {0: record(0, (0, 1, "left", 8, 32), (1, 1, "above", 14, 28), (0, 2, "left", 0, 32), few)}, []
    )
    assert [(one.side, one.share, one.compared) for one in found.worst] == [("above", 0.5, 28), ("left", 0.25, 32)]
    above, left = found.worst
    assert (above.y, left.x) == (15, 15)
    assert plan.columns.used(1).start <= above.x < plan.columns.used(1).stop
    assert left.place == (1000 + 2 * (left.x + 0.5), 5000 - 2 * (left.y + 0.5))


def test_a_border_that_is_not_told_apart_is_spread_over_its_windows(make_plan: Plan) -> None:
    plan = make_plan((30, 30), strip_pixels=14)
    found = measure_disagreement(plan, {0: record(0), 1: record(1)}, [Seam(1, None, 15, 60)])
    assert found.map is not None
    np.testing.assert_allclose(found.map.values, 0.25)
    assert found.worst == ()
    assert found.share == 0.25


def test_many_windows_share_a_cell(make_plan: Plan) -> None:
    plan = make_plan((16 + 14 * 199, 30), strip_pixels=10**6)
    agreements = [(row, 1, "left", row % 2, 2) for row in range(200)]
    found = measure_disagreement(plan, {0: record(0, *agreements)}, [])
    assert found.windows_a_cell == 4
    assert found.map is not None
    assert found.map.values.shape == (50, 1)
    np.testing.assert_allclose(found.map.values, 0.25)
    assert len(found.worst) == 10


def test_without_fades_there_is_nothing_to_say(make_plan: Plan) -> None:
    found = measure_disagreement(make_plan((10, 10)), {0: record(0)}, [])
    assert (found.share, found.map, found.worst) == (None, None, ())
    nothing = measure_disagreement(make_plan((30, 16)), {0: record(0, (1, 0, "above", 0, 0))}, [])
    assert (nothing.share, nothing.map, nothing.worst) == (None, None, ())


def test_scenes_without_a_system_have_pixels_only(make_plan: Plan) -> None:
    plan = make_plan((30, 30), strip_pixels=100)
    plan = dataclasses.replace(plan, grid=Grid(None, Affine.identity(), 30, 30))
    (worst,) = measure_disagreement(plan, {0: record(0, (0, 1, "left", 1, 32))}, []).worst
    assert worst.place is None
