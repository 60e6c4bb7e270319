"""One thing that is wrong with a data set: where, how bad, what it is, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal, get_args

__all__ = ["SEVERITIES", "CheckName", "Finding", "Severity", "accepted", "ordered", "summarised"]

Severity = Literal["error", "warning", "hint"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From what must be mended to what is worth a look."""

CheckName = Literal[
    "listing",
    "unreadable",
    "empty",
    "palette",
    "grid",
    "bands",
    "crs",
    "unlisted",
    "nodata",
    "unlabelled",
    "constant",
    "shift",
    "duplicate",
    "overlap",
    "distance",
    "class",
    "drift",
    "store",
    "features",
]
"""Kinds of findings."""
SHOWN = 5
"""Findings of one kind that a summary tells one by one."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        file: The file concerned; empty for what concerns the data set as a whole.
        severity: `error` makes training wrong or impossible, `warning` may, a `hint` is worth a look.
        check: Kind of finding.
        what: What is wrong, with figures.
        to_do: What mends it.
    """

    file: str
    severity: Severity
    check: CheckName
    what: str
    to_do: str


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings by severity, kind and file, each once."""
    kinds = get_args(CheckName)
    distinct = dict.fromkeys(findings)
    return sorted(distinct, key=lambda one: (SEVERITIES.index(one.severity), kinds.index(one.check), one.file))


def accepted(findings: Sequence[Finding], kinds: Sequence[CheckName]) -> list[Finding]:
    """Turn errors of kinds that the user accepts into warnings."""
    return [
        replace(one, severity="warning") if one.severity == "error" and one.check in kinds else one for one in findings
    ]


def summarised(findings: Sequence[Finding], *, shown: int = SHOWN) -> list[dict[str, Any]]:
    """Return the rows of a table: the first findings of each kind, then how many more there are.

    Args:
        findings: In the order of `ordered`.
        shown: Findings of one severity and kind that get a row of their own.
    """
    rows: list[dict[str, Any]] = []
    for (severity, check), group in groupby(findings, key=lambda one: (one.severity, one.check)):
        members = list(group)
        # A single further finding takes no more room than the sentence that there is one.
        told = members if len(members) <= shown + 1 else members[:shown]
        rows += [
            {"severity": severity, "check": check, "file": one.file, "what": one.what, "to do": one.to_do}
            for one in told
        ]
        if rest := len(members) - len(told):
            more = f"{rest} more of this kind"
            rows.append({"severity": severity, "check": check, "file": "...", "what": more, "to do": "see verify.json"})
    return rows
