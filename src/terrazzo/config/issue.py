"""What is wrong with a configuration, and where: collected first, then raised all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from terrazzo.errors import ConfigError

__all__ = ["Issue", "Path", "Place", "dotted", "raise_issues"]

Path = tuple[str | int, ...]
"""Keys from the root of the configuration to a value; list positions are numbers from 0."""


@dataclass(frozen=True)
class Place:
    """Where a value was written.

    Attributes:
        source: The file as the user would name it, or the override in words.
        line: Line from 1; None for overrides and for a file as a whole.
    """

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Issue:
    """One mistake.

    Attributes:
        place: Where it was written.
        path: Which setting; empty for the whole file.
        message: What was expected and given, and what to do.
        kind: `unread` where a file's content is unknown; `absent` where something is not there, which an unread file
            may hold.
    """

    place: Place
    path: Path
    message: str
    kind: Literal["wrong", "absent", "unread"] = "wrong"

    def __str__(self) -> str:
        key = f"  {dotted(self.path)}" if self.path else ""
        return f"{self.place}{key}: {self.message}"


def dotted(path: Path) -> str:
    """Return a path as it is written in an override.

    >>> dotted(("data", "classes", 0, "name"))
    'data.classes.0.name'
    """
    return ".".join(str(part) for part in path)


def raise_issues(issues: Sequence[Issue]) -> None:
    """Raise all issues as one error, in the order of the files' lines; do nothing where there are none.

    Raises:
        ConfigError: There is at least one issue.
    """
    if any(issue.kind == "unread" for issue in issues):
        issues = [issue for issue in issues if issue.kind != "absent"]
    if not issues:
        return
    sources = list(dict.fromkeys(issue.place.source for issue in issues))
    ordered = sorted(
        dict.fromkeys(issues), key=lambda issue: (sources.index(issue.place.source), issue.place.line or 0)
    )
    count = f"{len(ordered)} mistakes" if len(ordered) > 1 else "One mistake"
    raise ConfigError("\n  ".join([f"{count} in the configuration:", *map(str, ordered)]))
