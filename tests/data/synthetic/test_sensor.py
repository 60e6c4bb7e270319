import numpy as np
import pytest

from terrazzo.data.synthetic.sensor import NODATA, SCALE, draw_labels, record, swath


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_numbers_are_reflectance_through_haze():
    numbers = record(np.full((4, 80, 80), 0.3, dtype=np.float32), generator())
    assert numbers.dtype == np.uint16
    seen = numbers.mean(axis=(1, 2)) * SCALE
    assert (np.abs(seen - 0.3) < 0.06).all()
    assert seen[2] > seen[3]


def test_haze_brightens_dark_ground_most_in_blue():
    numbers = record(np.zeros((4, 80, 80), dtype=np.float32), generator()).mean(axis=(1, 2))
    assert numbers[2] == numbers.max()
    assert numbers[3] == numbers.min()
    assert numbers.min() > 10


def test_no_measured_pixel_looks_like_nodata():
    numbers = record(np.zeros((4, 60, 60), dtype=np.float32), generator())
    assert (numbers != NODATA).all()
    blinding = record(np.full((4, 9, 9), 50.0, dtype=np.float32), generator())
    assert blinding.max() == 65535


def test_noise_is_small_and_grows_with_light():
    dark, bright = (record(np.full((4, 90, 90), value, dtype=np.float32), generator()) for value in (0.02, 0.5))
    jumps = [np.abs(np.diff(part[0].astype(int), axis=1)).mean() * SCALE for part in (dark, bright)]
    assert 0.004 < jumps[0] < jumps[1] < 0.03


def test_optics_blur_an_edge():
    ground = np.zeros((4, 40, 40), dtype=np.float32)
    ground[:, :, 20:] = 0.6
    profile = record(ground, generator())[0].mean(axis=0)
    assert profile[18] < profile[19] < profile[20] < profile[21]
    assert profile[19] - profile[15] > 300


def test_the_swath_misses_one_corner():
    seen = swath((300, 400), generator())
    assert 0.90 < seen.mean() < 0.98
    assert not seen[0, -1]
    assert seen[0, 0]
    assert seen[-1, 0]
    assert seen[-1, -1]
    assert (np.diff(seen.astype(int), axis=1) <= 0).all()


def test_labels_wander_at_borders_and_nowhere_else():
    truth = np.zeros((200, 200), dtype=np.uint8)
    truth[:, 100:] = 3
    drawn = draw_labels(truth, generator())
    wrong = drawn != truth
    assert wrong.any()
    assert not wrong[:, :96].any()
    assert not wrong[:, 104:].any()
    assert abs(int(drawn.sum()) - int(truth.sum())) < 0.005 * truth.sum()


def test_a_larger_error_moves_borders_further():
    truth = (np.indices((150, 150)).sum(axis=0) // 20 % 3).astype(np.uint8)
    shares = [(draw_labels(truth, generator(), error=error) != truth).mean() for error in (0.0, 0.4, 1.5)]
    assert shares[0] == 0
    assert shares[0] < shares[1] < shares[2]


def test_drawing_invents_no_class():
    truth = generator().choice(np.array([0, 5], dtype=np.uint8), (50, 50))
    assert set(np.unique(draw_labels(truth, generator()))) == {0, 5}


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_small_scenes(shape):
    assert record(np.full((4, *shape), 0.2, dtype=np.float32), generator()).shape == (4, *shape)
    assert swath(shape, generator()).shape == shape
    assert draw_labels(np.ones(shape, dtype=np.uint8), generator()).tolist() == np.ones(shape).tolist()
