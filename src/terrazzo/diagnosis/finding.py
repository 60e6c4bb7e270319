"""One thing that was looked at: what it is, how grave, and what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Level", "gibibytes"]


class Level(StrEnum):
    """How grave a finding is, from nothing to all."""

    FINE = "fine"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"

    @property
    def gravity(self) -> int:
        """Its place among the levels, from 0."""
        return list(Level).index(self)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is about, in a word or three.
        level: `note` is worth knowing, `warning` will hurt some work, `fault` makes Terrazzo unusable.
        said: What was found.
        advice: What to do; None where there is nothing to do.
        facts: The figures behind it, as plain data.
    """

    subject: str
    level: Level
    said: str
    advice: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "subject": self.subject,
            "level": self.level.value,
            "said": self.said,
            "advice": self.advice,
            "facts": dict(self.facts),
        }


def gibibytes(count: int) -> str:
    """Return bytes as a reader takes them in.

    >>> gibibytes(3 * 2**30), gibibytes(64 * 2**20)
    ('3.0 GiB', '64 MiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
