"""Positions of the cells of a map, as transformers read them: rotations of queries and keys, and sines to be added."""

import math

import torch
from jaxtyping import Float

__all__ = ["Rotation", "rotate", "rotation", "sine_positions"]

Rotation = tuple[Float[torch.Tensor, "cell head_channel"], Float[torch.Tensor, "cell head_channel"]]
"""Cosine and sine of the angle by which each channel of each cell turns."""


def rotation(height: int, width: int, channels: int, *, device: torch.device, base: float = 100.0) -> Rotation:
    """Return the axial rotary positions of a map's cells, row by row, in float32.

    The middle of each cell has coordinates in -1..1 along each axis; frequency j turns by 2 pi coordinate
    base ** (-4 j / channels), for the rows first and the columns after, and once more for the other half.

    Source: Su et al., RoFormer, arXiv 2104.09864; the axial form of Siméoni et al., DINOv3, arXiv 2508.10104, and
    transformers, models/dinov3_vit (without the random rescaling that it trains with).

    Args:
        height: Rows.
        width: Columns.
        channels: Of one attention head; a multiple of 4.
        device: Where to put it.
        base: Ratio of the fastest frequency to the one just beyond the slowest.
    """
    rows = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height * 2 - 1
    columns = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width * 2 - 1
    middles = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2, 1)
    powers = torch.arange(channels // 4, device=device, dtype=torch.float32) * (4 / channels)
    angles = (2 * math.pi * middles * base**-powers).flatten(1).tile(2)
    return angles.cos(), angles.sin()


def rotate(
    tokens: Float[torch.Tensor, "batch head token channel"], angles: Rotation
) -> Float[torch.Tensor, "batch head token channel"]:
    """Return tokens, the last of which stand for cells and are turned; those before them stay as they are."""
    cosine, sine = (one.to(tokens.dtype) for one in angles)
    others = tokens.shape[-2] - cosine.shape[-2]
    cells = tokens[..., others:, :]
    first, second = cells.chunk(2, dim=-1)
    turned = cells * cosine + torch.cat((-second, first), dim=-1) * sine
    return torch.cat((tokens[..., :others, :], turned), dim=-2)


def sine_positions(
    height: int, width: int, channels: int, *, device: torch.device, base: float = 10_000.0
) -> Float[torch.Tensor, "cell channel"]:
    """Return sines and cosines of each cell's row and column, row by row, in float32.

    Row i of n counts as 2 pi (i + 1) / n; one half of the channels is for rows, the other for columns, sines and
    cosines by turns.

    Source: Carion et al., DETR, arXiv 2005.12872, appendix; transformers, models/maskformer.

    Args:
        height: Rows.
        width: Columns.
        channels: A multiple of 4.
        device: Where to put it.
        base: Ratio of the fastest frequency to the one just beyond the slowest.
    """
    half = channels // 2
    powers = torch.arange(half // 2, device=device, dtype=torch.float32) * (2 / half)
    axes = []
    for size in (height, width):
        angles = (torch.arange(1, size + 1, device=device, dtype=torch.float32) / size * 2 * math.pi)[:, None]
        angles = angles * base**-powers
        axes.append(torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1))
    rows = axes[0][:, None].expand(height, width, half)
    columns = axes[1][None].expand(height, width, half)
    return torch.cat((rows, columns), dim=-1).reshape(height * width, channels)
