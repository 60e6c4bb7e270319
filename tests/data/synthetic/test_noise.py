import numpy as np
import pytest

from terrazzo.data.synthetic.noise import fractal_noise, smooth_noise


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("scale", [1.0, 7.3, 60.0])
def test_variance_is_one_at_every_pixel(scale):
    fields = np.stack([smooth_noise((24, 31), generator(seed), scale=scale) for seed in range(600)])
    assert np.abs(fields.mean(axis=0)).max() < 0.25
    assert np.abs(fields.std(axis=0) - 1.0).max() < 0.2


def test_neighbours_are_alike_within_the_scale_and_strangers_beyond():
    field = smooth_noise((200, 200), generator(), scale=10.0)
    near = np.corrcoef(field[:, :-1].ravel(), field[:, 1:].ravel())[0, 1]
    far = np.corrcoef(field[:, :-60].ravel(), field[:, 60:].ravel())[0, 1]
    assert near > 0.97
    assert abs(far) < 0.3


def test_a_larger_scale_is_smoother():
    rough = smooth_noise((120, 120), generator(), scale=3.0)
    smooth = smooth_noise((120, 120), generator(), scale=30.0)
    assert np.abs(np.diff(smooth)).mean() < 0.3 * np.abs(np.diff(rough)).mean()


def test_same_seed_same_field_and_another_seed_another():
    np.testing.assert_array_equal(*(smooth_noise((9, 9), generator(5), scale=4.0) for _ in range(2)))
    assert (smooth_noise((9, 9), generator(5), scale=4.0) != smooth_noise((9, 9), generator(6), scale=4.0)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1)])
def test_any_shape(shape):
    for field in (smooth_noise(shape, generator(), scale=8.0), fractal_noise(shape, generator(), scale=8.0)):
        assert field.shape == shape
        assert field.dtype == np.float32
        assert np.isfinite(field).all()


def test_octaves_add_detail_and_keep_the_variance():
    fields = [fractal_noise((64, 64), generator(seed), scale=30.0, octaves=4) for seed in range(60)]
    plain = [fractal_noise((64, 64), generator(seed), scale=30.0, octaves=1) for seed in range(60)]
    assert 0.8 < np.stack(fields).std() < 1.2
    assert np.abs(np.diff(fields)).mean() > 1.6 * np.abs(np.diff(plain)).mean()
