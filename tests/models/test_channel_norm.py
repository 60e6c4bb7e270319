"""Norms over the channels of each cell."""

import pytest
import torch

from terrazzo.models.channel_norm import ChannelNorm


@pytest.fixture
def image() -> torch.Tensor:
    return 3 * torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(0)) + 1


def test_rms_divides_by_the_root_mean_square_of_each_cell(image):
    norm = ChannelNorm(8, "rms", learned=False)
    assert not list(norm.parameters())
    torch.testing.assert_close(norm(image), image / (image.square().mean(dim=1, keepdim=True) + 1e-5).sqrt())


def test_layer_takes_off_the_mean_first(image):
    mean, variance = image.mean(dim=1, keepdim=True), image.var(dim=1, keepdim=True, correction=0)
    torch.testing.assert_close(ChannelNorm(8, "layer", learned=False)(image), (image - mean) / (variance + 1e-5).sqrt())


@pytest.mark.parametrize(("kind", "names"), [("rms", {"weight"}), ("layer", {"weight", "bias"})])
def test_a_learned_norm_has_a_gain_a_channel(image, kind, names):
    norm = ChannelNorm(8, kind)
    assert {name for name, _ in norm.named_parameters()} == names
    torch.testing.assert_close(norm(image), ChannelNorm(8, kind, learned=False)(image))
    torch.nn.init.constant_(norm.weight, 2.0)
    torch.testing.assert_close(norm(image), 2 * ChannelNorm(8, kind, learned=False)(image))


@pytest.mark.parametrize("kind", ["rms", "layer"])
def test_a_cell_depends_on_no_other_cell_image_or_mode(image, kind):
    norm = ChannelNorm(8, kind).train()
    part = image[1:, :, 2:3, 4:5]
    torch.testing.assert_close(norm(part), norm(image)[1:, :, 2:3, 4:5], rtol=1e-6, atol=1e-6)


def test_the_type_stays_and_sums_run_in_float32(image):
    narrow = (1000 * image).half()
    answer = ChannelNorm(8, "rms", learned=False)(narrow)
    assert answer.dtype == torch.float16
    # 1000 squared is beyond float16.
    assert answer.isfinite().all()
