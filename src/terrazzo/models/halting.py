"""When a network that answers in steps stops."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64

from terrazzo.errors import ModelError

__all__ = ["HaltingRule"]


@dataclass(frozen=True)
class HaltingRule:
    """After which step a tile is done.

    Attributes:
        threshold: tau: a tile is done where the probability that further steps would not help is at least this.
        first: t_min: no tile stops before this step, counted from 1.
        last: t_max: every tile stops here.

    Raises:
        ModelError: The steps are not 1 <= first <= last.

    >>> HaltingRule(threshold=0.7, first=2, last=4).steps([torch.tensor([2.0, -2.0]), torch.tensor([-2.0, 2.0])] * 2)
    tensor([3, 2])
    """

    threshold: float
    first: int
    last: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ModelError(f"A halting rule needs 1 <= first <= last; given were {self.first} and {self.last}.")

    def steps(self, halting: Sequence[Float[torch.Tensor, "batch *_"]]) -> Int64[torch.Tensor, " batch"]:
        """Return the steps that each tile runs, read off halting logits of a run through all steps.

        A tile whose cells settle one by one runs until the last of them has.

        Args:
            halting: Of each step, `Steps.halting`.

        Raises:
            ModelError: There are no steps to read.
        """
        if not halting:
            raise ModelError("No step has a halting logit, so nothing says how many are needed.")
        last = min(self.last, len(halting))
        needed = torch.full_like(halting[0], last, dtype=torch.int64)
        for step in range(last - 1, self.first - 1, -1):
            needed = torch.where(halting[step - 1].sigmoid() >= self.threshold, step, needed)
        return needed.flatten(1).amax(dim=1) if needed.ndim > 1 else needed
