"""Areas with intervals: the published example, samples of known populations, and what cannot be estimated."""

import numpy as np
import pytest

from terrazzo.calibration.areas import AreaEstimates, estimate_areas
from terrazzo.errors import ConfigError, DataError

# Olofsson et al. 2014, table 8: deforestation, forest gain, stable forest, stable non-forest; pixels of 30 m.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
HECTARES = PIXELS * 0.09


def published() -> AreaEstimates:
    return estimate_areas(COUNTS, HECTARES, pixels=PIXELS)


def test_the_published_error_matrix() -> None:
    """Table 9 of the paper, to its four decimals."""
    expected = [
        [0.0176, 0, 0.0013, 0.0011],
        [0, 0.0110, 0.0016, 0.0024],
        [0.0019, 0, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]
    np.testing.assert_array_equal(published().shares.round(4), expected)
    np.testing.assert_array_equal(published().shares.sum(axis=0).round(3), [0.024, 0.013, 0.318, 0.646])


def test_the_published_areas_and_their_intervals() -> None:
    found = published().areas
    np.testing.assert_array_equal(found.value.round(), [21_158, 11_686, 285_770, 581_386])
    # 235,086 pixels with a standard error of 34,907, so plus or minus 68,418.
    assert round(found.value[0] / 0.09) == 235_086
    assert round(found.error[0] / 0.09) == 34_907
    assert round(1.96 * found.error[0] / 0.09) == 68_418
    np.testing.assert_array_equal(found.margin.round(), [6_158, 3_756, 15_510, 16_281])
    np.testing.assert_allclose(found.high - found.low, 2 * found.margin)


def test_the_published_accuracies() -> None:
    found = published()
    np.testing.assert_array_equal(found.user.value.round(2), [0.88, 0.73, 0.93, 0.96])
    np.testing.assert_array_equal(found.user.margin.round(2), [0.07, 0.10, 0.04, 0.02])
    np.testing.assert_array_equal(found.producer.value.round(2), [0.75, 0.85, 0.93, 0.96])
    np.testing.assert_allclose(found.producer.margin, [0.2133, 0.2544, 0.0343, 0.0184], atol=5e-5)
    assert found.overall.value.round(2) == 0.95
    assert found.overall.margin.round(2) == 0.02


def test_an_earlier_published_example() -> None:
    """Olofsson et al. 2013, example 1: 45,112 pixels of deforestation, give or take 21,072."""
    counts = np.array([[97, 0, 3], [3, 279, 18], [2, 1, 97]])
    pixels = np.array([22_353, 1_122_543, 610_228])
    found = estimate_areas(counts, pixels.astype(np.float64))
    assert found.areas.value[0] == pytest.approx(45_112.4, abs=0.1)
    assert found.areas.margin[0] == pytest.approx(21_072.4, abs=0.1)
    np.testing.assert_allclose(found.producer.value, [0.4806308, 0.9941887, 0.8969259], atol=1e-6)
    assert found.overall.value[0] == pytest.approx(0.9444, abs=5e-5)


def test_areas_add_up_and_do_not_depend_on_the_unit() -> None:
    in_pixels = estimate_areas(COUNTS, PIXELS.astype(np.float64))
    assert published().areas.value.sum() == pytest.approx(HECTARES.sum())
    np.testing.assert_allclose(in_pixels.areas.margin * 0.09, published().areas.margin)
    np.testing.assert_allclose(in_pixels.producer.margin, published().producer.margin)


def test_variances_are_those_of_the_definition() -> None:
    """Standard errors are the spread of the estimates; of so many points that accuracies are close to linear."""
    generator = np.random.default_rng(3)
    rates = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    sizes = 10 * COUNTS.sum(axis=1)
    drawn = [
        estimate_areas(
            np.stack([generator.multinomial(n, p) for n, p in zip(sizes, rates, strict=True)]).astype(np.int64),
            HECTARES,
        )
        for _ in range(2_000)
    ]
    for name in ("areas", "user", "producer", "overall"):
        spread = np.std([getattr(one, name).value for one in drawn], axis=0)
        told = np.sqrt(np.mean([getattr(one, name).error ** 2 for one in drawn], axis=0))
        np.testing.assert_allclose(told, spread, rtol=0.07, err_msg=name)


def test_intervals_cover_and_estimates_are_unbiased() -> None:
    """2,000 samples of a population of 60,000 pixels whose truth is known."""
    generator = np.random.default_rng(11)
    pixels = np.array([6_000, 18_000, 36_000])
    rates = np.array([[0.75, 0.15, 0.10], [0.05, 0.85, 0.10], [0.04, 0.06, 0.90]])
    truth = (rates * pixels[:, None]).round().astype(np.int64)
    areas, sizes = pixels * 2.5, (100, 150, 250)
    real = truth.sum(axis=0) * 2.5
    inside, values, accuracy_inside = np.zeros(3), np.zeros(3), 0
    draws = 2_000
    for _ in range(draws):
        counts = np.stack([generator.multivariate_hypergeometric(row, n) for row, n in zip(truth, sizes, strict=True)])
        found = estimate_areas(counts, areas)
        values += found.areas.value / draws
        inside += (found.areas.low <= real) & (real <= found.areas.high)
        accuracy_inside += bool(found.overall.low[0] <= np.trace(truth) / 60_000 <= found.overall.high[0])
    # Four times the Monte-Carlo error of the mean, from one estimate's standard error.
    np.testing.assert_allclose(values, real, atol=4 * found.areas.error.max() / np.sqrt(draws))
    assert ((inside / draws > 0.93) & (inside / draws < 0.97)).all(), inside / draws
    assert 0.93 < accuracy_inside / draws < 0.97


def test_a_higher_level_is_wider() -> None:
    narrow, wide = estimate_areas(COUNTS, HECTARES, level=0.9), estimate_areas(COUNTS, HECTARES, level=0.99)
    np.testing.assert_allclose(wide.areas.margin / narrow.areas.margin, 2.575829 / 1.644854, rtol=1e-6)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.5])
def test_a_level_that_is_none(level: float) -> None:
    with pytest.raises(ConfigError, match="confidence level"):
        estimate_areas(COUNTS, HECTARES, level=level)


def test_a_class_that_is_never_mapped_has_an_area() -> None:
    counts = np.array([[40, 5, 5], [2, 48, 0], [0, 0, 0]])
    found = estimate_areas(counts, np.array([100.0, 300.0, 0.0]))
    assert found.areas.value[2] == pytest.approx(10)
    assert found.areas.error[2] > 0
    assert np.isnan(found.user.value[2])
    assert found.producer.value[2] == 0
    assert found.unsampled == ()


def test_a_class_that_is_never_found_has_none() -> None:
    found = estimate_areas(np.array([[0, 10], [0, 50]]), np.array([5.0, 95.0]))
    assert found.areas.value.tolist() == [0.0, 100.0]
    assert found.user.value[0] == 0
    assert np.isnan(found.producer.value[0])
    assert np.isnan(found.producer.low[0])


def test_one_point_defines_no_variance() -> None:
    found = estimate_areas(np.array([[1, 0], [10, 40]]), np.array([10.0, 90.0]))
    assert found.single == (0,)
    assert np.isnan(found.areas.error).all()
    assert np.isnan(found.overall.error).all()
    assert np.isnan(found.user.error[0])
    assert found.user.error[1] > 0
    assert found.areas.value.sum() == pytest.approx(100)


def test_a_stratum_looked_at_whole_is_certain() -> None:
    found = estimate_areas(
        np.array([[1, 0], [10, 40]]), np.array([10.0, 90.0]), pixels=np.array([1, 900], dtype=np.int64)
    )
    assert found.single == ()
    assert found.user.error[0] == 0
    alone = 0.9 * np.sqrt(0.2 * 0.8 / 49)
    assert found.areas.error[0] == pytest.approx(alone * 100)


def test_a_stratum_without_points_is_part_of_no_estimate() -> None:
    counts = np.array([[40, 10, 0], [5, 45, 0], [0, 0, 0]])
    found = estimate_areas(counts, np.array([100.0, 300.0, 50.0]))
    without = estimate_areas(counts[:2, :2], np.array([100.0, 300.0]))
    assert found.unsampled == (2,)
    assert found.total == 400
    np.testing.assert_allclose(found.areas.value[:2], without.areas.value)
    np.testing.assert_allclose(found.areas.margin[:2], without.areas.margin)
    assert found.mapped[2] == 50
    assert np.isnan([found.user.value[2], found.producer.value[2]]).all()


def test_intervals_end_where_nothing_is_possible() -> None:
    found = estimate_areas(np.array([[19, 1], [0, 20]]), np.array([50.0, 50.0]))
    assert found.producer.high.max() == 1
    rare = estimate_areas(np.array([[99, 1], [2, 1]]), np.array([99.0, 1.0]))
    assert rare.areas.low[1] == 0
    assert rare.areas.margin[1] > rare.areas.value[1]


def test_dependent_observations_count_as_their_units() -> None:
    """A million pixels of 30 images tell as much as 30 points."""
    points = np.array([[8, 2], [4, 16]])
    areas = np.array([100.0, 200.0])
    images = estimate_areas(points * 50_000, areas, units=30.0)
    np.testing.assert_allclose(images.areas.value, estimate_areas(points, areas).areas.value)
    expected = 300 * np.sqrt((1 / 3) ** 2 * 0.16 / 10 + (2 / 3) ** 2 * 0.16 / 20)
    np.testing.assert_allclose(images.areas.error, expected)
    # A single image still has an interval, as wide as it must be.
    assert estimate_areas(points * 50_000, areas, units=1.0).areas.error[0] > 100


def test_one_class() -> None:
    found = estimate_areas(np.array([[7]]), np.array([3.0]))
    assert found.areas.value.tolist() == [3.0]
    assert found.areas.error.tolist() == [0.0]
    assert found.overall.value.tolist() == [1.0]


def test_nothing_to_estimate_from() -> None:
    with pytest.raises(DataError, match="No point has a reference class"):
        estimate_areas(np.zeros((2, 2), dtype=np.int64), np.array([1.0, 1.0]))


def test_points_in_a_class_without_area() -> None:
    with pytest.raises(DataError, match="Map class 1 has 3 points"):
        estimate_areas(np.array([[5, 0], [0, 3]]), np.array([1.0, 0.0]))
