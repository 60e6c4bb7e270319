"""Interpolation between corners: torch's own answer, and its gradient by products of matrices."""

import pytest
import torch
from torch.nn import functional

from terrazzo.models.interpolation import CornerInterpolation, between_corners

SIZES = [
    ((1, 1), (4, 4)),
    ((1, 5), (2, 10)),
    ((4, 6), (8, 12)),
    ((16, 9), (64, 36)),
    ((7, 5), (3, 2)),
    ((3, 3), (1, 1)),
]


def _native(image, height, width):
    return functional.interpolate(image, size=(height, width), mode="bilinear", align_corners=True)


@pytest.mark.parametrize(("size", "resized"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answer_and_gradient_are_torchs(size, resized, dtype):
    image = torch.randn((2, 3, *size), dtype=dtype, requires_grad=True)
    ours, theirs = CornerInterpolation.apply(image, *resized), _native(image, *resized)
    assert torch.equal(ours, theirs)
    weight = torch.randn(ours.shape, dtype=dtype)
    mine, other = (torch.autograd.grad((one * weight).sum(), image)[0] for one in (ours, theirs))
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def test_corners_stay_corners():
    image = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    larger = between_corners(image, height=3, width=3)
    assert larger[0, 0].tolist() == [[1, 2, 3], [3, 4, 5], [5, 6, 7]]


def test_half_precision_sums_its_gradient_in_full():
    image = torch.zeros((1, 1, 1, 1), dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        CornerInterpolation.apply(image, 20, 20).sum().backward()
    assert image.grad.dtype == torch.bfloat16
    assert image.grad.item() == 400


def test_the_function_can_be_exported():
    class Larger(torch.nn.Module):
        def forward(self, image):
            return CornerInterpolation.apply(image, 6, 8)

    image = torch.randn(1, 2, 3, 4)
    exported = torch.export.export(Larger(), (image,)).module()
    assert torch.equal(exported(image), Larger()(image))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_repeats_its_gradient():
    torch.use_deterministic_algorithms(True)
    try:
        image = torch.randn(2, 19, 64, 64, device="cuda", requires_grad=True)
        weight = torch.randn(2, 19, 256, 256, device="cuda")
        gradients = [
            torch.autograd.grad((between_corners(image, height=256, width=256) * weight).sum(), image)[0]
            for _ in range(3)
        ]
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(one, gradients[0]) for one in gradients)
