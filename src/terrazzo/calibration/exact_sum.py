"""Sums that no order of adding changes: each number is rounded to a multiple of 2^-32 once, and whole numbers add up.

A rounded number differs by at most 2^-33, some 1.2e-10, and so does a mean of any number of them.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64

__all__ = ["FRACTION_BITS", "ExactSums", "fixed_point"]

FRACTION_BITS = 32
"""Numbers are kept in multiples of 2 to the power of minus this."""
_MASK = (1 << FRACTION_BITS) - 1


def fixed_point(values: Float[torch.Tensor, "*cell"]) -> Int64[torch.Tensor, "*cell"]:
    """Return numbers as the nearest multiples of 2^-32.

    Args:
        values: Of an absolute value below 2^30.

    >>> fixed_point(torch.tensor([0.5, 1.0])).tolist()
    [2147483648, 4294967296]
    """
    return values.double().mul_(1 << FRACTION_BITS).round_().long()


@dataclass(frozen=True, eq=False)
class ExactSums:
    """Sums of numbers that were rounded to multiples of 2^-32: up to 2^63 of them, in any order.

    Attributes:
        whole: Whole part of each sum, rounded down.
        fraction: The rest in multiples of 2^-32, 0..2^32-1.

    >>> third = ExactSums.of(fixed_point(torch.tensor([1 / 3])))
    >>> (third + third).values()
    tensor([0.6667], dtype=torch.float64)
    """

    whole: Int64[torch.Tensor, "*cell"]
    fraction: Int64[torch.Tensor, "*cell"]

    @classmethod
    def zero(cls, *shape: int) -> "ExactSums":
        """Return sums of nothing."""
        return cls(torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.int64))

    @classmethod
    def of(cls, multiples: Int64[torch.Tensor, "*cell"]) -> "ExactSums":
        """Return sums given in multiples of 2^-32."""
        return cls(multiples >> FRACTION_BITS, multiples & _MASK)

    def __add__(self, other: "ExactSums") -> "ExactSums":
        """Return the sums of both."""
        fraction = self.fraction + other.fraction
        return ExactSums(self.whole + other.whole + (fraction >> FRACTION_BITS), fraction & _MASK)

    def __eq__(self, other: object) -> bool:
        """Tell whether both are the same to the last bit."""
        return (
            isinstance(other, ExactSums)
            and torch.equal(self.whole, other.whole)
            and torch.equal(self.fraction, other.fraction)
        )

    __hash__ = None  # type: ignore[assignment]

    def index_add_(self, index: Int64[torch.Tensor, " number"], values: Float[torch.Tensor, " number"]) -> None:
        """Add numbers to the sums at these places, in place.

        Args:
            index: Place of each number among all sums, flattened.
            values: At most 2^20 of an absolute value below 2^10.
        """
        multiples = torch.zeros(self.whole.numel(), dtype=torch.int64).index_add_(0, index, fixed_point(values))
        fraction = self.fraction.view(-1).add_(multiples & _MASK)
        self.whole.view(-1).add_(multiples >> FRACTION_BITS).add_(fraction >> FRACTION_BITS)
        fraction.bitwise_and_(_MASK)

    def sum(self, dim: int = 0) -> "ExactSums":
        """Return the sums over one axis."""
        fraction = self.fraction.sum(dim)
        return ExactSums(self.whole.sum(dim) + (fraction >> FRACTION_BITS), fraction & _MASK)

    def values(self) -> Float64[torch.Tensor, "*cell"]:
        """Return the sums as float64."""
        return self.whole.double() + self.fraction.double() / (1 << FRACTION_BITS)
