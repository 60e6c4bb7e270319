"""Sums that no order changes, and calibration errors from bins."""

import math

import numpy as np
import pytest
import torch

from terrazzo.calibration.calibration_error import adaptive_error, binned_error
from terrazzo.calibration.exact_sum import ExactSums, fixed_point


class TestExactSums:
    def test_any_order_gives_the_same_bits(self) -> None:
        values = torch.rand(2000, generator=torch.Generator().manual_seed(0)) * 90
        cells = torch.arange(2000) % 7
        whole = ExactSums.zero(7)
        whole.index_add_(cells, values)
        order = torch.randperm(2000, generator=torch.Generator().manual_seed(1))
        pieces = ExactSums.zero(7)
        for part in order.split(311):
            piece = ExactSums.zero(7)
            piece.index_add_(cells[part], values[part])
            pieces = piece + pieces
        assert pieces == whole
        wanted = [math.fsum(values[cells == cell].double().tolist()) for cell in range(7)]
        assert whole.values().tolist() == pytest.approx(wanted, abs=2000 / 7 * 2.0**-33)
        assert float(whole.sum().values()) == pytest.approx(math.fsum(wanted), abs=1e-6)

    def test_a_single_lost_multiple_shows(self) -> None:
        one, other = (ExactSums.of(fixed_point(torch.tensor([value]))) for value in (0.25, 0.25 + 2.0**-24))
        assert one != other
        assert float((other + other).values()) == 0.5 + 2.0**-23

    def test_sums_beyond_what_multiples_alone_could_hold(self) -> None:
        found = ExactSums.of(fixed_point(torch.tensor([0.75])))
        for _ in range(50):
            found = found + found
        assert float(found.values()) == 0.75 * 2.0**50
        assert int(found.whole) == 3 * 2**48

    def test_sums_below_nothing(self) -> None:
        found = ExactSums.of(fixed_point(torch.tensor([-0.25])))
        assert float(found.values()) == -0.25
        assert float((found + ExactSums.of(fixed_point(torch.tensor([1.0])))).values()) == 0.75


class TestErrors:
    def test_groups_without_pixels_have_no_error(self) -> None:
        right, stated = np.zeros((2, 3)), np.array([[0.0, 0.0, 0.0], [0.5, 1.0, 0.0]])
        found = binned_error(right, stated, np.array([0.0, 3.0]))
        assert np.isnan(found[0])
        assert found[1] == pytest.approx(0.5)

    def test_gaps_of_one_bin_cancel_and_those_of_two_do_not(self) -> None:
        assert binned_error(np.array([1.0]), np.array([1.0]), np.array(2.0)) == 0
        assert binned_error(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array(2.0)) == 0.5

    def test_bins_of_equal_mass_cut_through_fine_bins(self) -> None:
        # 3 pixels in two bins: each holds half of the middle one.
        pixels, right = np.array([1, 1, 1, 0]), np.array([0, 1, 1, 0])
        wanted = (abs(0.5 - (0.125 + 0.375 / 2)) + abs(1.5 - (0.375 / 2 + 0.625))) / 3
        assert adaptive_error(pixels, right, bins=2) == pytest.approx(wanted)

    def test_no_pixels(self) -> None:
        assert math.isnan(adaptive_error(np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)))

    def test_fewer_pixels_than_bins(self) -> None:
        pixels = np.array([0, 0, 0, 1])
        assert adaptive_error(pixels, pixels) == pytest.approx(0.125)
