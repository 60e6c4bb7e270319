"""The expanding half of a U-Net: from coarse maps to fine ones, with a skip joined in at each stage."""

from collections.abc import Sequence

import torch
from jaxtyping import Float

from terrazzo.models.padding import crop

__all__ = ["UNetDecoder"]


class UNetDecoder(torch.nn.Module):
    """Stages of a transposed convolution of 2 x 2, a skip beside it, and two 3 x 3 convolutions.

    Source: Ronneberger et al., U-Net, arXiv 1505.04597, with norm and leaky ReLU as in Isensee et al., nnU-Net,
    arXiv 1809.10486.
    Differs: batch norm, nnU-Net takes instance norm, which is undefined for a map of one cell and would treat the same
    ground differently in two windows over it.

    Args:
        skips: Channels of each map given, finest first; 0 where a stage has no skip; the last is where decoding starts.
        widths: Channels of each stage, finest first: one fewer than maps.
    """

    def __init__(self, skips: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        below = (*widths[1:], skips[-1])
        self.enlargement = torch.nn.ModuleList(
            torch.nn.ConvTranspose2d(coarse, fine, 2, stride=2) for coarse, fine in zip(below, widths, strict=True)
        )
        self.stages = torch.nn.ModuleList(
            torch.nn.Sequential(*_convolution(width + skip, width), *_convolution(width, width))
            for skip, width in zip(skips[:-1], widths, strict=True)
        )

    def forward(
        self, maps: Sequence[Float[torch.Tensor, "batch _channel _y _x"] | None]
    ) -> list[Float[torch.Tensor, "batch _width _y _x"]]:
        """Return what each stage answers, finest first.

        Args:
            maps: Finest first, each at most twice as high and wide as the next; None where a stage has no skip.
        """
        *skips, current = maps
        answers: list[torch.Tensor] = []
        for index in reversed(range(len(self.stages))):
            current, skip = self.enlargement[index](current), skips[index]
            if skip is not None:
                # The coarser map may hold one cell more than half as many: sizes are rounded up.
                current = torch.cat((crop(current, height=skip.shape[-2], width=skip.shape[-1]), skip), dim=1)
            current = self.stages[index](current)
            answers.insert(0, current)
        return answers


def _convolution(inputs: int, outputs: int) -> tuple[torch.nn.Module, ...]:
    return (
        torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(outputs),
        torch.nn.LeakyReLU(0.01, inplace=True),
    )
