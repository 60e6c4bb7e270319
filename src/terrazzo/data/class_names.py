"""Which class a word means: in an attribute of a vector file, in an annotation file, in a table.

A word is a class's own name or one of its further names. Where it is neither, a whole number counts as a raw label
value, so that "3", 3 and 3.0 mean the same whichever type the file happens to store.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["ClassNames", "require_once", "whole_number"]

_WHOLE = re.compile(r"\s*([+-]?\d+)(?:\.0*)?\s*", re.ASCII)


def whole_number(text: str) -> int | None:
    """Return the whole number that a text stands for, or None.

    >>> whole_number("3"), whole_number(" 3.0 "), whole_number("3.5"), whole_number("three")
    (3, 3, None, None)
    """
    found = _WHOLE.fullmatch(text)
    return None if found is None else int(found.group(1))


@dataclass(frozen=True)
class ClassNames:
    """Class numbers by name and by raw value.

    Attributes:
        by_name: Number of each name, exactly as written.
        by_value: Number of each raw label value.
    """

    by_name: Mapping[str, int]
    by_value: Mapping[int, int]

    @classmethod
    def of(cls, names: Sequence[Sequence[str]], values: Sequence[Sequence[int]], *, ignore: int) -> "ClassNames":
        """Build the tables.

        Args:
            names: Names of each class; the last entry holds those of "no class".
            values: Raw values of each class; the last entry holds those of "no class".
            ignore: Number of "no class".
        """
        numbers = [*range(len(names) - 1), ignore]
        return cls(
            {name: number for number, listed in zip(numbers, names, strict=True) for name in listed},
            {value: number for number, listed in zip(numbers, values, strict=True) for value in listed},
        )

    def find(self, text: str) -> int | None:
        """Return the class number of a word, the number of "no class", or None where nothing lists it."""
        if text in self.by_name:
            return self.by_name[text]
        value = whole_number(text)
        return None if value is None else self.by_value.get(value)


def require_once(what: str, claims: Sequence[tuple[object, str]]) -> None:
    """Refuse what two classes claim.

    Args:
        what: Word for a claim in the message.
        claims: What is claimed, and the name of who claims it.

    Raises:
        ValueError: Two classes claim the same.
    """
    seen: dict[object, str] = {}
    for claim, owner in claims:
        if claim in seen:
            raise ValueError(f'{what} {claim} is claimed by "{seen[claim]}" and by "{owner}"; it can mean one class')
        seen[claim] = owner
