"""Parts of the Plain Mask Transformer: lateral projections, transformer blocks, and blocks that double a map."""

import torch
from jaxtyping import Bool, Float
from torch.nn import functional

from terrazzo.models.heads.attention import Attention
from terrazzo.models.heads.positions import Rotation

__all__ = ["Block", "Lateral", "ScaleBlock"]


class Lateral(torch.nn.Module):
    """Prepares one map: batch norm, a residual part of two linear layers with GELU, a learned scale of each channel.

    Source: tue-mps/pmt, image/models/pmt.py and pmd.py.
    Differs: a map of other channels is projected by a 1 x 1 convolution first; one of a finer stride is averaged over
    the cells, one of a coarser enlarged bilinearly.

    Args:
        given: Channels of the map.
        channels: Channels of tokens.
        stride: Pixels along a cell of the map.
        wanted: Pixels along a cell that is a token.
    """

    def __init__(self, given: int, channels: int, stride: int, wanted: int) -> None:
        super().__init__()
        self.stride, self.wanted = stride, wanted
        projected = given != channels
        self.projection = torch.nn.Conv2d(given, channels, 1, bias=False) if projected else torch.nn.Identity()
        self.norm = torch.nn.BatchNorm2d(channels)
        self.residual = torch.nn.Sequential(
            torch.nn.Linear(channels, channels // 2), torch.nn.GELU(), torch.nn.Linear(channels // 2, channels)
        )
        self.scale = torch.nn.Parameter(torch.ones(channels))

    def forward(
        self, found: Float[torch.Tensor, "batch _channel _y _x"], rows: int, columns: int
    ) -> Float[torch.Tensor, "batch channel {rows} {columns}"]:
        """Return the map on the tokens' grid."""
        if self.stride < self.wanted:
            found = functional.avg_pool2d(found, self.wanted // self.stride, ceil_mode=True)
        elif self.stride > self.wanted:
            factor = float(self.stride // self.wanted)
            found = functional.interpolate(found, scale_factor=factor, mode="bilinear")[..., :rows, :columns]
        cells = self.norm(self.projection(found)).movedim(1, -1)
        scaled: torch.Tensor = (cells + self.residual(cells)) * self.scale
        return scaled.movedim(-1, 1)


class Block(torch.nn.Module):
    """A transformer block as DINOv3's.

    Attention with rotary positions, then two linear layers: each normed before, scaled after, and added.

    Source: Siméoni et al., DINOv3, arXiv 2508.10104; in PMT the hidden layer is as wide as the tokens, and scales start
    at 1.

    Args:
        channels: Of tokens.
        heads: Of the attention.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(channels) for _ in range(2))
        self.attention = Attention(channels, heads, key_bias=False)
        self.feed = torch.nn.Sequential(
            torch.nn.Linear(channels, channels), torch.nn.GELU(), torch.nn.Linear(channels, channels)
        )
        self.scales = torch.nn.ParameterList(torch.nn.Parameter(torch.ones(channels)) for _ in range(2))

    def forward(
        self,
        tokens: Float[torch.Tensor, "batch token channel"],
        allowed: Bool[torch.Tensor, "batch 1 token token"] | None,
        angles: Rotation,
    ) -> Float[torch.Tensor, "batch token channel"]:
        """Return the tokens after this block.

        Args:
            tokens: Queries, then cells.
            allowed: Who may read whom; everyone everyone by default.
            angles: Rotary positions of the cells.
        """
        normed = self.norms[0](tokens)
        tokens = tokens + self.scales[0] * self.attention(normed, normed, normed, allowed, angles)
        thought: torch.Tensor = tokens + self.scales[1] * self.feed(self.norms[1](tokens))
        return thought


class ScaleBlock(torch.nn.Module):
    """Doubles a map: transposed convolution of 2 x 2, GELU, 3 x 3 in each channel, a norm over channels.

    Source: Kerssies et al., EoMT, arXiv 2503.19108; tue-mps/pmt, image/models/layers.py.

    Args:
        channels: Of the map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.doubling = torch.nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.smooth = torch.nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = torch.nn.LayerNorm(channels, eps=1e-6)

    def forward(self, given: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel _y _x"]:
        """Return the map twice as high and wide."""
        smooth = self.smooth(functional.gelu(self.doubling(given)))
        normed: torch.Tensor = self.norm(smooth.movedim(1, -1))
        return normed.movedim(-1, 1)
