"""One page per run that can be opened anywhere: what was trained, on what, how well, how long."""

from terrazzo.report.page import write_report

__all__ = ["write_report"]
