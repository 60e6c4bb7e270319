"""Halting heads: how likely it is that further steps would not help, of a tile or of each cell."""

import math

import torch
from jaxtyping import Float

__all__ = ["CellHead", "TileHead", "confidence"]

TILE_BIAS, CELL_BIAS = -5.0, -3.0
"""Logits that an untrained head begins with: training starts as if no tile ever stopped."""


def confidence(
    logits: Float[torch.Tensor, "batch class y x"],
) -> tuple[Float[torch.Tensor, "batch y x"], Float[torch.Tensor, "batch y x"]]:
    """Return the entropy of the soft-max, 0..1 (1 = all classes equally likely), and its largest probability.

    Args:
        logits: float32.
    """
    log_probability = logits.log_softmax(dim=1)
    probability = log_probability.exp()
    most = math.log(max(logits.shape[1], 2))
    return -(probability * log_probability).sum(dim=1) / most, probability.amax(dim=1)


class TileHead(torch.nn.Module):
    """One logit a tile, from the mean of its state, its mean entropy, mean confidence and mean change.

    Args:
        width: Channels of the state.

    Source: TRM reads it off the answer state (Jolicoeur-Martineau 2025), with weight 0 and bias -5 at the start;
        entropy, largest probability and change are the exit signals of ADP-C (ICLR 2022) and MESS (2021).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(width + 3, width)
        self.last = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.last.weight)
        torch.nn.init.constant_(self.last.bias, TILE_BIAS)

    def forward(
        self,
        state: Float[torch.Tensor, "batch channel y x"],
        logits: Float[torch.Tensor, "batch class y x"],
        change: Float[torch.Tensor, "batch y x"],
    ) -> Float[torch.Tensor, " batch"]:
        """Return the logit of the probability that a tile is done.

        Args:
            state: The answer state y.
            logits: Of this step, float32.
            change: Total variation between this step's soft-max and the last one's, 0..1.
        """
        entropy, largest = confidence(logits)
        means = [one.mean(dim=(1, 2))[:, None] for one in (entropy, largest, change)]
        seen = torch.cat([state.float().mean(dim=(2, 3)), *means], dim=1)
        logit: torch.Tensor = self.last(torch.nn.functional.silu(self.hidden(seen)))
        return logit[:, 0]


class CellHead(torch.nn.Module):
    """One logit a cell, linear in its state, entropy and change.

    Args:
        width: Channels of the state.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.last = torch.nn.Conv2d(width + 2, 1, 1)
        torch.nn.init.zeros_(self.last.weight)
        bias = self.last.bias
        if bias is not None:
            torch.nn.init.constant_(bias, CELL_BIAS)

    def forward(
        self,
        state: Float[torch.Tensor, "batch channel y x"],
        logits: Float[torch.Tensor, "batch class y x"],
        change: Float[torch.Tensor, "batch y x"],
    ) -> Float[torch.Tensor, "batch y x"]:
        """Return the logit of the probability that each cell is done; arguments as of `TileHead`."""
        entropy, _ = confidence(logits)
        seen = torch.cat([state.float(), entropy[:, None], change[:, None]], dim=1)
        logit: torch.Tensor = self.last(seen)
        return logit[:, 0]
