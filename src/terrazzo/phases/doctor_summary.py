"""What `doctor` found, as plain data and as lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terrazzo.diagnosis import Finding, Level

__all__ = ["DoctorSummary"]


@dataclass(frozen=True, kw_only=True)
class DoctorSummary:
    """What was looked at.

    Attributes:
        seconds: Wall time of all checks.
        configuration: The file whose folders and settings were looked at; None where there is none.
        findings: In the order of the checks, by section.
    """

    seconds: float
    configuration: str | None
    findings: Mapping[str, tuple[Finding, ...]]

    @property
    def level(self) -> Level:
        """The gravest level of all findings."""
        levels = (finding.level for found in self.findings.values() for finding in found)
        return max(levels, key=lambda level: level.gravity, default=Level.FINE)

    @property
    def usable(self) -> bool:
        """Whether Terrazzo works here."""
        return self.level is not Level.FAULT

    def count(self, level: Level) -> int:
        """Return how many findings are of a level."""
        return sum(finding.level is level for found in self.findings.values() for finding in found)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "level": self.level.value,
            "usable": self.usable,
            "seconds": round(self.seconds, 3),
            "configuration": self.configuration,
            "findings": {section: [finding.as_dict() for finding in found] for section, found in self.findings.items()},
        }
