"""What the machine has for Terrazzo, tried rather than believed: each check returns findings, with what to do."""

from terrazzo.diagnosis.finding import Finding, Level

__all__ = ["Finding", "Level"]
