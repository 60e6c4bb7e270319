"""Colours of classes: as three numbers or as text, picked where none are given, and compared."""

import colorsys
import itertools
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

__all__ = ["Colour", "default_colours", "hexadecimal", "parse_colour", "with_levels_between"]

HARMONIOUS = 1000
"""Colours that are picked to be told apart by eye; nobody tells more apart, so that further ones need only differ."""
_HEXADECIMAL = re.compile(r"#?([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})([0-9A-Fa-f]{2})")


def parse_colour(value: object) -> object:
    """Turn a colour that is text into three numbers; anything else is returned as it is.

    Raises:
        ValueError: The text is no colour.

    >>> parse_colour("#3C1098")
    (60, 16, 152)
    """
    if not isinstance(value, str):
        return value
    found = _HEXADECIMAL.fullmatch(value.strip())
    if found is None:
        raise ValueError(f'a colour is "#RRGGBB" or three numbers 0..255, not "{value}"')
    return tuple(int(part, 16) for part in found.groups())


Channel = Annotated[int, Field(ge=0, le=255)]
Colour = Annotated[
    tuple[Channel, Channel, Channel],
    BeforeValidator(parse_colour),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^#?[0-9A-Fa-f]{6}$"},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "maximum": 255},
                    "minItems": 3,
                    "maxItems": 3,
                },
            ]
        }
    ),
]
"""Red, green, blue, 0..255; "#3C1098" is accepted."""


def hexadecimal(colour: tuple[int, int, int]) -> str:
    """Return a colour as text.

    >>> hexadecimal((60, 16, 152))
    '#3C1098'
    """
    return "#{:02X}{:02X}{:02X}".format(*colour)


def default_colours(count: int, *, taken: Sequence[tuple[int, int, int]] = ()) -> list[tuple[int, int, int]]:
    """Return colours that are all different, for classes that name none.

    Args:
        count: Colours wanted.
        taken: Colours to keep clear of.
    """
    found: dict[tuple[int, int, int], None] = {}
    excluded = set(taken)
    for step in itertools.takewhile(lambda _: len(found) < count, itertools.count()):
        colour = _harmonious(step) if step < HARMONIOUS else _scattered(step)
        if colour not in excluded:
            found.setdefault(colour)
    return list(found)


def _harmonious(step: int) -> tuple[int, int, int]:
    """Return a colour whose hue lies apart from those of the steps before; a thousand steps rarely repeat one."""
    # Steps of the golden ratio never come close to a hue they have met before; brightness sets rounds apart.
    channels = colorsys.hsv_to_rgb((0.61 + step * 0.618034) % 1.0, (0.75, 0.5)[step // 7 % 2], (0.9, 0.6)[step % 2])
    return (round(channels[0] * 255), round(channels[1] * 255), round(channels[2] * 255))


def _scattered(step: int) -> tuple[int, int, int]:
    """Return another colour for each of 2^24 steps: an odd factor permutes them."""
    number = step * 0x9E3779B1 % 2**24
    return (number >> 16, number >> 8 & 255, number & 255)


def with_levels_between(colours: Sequence[tuple[int, int, int]]) -> list[str]:
    """Return the colours that have a channel other than 0 and 255, as text.

    >>> with_levels_between([(0, 255, 0), (1, 0, 0)])
    ['#010000']
    """
    return [hexadecimal(colour) for colour in colours if not set(colour) <= {0, 255}]
