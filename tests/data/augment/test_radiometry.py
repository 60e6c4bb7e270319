import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from terrazzo.data.augment.radiometry import BandDropout, Blur, Brightness, Contrast, Gamma, Noise
from terrazzo.data.augment.transform import Transform
from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample_of(image: torch.Tensor, valid: torch.Tensor | None = None) -> Sample:
    height, width = image.shape[1:]
    valid = torch.ones(height, width, dtype=torch.bool) if valid is None else valid
    return Sample(image * valid, torch.zeros(height, width, dtype=torch.int64), valid, 0, Window(0, 0, height, width))


def normal(bands: int = 3, size: int = 24, *, invalid: float = 0.0) -> Sample:
    draw = generator(11)
    image = torch.randn(bands, size, size, generator=draw)
    return sample_of(image, torch.rand(size, size, generator=draw) >= invalid)


def answers(record: Transform, sample: Sample, count: int = 60) -> list[Sample]:
    return [record(sample, generator(seed), 255) for seed in range(count)]


def test_brightness_adds_one_value_to_all_bands_within_its_range():
    sample = normal(invalid=0.2)
    shifts = []
    for answer in answers(Brightness(probability=1.0, shift=(-0.3, 0.1)), sample):
        difference = (answer.image - sample.image)[:, sample.valid]
        assert torch.allclose(difference, difference[0, 0].expand_as(difference), atol=1e-5)
        assert (answer.image[:, ~sample.valid] == 0).all()
        shifts.append(float(difference[0, 0]))
    assert -0.3 - 1e-5 <= min(shifts) < -0.25
    assert 0.05 < max(shifts) <= 0.1 + 1e-5


def test_contrast_multiplies_the_distance_from_the_training_mean_within_its_range():
    sample = sample_of(torch.full((2, 4, 4), 2.0))
    factors = [float(answer.image[0, 0, 0]) / 2 for answer in answers(Contrast(probability=1, factor=(0.5, 2)), sample)]
    assert 0.5 <= min(factors) < 0.6
    assert 1.7 < max(factors) <= 2.0
    zero = sample_of(torch.zeros(2, 4, 4))
    assert (Contrast(probability=1.0)(zero, generator(), 255).image == 0).all()


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_gamma_bends_the_span_of_three_deviations(gamma):
    values = torch.tensor([-3.0, -1.5, 0.0, 1.5, 3.0])
    answer = Gamma(probability=1.0, gamma=(gamma, gamma))(sample_of(values[None, None]), generator(), 255)
    expected = ((values + 3) / 6) ** gamma * 6 - 3
    assert torch.allclose(answer.image[0, 0], expected, atol=1e-5)
    assert answer.image.dtype == torch.float32


def test_gamma_keeps_the_order_of_values_and_extreme_ones_finite():
    values = torch.linspace(-9, 9, 101)[None, None]
    for answer in answers(Gamma(probability=1.0, gamma=(0.3, 3.0)), sample_of(values), 20):
        assert answer.image.isfinite().all()
        assert (answer.image[0, 0].diff() > -1e-6).all()
        assert answer.image[0, 0, 0] == pytest.approx(-9, abs=1e-4)
        assert answer.image[0, 0, -1] == pytest.approx(9, abs=1e-4)


def test_noise_has_the_deviation_asked_for_in_every_band():
    sample = sample_of(torch.zeros(5, 64, 64))
    answer = Noise(probability=1.0, std=(0.1, 0.1))(sample, generator(1), 255)
    assert torch.allclose(answer.image.std(dim=(1, 2)), torch.tensor(0.1), atol=0.006)
    assert answer.image.mean().abs() < 0.003
    correlation = np.corrcoef(answer.image.flatten(1).numpy())
    assert np.abs(correlation - np.eye(5)).max() < 0.07


def test_noise_is_a_function_of_the_seed():
    sample, record = normal(), Noise(probability=1.0)
    first, again, other = (record(sample, generator(seed), 255).image for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_noise_stays_out_of_invalid_pixels():
    sample = normal(invalid=0.5)
    assert (Noise(probability=1.0)(sample, generator(1), 255).image[:, ~sample.valid] == 0).all()


def test_a_negative_deviation_is_refused():
    with pytest.raises(ValidationError, match="at least 0"):
        Noise(std=(-0.1, 0.1))


@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.0])
def test_blur_is_the_gaussian_filter_over_valid_pixels(sigma):
    sample = normal(bands=2, invalid=0.2)
    answer = Blur(probability=1.0, sigma=(sigma, sigma))(sample, generator(), 255)
    weights = sample.valid.numpy().astype(np.float64)
    reach = max(round(3 * sigma), 1)

    def smooth(pixels: np.ndarray) -> np.ndarray:
        return gaussian_filter(pixels, sigma, mode="constant", radius=reach)

    for band in (0, 1):
        expected = smooth(sample.image[band].numpy().astype(np.float64)) / smooth(weights)
        assert np.allclose(answer.image[band][sample.valid], expected[sample.valid.numpy()], atol=1e-5)


def test_blur_keeps_a_constant_up_to_holes_and_edges():
    valid = torch.rand(15, 9, generator=generator(4)) > 0.4
    answer = Blur(probability=1.0, sigma=(2.0, 2.0))(sample_of(torch.full((3, 15, 9), 7.0), valid), generator(), 255)
    assert torch.allclose(answer.image[:, valid], torch.tensor(7.0), atol=1e-5)
    assert (answer.image[:, ~valid] == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 2)])
def test_blur_works_where_it_is_wider_than_the_sample(shape):
    sample = sample_of(torch.full((1, *shape), 2.0))
    assert torch.allclose(Blur(probability=1.0, sigma=(5.0, 5.0))(sample, generator(), 255).image, sample.image)


@pytest.mark.parametrize(("bands", "most"), [(2, 1), (5, 1), (5, 3), (3, 9)])
def test_band_dropout_drops_from_one_to_most_bands_and_never_all(bands, most):
    sample = sample_of(torch.ones(bands, 3, 3))
    counts, dropped = [], torch.zeros(bands)
    for answer in answers(BandDropout(probability=1.0, most=most), sample, 150):
        gone = (answer.image == 0).flatten(1).all(dim=1)
        assert ((answer.image == 1).flatten(1).all(dim=1) | gone).all()
        counts.append(int(gone.sum()))
        dropped += gone
    assert set(counts) == set(range(1, min(most, bands - 1) + 1))
    assert (dropped > 0).all()


def test_the_only_band_is_never_dropped():
    sample = sample_of(torch.ones(1, 3, 3))
    assert all(answer is sample for answer in answers(BandDropout(probability=1.0, most=2), sample, 10))
    with pytest.raises(ValidationError, match="most"):
        BandDropout(most=0)
