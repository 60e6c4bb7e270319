"""The small net that a refiner runs again and again: two blocks over the cells of a map, normalised after each sum."""

from typing import Literal

import torch
from jaxtyping import Float

from terrazzo.models.channel_norm import ChannelNorm, NormKind

__all__ = ["Mixing", "RecursiveNet", "initialise"]

Mixing = Literal["depthwise", "dilated"]
"""How cells see their neighbours: a depthwise 7 x 7, or two depthwise 3 x 3 with dilations 1 and 3, which see 9 x 9."""

BLOCKS = 2
_REACH: dict[Mixing, int] = {"depthwise": 3, "dilated": 4}


class RecursiveNet(torch.nn.Module):
    """f: the same weights for both roles, latent and answer.

    A block mixes over neighbours, then over channels (SwiGLU); after each, h <- norm(h + part(h)). No biases, no
    learned gains, and no statistics of the batch: activations differ from step to step, so shared ones would fit none.

    Args:
        width: Channels.
        mixing: Over neighbours.
        expansion: Channels inside the SwiGLU, as a multiple of the width.
        norm: Over the channels of each cell.

    Source: Jolicoeur-Martineau, Less is More: Recursive Reasoning with Tiny Networks, arXiv 2510.04871 (two blocks,
        post-norm RMS without gain, SwiGLU, no biases).
    Differs: Depthwise convolution in place of attention over positions: any size works, and cost is linear in it.
    """

    def __init__(self, width: int, *, mixing: Mixing, expansion: int, norm: NormKind) -> None:
        super().__init__()
        self.blocks = torch.nn.Sequential(*(Block(width, mixing, expansion, norm) for _ in range(BLOCKS)))

    @staticmethod
    def reach_of(mixing: Mixing) -> int:
        """Return the cells to each side that one run of a net sees."""
        return BLOCKS * _REACH[mixing]

    def forward(self, total: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        """Return the new state from the sum of what the role sees."""
        state: torch.Tensor = self.blocks(total)
        return state


class Block(torch.nn.Module):
    """One block of the recursive net."""

    def __init__(self, width: int, mixing: Mixing, expansion: int, norm: NormKind) -> None:
        super().__init__()
        inner = width * expansion
        self.mix = torch.nn.Sequential(*_mixers(width, mixing))
        self.expand = torch.nn.Conv2d(width, 2 * inner, 1, bias=False)
        self.shrink = torch.nn.Conv2d(inner, width, 1, bias=False)
        self.norm = ChannelNorm(width, norm, learned=False)

    def forward(self, state: Float[torch.Tensor, "batch channel y x"]) -> Float[torch.Tensor, "batch channel y x"]:
        """Mix over neighbours, then over channels."""
        state = self.norm(state + self.mix(state))
        gate, value = self.expand(state).chunk(2, dim=1)
        mixed: torch.Tensor = self.norm(state + self.shrink(torch.nn.functional.silu(gate) * value))
        return mixed


def _mixers(width: int, mixing: Mixing) -> list[torch.nn.Conv2d]:
    if mixing == "depthwise":
        return [torch.nn.Conv2d(width, width, 7, padding=3, groups=width, bias=False)]
    return [torch.nn.Conv2d(width, width, 3, padding=rate, dilation=rate, groups=width, bias=False) for rate in (1, 3)]


def initialise(module: torch.nn.Module) -> None:
    """Draw the weights of convolutions inside from a normal with deviation 1 / sqrt(fan-in), cut at two deviations.

    Source: LeCun et al., Efficient BackProp, 1998, section 4.6, as TRM uses it.
    """
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            deviation = part.weight[0].numel() ** -0.5
            torch.nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if part.bias is not None:
                torch.nn.init.zeros_(part.bias)
