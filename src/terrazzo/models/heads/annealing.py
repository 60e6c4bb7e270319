"""How masked attention fades out over training, block after block."""

import torch
from jaxtyping import Bool, Float, Int64

__all__ = ["MaskAnnealing"]


class MaskAnnealing(torch.nn.Module):
    """Says for each block with which probability a query may read only what its own mask covers.

    With s training passes done of `steps`, the probability is 1 before a block's time, (1 - p) ** 0.9 at the share p of
    it, and 0 after. The first block's time is the first 3 / 20 of the steps; the others' begin evenly spread from
    8 / 30 to 20 / 30 of them and last 5 / 30. The passes are counted in a buffer, so that a run that is resumed goes on
    where it was.

    Source: tue-mps/pmt, image/configs/ade20k/semantic/pmt_l_512.yaml, whose first and last passes of each block these
    shares are with 20,192 steps, rounded down; Kerssies et al., EoMT, arXiv 2503.19108, section 3.3 (power 0.9).
    Differs: the first block's last pass would be 3,028 there and is 3,000; in evaluation a block masks all queries
    while its probability is at least one half, and none later, where the source draws at random.

    Args:
        blocks: Number of blocks.
        steps: Training passes over all; 0 for no masks at all.
    """

    done: Int64[torch.Tensor, ""]
    first: Float[torch.Tensor, " block"]
    length: Float[torch.Tensor, " block"]

    def __init__(self, blocks: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        later = torch.linspace(8 / 30, 20 / 30, max(blocks - 1, 1))[: blocks - 1]
        first = torch.cat((torch.zeros(1), later))
        length = torch.cat((torch.full((1,), 3 / 20), torch.full_like(later, 5 / 30)))
        self.register_buffer("first", first * steps, persistent=False)
        self.register_buffer("length", length * steps, persistent=False)

    def probabilities(self) -> Float[torch.Tensor, " block"]:
        """Return the probability of each block, 0..1, after the passes done."""
        if not self.steps:
            return torch.zeros_like(self.first)
        share = ((self.done - self.first) / self.length).clamp(0, 1)
        return (1 - share) ** 0.9

    def draw(self, batch: int, queries: int) -> Bool[torch.Tensor, "block {batch} {queries}"]:
        """Return which queries are masked in each block, and count a training pass."""
        chances = self.probabilities()[:, None, None]
        if not self.training:
            return (chances >= 0.5).expand(-1, batch, queries)
        drawn = torch.rand((len(chances), batch, queries), device=chances.device) < chances
        self.done.add_(1)
        return drawn

    def masks_some(self) -> list[bool]:
        """Return for each block whether it may mask a query now: evaluation leaves out what would not be used.

        In training and while a network is exported every block may, unless there are no masks at all.
        """
        if not self.steps:
            return [False] * len(self.first)
        if self.training or torch.compiler.is_exporting():
            return [True] * len(self.first)
        return [bool(one) for one in (self.probabilities() >= 0.5).tolist()]
