"""A sample whose every pixel says where it came from."""

from collections.abc import Callable

import pytest
import torch

from terrazzo.data.sample import Sample
from terrazzo.geo.grid import Window

MakeSample = Callable[..., Sample]


@pytest.fixture
def located() -> MakeSample:
    """Make samples whose target numbers the pixels and whose bands 0 and 1 hold row + 1 and column + 1.

    Interpolating a coordinate gives the place that was read, so that image and target can be compared pixel by pixel.
    Invalid pixels keep their number in the target, so that the mask's geometry can be compared too.
    """

    def make(height: int = 17, width: int = 17, *, bands: int = 3, invalid: float = 0.0, seed: int = 0) -> Sample:
        generator = torch.Generator().manual_seed(seed)
        valid = torch.rand(height, width, generator=generator) >= invalid
        rows = torch.arange(1.0, height + 1)[:, None].expand(height, width)
        columns = torch.arange(1.0, width + 1)[None, :].expand(height, width)
        noise = [torch.rand(height, width, generator=generator) + 0.5 for _ in range(max(bands - 2, 0))]
        image = torch.stack([rows, columns, *noise][:bands]) * valid
        target = torch.arange(height * width).reshape(height, width)
        return Sample(image, target, valid, 3, Window(0, 0, height, width))

    return make
