import numpy as np
import pytest

from terrazzo.data.synthetic.fields import LARGEST_SIDE, SMALLEST_SIDE, Parcels, cut_parcels, paint_fields
from terrazzo.data.synthetic.terrain import FIELD, Canvas


@pytest.fixture(scope="module")
def parcels() -> Parcels:
    return cut_parcels((500, 560), np.random.default_rng(1))


def test_every_pixel_belongs_to_one_of_the_parcels(parcels):
    assert parcels.number.shape == (500, 560)
    assert sorted(np.unique(parcels.number)) == list(range(parcels.count))


def test_parcels_have_the_size_of_fields(parcels):
    pixels = np.bincount(parcels.number.ravel())
    assert (pixels <= (2 * LARGEST_SIDE) ** 2).all()
    assert np.median(pixels) > (0.5 * SMALLEST_SIDE) ** 2
    assert 500 * 560 / LARGEST_SIDE**2 / 4 < parcels.count < 500 * 560 / (0.4 * SMALLEST_SIDE) ** 2


def test_the_border_is_where_numbers_change(parcels):
    changes = parcels.number[:, 1:] != parcels.number[:, :-1]
    assert (parcels.border[:, 1:][changes] < 2.5).all()


def test_roads_run_along_borders_only(parcels):
    assert (parcels.road >= parcels.border).all()
    assert (parcels.road < 5).any()


def test_tiny_land_is_one_parcel():
    parcels = cut_parcels((1, 1), np.random.default_rng(0))
    assert parcels.count == 1
    assert parcels.number.tolist() == [[0]]


def test_fields_are_painted_in_physical_reflectance(parcels):
    canvas = Canvas.empty(500, 560)
    paint_fields(canvas, parcels, np.random.default_rng(2))
    assert (canvas.label == FIELD).all()
    assert canvas.reflectance.min() >= 0
    assert canvas.reflectance.max() < 1


def test_parcels_differ_more_between_than_within(parcels):
    canvas = Canvas.empty(500, 560)
    paint_fields(canvas, parcels, np.random.default_rng(2))
    means = [canvas.reflectance[0][parcels.number == index].mean() for index in range(parcels.count)]
    assert np.std(means) > 0.04


def test_rows_repeat_at_the_distance_of_a_machine(parcels):
    """The strongest wave inside a parcel has a period of 4 to 10 pixels."""
    canvas = Canvas.empty(500, 560)
    paint_fields(canvas, parcels, np.random.default_rng(2))
    found = 0
    for y in range(0, 436, 64):
        for x in range(0, 496, 64):
            if len(np.unique(parcels.number[y : y + 64, x : x + 64])) == 1:
                patch = canvas.reflectance[0, y : y + 64, x : x + 64]
                power = np.abs(np.fft.fft2((patch - patch.mean()) * np.outer(np.hanning(64), np.hanning(64))))
                power[:4, :4] = power[-3:, :4] = power[:4, -3:] = power[-3:, -3:] = 0
                row, column = np.unravel_index(power.argmax(), power.shape)
                frequency = np.hypot(*(np.fft.fftfreq(64)[index] for index in (row, column)))
                assert 4 < 1 / frequency < 14
                found += 1
    assert found > 0
