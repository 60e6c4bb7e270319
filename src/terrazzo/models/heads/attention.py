"""Attention of several heads, with separate matrices, so that an optimiser of matrices sees each of them."""

import torch
from jaxtyping import Bool, Float
from torch.nn import functional

from terrazzo.errors import ModelError
from terrazzo.models.heads.positions import Rotation, rotate

__all__ = ["Attention"]


class Attention(torch.nn.Module):
    """Scaled dot-product attention.

    Source: Vaswani et al., arXiv 1706.03762, section 3.2; torch.nn.functional.scaled_dot_product_attention does the
    sums.

    Args:
        channels: Of every token.
        heads: Number of heads, each of channels / heads channels.
        key_bias: Whether keys have a bias, which changes nothing but a parameter count: DINOv3's blocks have none.

    Raises:
        ModelError: Channels cannot be shared out evenly.
    """

    def __init__(self, channels: int, heads: int, *, key_bias: bool = True) -> None:
        super().__init__()
        if channels % (4 * heads):
            raise ModelError(
                f"{channels} channels cannot be shared out to {heads} attention heads of a multiple of 4 each; choose "
                "heads or channels otherwise."
            )
        self.heads = heads
        self.query = torch.nn.Linear(channels, channels)
        self.key = torch.nn.Linear(channels, channels, bias=key_bias)
        self.value = torch.nn.Linear(channels, channels)
        self.output = torch.nn.Linear(channels, channels)

    def forward(
        self,
        query: Float[torch.Tensor, "batch token channel"],
        key: Float[torch.Tensor, "batch _other channel"],
        value: Float[torch.Tensor, "batch _other channel"],
        allowed: Bool[torch.Tensor, "batch 1 token _other"] | None = None,
        angles: Rotation | None = None,
    ) -> Float[torch.Tensor, "batch token channel"]:
        """Return for each token what it reads.

        Args:
            query: Who reads.
            key: By what is found what is read.
            value: What is read.
            allowed: Which pairs may read; everyone everything by default.
            angles: Rotary positions of the last tokens, in queries and keys.
        """
        queries, keys = self._split(self.query(query)), self._split(self.key(key))
        if angles is not None:
            queries, keys = rotate(queries, angles), rotate(keys, angles)
        values = self._split(self.value(value))
        read = functional.scaled_dot_product_attention(queries, keys, values, allowed)
        joined: torch.Tensor = self.output(read.transpose(1, 2).flatten(2))
        return joined

    def _split(self, tokens: Float[torch.Tensor, "batch token _all"]) -> Float[torch.Tensor, "batch head token _each"]:
        batch, count, channels = tokens.shape
        return tokens.reshape(batch, count, self.heads, channels // self.heads).transpose(1, 2)
