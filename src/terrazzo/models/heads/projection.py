"""The fidelity-aware projection module: wide maps made narrow by a basis that all scales share and one of their own."""

from collections.abc import Sequence

import torch
from jaxtyping import Float

__all__ = ["FidelityProjection", "SqueezeExcitation"]


class FidelityProjection(torch.nn.Module):
    """Projects maps of several scales, all of the same channels, to widths of their own, and enlarges them.

    For the map x_i of scale i: z_s = A x_i with a basis A that all scales share, z_i = B_i x_i with one of its own;
    (gamma, beta) = G_i z_s; z = gamma z_i + beta (feature-wise linear modulation). The output is refine_i(z) + S_i z,
    where S_i is a 1 x 1 convolution, or nothing where widths agree. One transposed convolution of 2 x 2 a scale,
    applied `doublings` times, enlarges it.

    Source: Gao et al., Dino U-Net, arXiv 2508.20909, section 3 ("FAPM"); yifangao112/DinoUNet, dinounet_training.py.
    Differs: sizes are exact by cutting the last cells; the source resizes bilinearly where sizes do not double evenly.

    Args:
        channels: Of each map given.
        rank: Of the bases.
        widths: Channels of each map returned.
        doublings: How often each map is enlarged twofold; 2 in the source.
    """

    def __init__(self, channels: int, rank: int, widths: Sequence[int], *, doublings: int) -> None:
        super().__init__()
        self.doublings = doublings
        self.shared = torch.nn.Conv2d(channels, rank, 1, bias=False)
        self.own = torch.nn.ModuleList(torch.nn.Conv2d(channels, rank, 1, bias=False) for _ in widths)
        self.modulation = torch.nn.ModuleList(torch.nn.Conv2d(rank, 2 * rank, 1, bias=False) for _ in widths)
        self.refinement = torch.nn.ModuleList(_refinement(rank, width) for width in widths)
        self.shortcut = torch.nn.ModuleList(
            torch.nn.Identity() if width == rank else torch.nn.Conv2d(rank, width, 1, bias=False) for width in widths
        )
        enlarging = widths if doublings else ()
        self.enlargement = torch.nn.ModuleList(
            torch.nn.ConvTranspose2d(width, width, 2, stride=2) for width in enlarging
        )

    def forward(
        self, maps: Sequence[Float[torch.Tensor, "batch channel _y _x"]]
    ) -> list[Float[torch.Tensor, "batch _width _y _x"]]:
        """Return the projected maps in the same order, each 2 ** doublings times as high and wide."""
        return [self._project(scale, one) for scale, one in enumerate(maps)]

    def _project(
        self, scale: int, given: Float[torch.Tensor, "batch channel _y _x"]
    ) -> Float[torch.Tensor, "batch _width _y _x"]:
        gamma, beta = self.modulation[scale](self.shared(given)).chunk(2, dim=1)
        modulated = gamma * self.own[scale](given) + beta
        found: torch.Tensor = self.refinement[scale](modulated) + self.shortcut[scale](modulated)
        for _ in range(self.doublings):
            found = self.enlargement[scale](found)
        return found


def _refinement(rank: int, width: int) -> torch.nn.Sequential:
    """Return: 1 x 1, norm, ReLU; 3 x 3 in each channel, 1 x 1, norm, ReLU; 1 x 1; squeeze and excite."""
    return torch.nn.Sequential(
        torch.nn.Conv2d(rank, width, 1, bias=False),
        torch.nn.BatchNorm2d(width),
        torch.nn.ReLU(inplace=True),
        torch.nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        torch.nn.Conv2d(width, width, 1, bias=False),
        torch.nn.BatchNorm2d(width),
        torch.nn.ReLU(inplace=True),
        torch.nn.Conv2d(width, width, 1, bias=False),
        SqueezeExcitation(width),
    )


class SqueezeExcitation(torch.nn.Module):
    """Weighs channels by what their means over the whole map say.

    Source: Hu et al., arXiv 1709.01507, section 3.

    Args:
        channels: Of the map.
        reduction: How many times fewer channels lie between the two layers.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.squeeze = torch.nn.Conv2d(channels, narrow, 1)
        self.excite = torch.nn.Conv2d(narrow, channels, 1)

    def forward(self, given: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        """Return the map with its channels weighed, each by a number between 0 and 1."""
        # A mean, not adaptive pooling, whose gradient on a GPU is not the same each time.
        means = given.mean(dim=(2, 3), keepdim=True)
        weights: torch.Tensor = self.excite(self.squeeze(means).relu()).sigmoid()
        return given * weights
