"""Ranges of numbers: `1:5`, `0.1:0.5:0.1`, `0:1:lin5` and `1e-4:1e-2:log4` are values, `1e-4:1e-2:log` a span."""

import math
import re
from decimal import Decimal
from typing import Literal

from terrazzo.errors import ConfigError
from terrazzo.record import Record

__all__ = ["Span", "expanded", "open_span"]

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_RANGE = re.compile(rf"\s*({_NUMBER}):({_NUMBER})(?::(lin|log)?({_NUMBER})?)?\s*")
_WHOLE = re.compile(r"[-+]?[0-9]+")
_MOST_VALUES = 10_000
# What a reader can tell apart in a table, and what makes folders' names short.
_DIGITS = 4


class Span(Record):
    """A range that numbers are drawn from."""

    low: float
    """Least number."""
    high: float
    """Greatest number."""
    scale: Literal["linear", "log"] = "linear"
    """Whether numbers or their logarithms are spread evenly."""
    whole: bool = False
    """Whether only whole numbers are drawn: both ends were written as such."""

    @property
    def lowest(self) -> int | float:
        """The least number, of its kind."""
        return int(self.low) if self.whole else self.low

    @property
    def highest(self) -> int | float:
        """The greatest number, of its kind."""
        return int(self.high) if self.whole else self.high

    def at(self, share: float) -> int | float:
        """Return the number so far along the range, rounded to four digits; the ends are exact.

        Args:
            share: From 0, the least number, to 1, the greatest.

        >>> Span(low=1e-4, high=1e-2, scale="log").at(0.5), Span(low=1, high=9, whole=True).at(0.3)
        (0.001, 3)
        """
        if share in (0, 1):
            return self.highest if share else self.lowest
        if self.scale == "log":
            number = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            number = self.low + share * (self.high - self.low)
        if self.whole:
            return round(number)
        return min(max(float(f"{number:.{_DIGITS}g}"), self.low), self.high)


def open_span(text: str) -> Span | None:
    """Return the range that a text says without a number of values, such as `1e-4:1e-2:log`; None for other text.

    Raises:
        ConfigError: Its ends are in the wrong order, or a logarithm does not exist.
    """
    found = _RANGE.fullmatch(text)
    if found is None or found[3] is None or found[4] is not None:
        return None
    return _span(text, found)


def expanded(text: str) -> list[int | float] | None:
    """Return the values of a range; None for text that is none.

    Raises:
        ConfigError: It has no such values, or too many.

    >>> expanded("1:3"), expanded("0.1:0.4:0.1"), expanded("1e-4:1e-2:log4"), expanded("10:20:lin3")
    ([1, 2, 3], [0.1, 0.2, 0.3, 0.4], [0.0001, 0.0004642, 0.002154, 0.01], [10, 15, 20])
    >>> expanded("a:b"), expanded("12")
    (None, None)
    """
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    if found[3] is None:
        return _stepped(text, found)
    if found[4] is None:
        raise ConfigError(f'"{text}" among other values needs a number of values, such as {text}4.')
    span = _span(text, found)
    if _WHOLE.fullmatch(found[4]) is None or not 2 <= int(found[4]) <= _MOST_VALUES:
        raise ConfigError(f'"{text}" asks for {found[4]} values; 2 at least, and {_MOST_VALUES:,} at most.')
    count = int(found[4])
    values = [span.at(step / (count - 1)) for step in range(count)]
    if len(set(values)) < count:
        raise ConfigError(f'"{text}" has fewer than {count} different values; ask for fewer.')
    return values


def _stepped(text: str, found: re.Match[str]) -> list[int | float]:
    """Return the numbers from one end to the other, both included where the step meets them."""
    low, high, step = Decimal(found[1]), Decimal(found[2]), Decimal(found[4] or "1")
    whole = all(_WHOLE.fullmatch(part) for part in (found[1], found[2], found[4] or "1"))
    if found[4] is None and not whole:
        raise ConfigError(
            f'"{text}" is a range of fractions without a step; write {text}:0.1, or {text}:lin5 for five values.'
        )
    if step <= 0 or high <= low:
        raise ConfigError(
            f'"{text}" leads nowhere; write LOW:HIGH or LOW:HIGH:STEP, and quote text that means no range.'
        )
    count = int((high - low) / step) + 1
    if count > _MOST_VALUES:
        raise ConfigError(f'"{text}" has {count:,} values; {_MOST_VALUES:,} at most.')
    numbers = [low + step * number for number in range(count)]
    return [int(number) if whole else float(number) for number in numbers]


def _span(text: str, found: re.Match[str]) -> Span:
    low, high = float(found[1]), float(found[2])
    scale: Literal["linear", "log"] = "log" if found[3] == "log" else "linear"
    if not low < high or not math.isfinite(high):
        raise ConfigError(f'"{text}" leads nowhere; write LOW:HIGH:{found[3]}, the lower number first.')
    if scale == "log" and low <= 0:
        raise ConfigError(f'"{text}" begins at {found[1]}, which has no logarithm; begin above 0, or use lin.')
    whole = all(_WHOLE.fullmatch(part) for part in (found[1], found[2]))
    return Span(low=low, high=high, scale=scale, whole=whole)
