"""What a run folder says of its calibrations, read leniently: what is missing or of another kind is not there."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.errors import StorageError
from terrazzo.report.facts import number
from terrazzo.storage import read_json

__all__ = ["CalibrationFacts", "calibrations"]

Row = Mapping[str, float | None]


@dataclass(frozen=True)
class CalibrationFacts:
    """One calibration.

    Attributes:
        name: Role of its images, or `unlabelled`.
        bundle: Name of the new bundle's file.
        promises: What is promised, a sentence each.
        warnings: What a person should know.
        parts: How many images were for what.
        kinds: What was calibrated, in words.
        halting: Figures of the halting threshold.
        report_split: Role of the images before and after are of.
        before: Figures before, by name.
        after: Figures after.
        sweep: Rows of tau_sweep.csv.
        steps: Rows of q_statistics.csv.
        bins_before: Mean confidence, share that was right and pixels of each bin that is not empty.
        bins_after: The same after.
    """

    name: str
    bundle: str
    promises: tuple[str, ...]
    warnings: tuple[str, ...]
    parts: Mapping[str, float | None]
    kinds: tuple[str, ...]
    halting: Row
    report_split: str
    before: Row
    after: Row
    sweep: tuple[Row, ...]
    steps: tuple[Row, ...]
    bins_before: tuple[tuple[float, float, float], ...]
    bins_after: tuple[tuple[float, float, float], ...]


def calibrations(folder: Path, problems: list[str]) -> tuple[CalibrationFacts, ...]:
    """Return the calibrations that lie in a run folder.

    Args:
        folder: `calibrate` in the run folder.
        problems: Takes a sentence for each file that cannot be read.
    """
    found = []
    for path in sorted(folder.glob("*/summary.json")):
        content = _json(path, problems)
        if not content:
            continue
        reliability = _json(path.with_name("reliability.json"), problems)
        found.append(
            CalibrationFacts(
                name=path.parent.name,
                bundle=Path(str(content.get("bundle") or "")).name,
                promises=_texts(content.get("promises")),
                warnings=_texts(content.get("warnings")),
                parts=_numbers(content.get("parts")),
                kinds=_kinds(content.get("calibration")),
                halting=_numbers(content.get("halting")),
                report_split=str(content.get("report_split") or ""),
                before=_numbers(content.get("before")),
                after=_numbers(content.get("after")),
                sweep=_rows(path.with_name("tau_sweep.csv"), problems),
                steps=_rows(path.with_name("q_statistics.csv"), problems),
                bins_before=_bins(reliability.get("before")),
                bins_after=_bins(reliability.get("after")),
            )
        )
    return tuple(found)


def _kinds(content: object) -> tuple[str, ...]:
    """Return what was calibrated, in words."""
    if not isinstance(content, Mapping):
        return ()
    found = []
    for key in ("temperature", "window_temperature"):
        part = content.get(key)
        if isinstance(part, Mapping):
            found.append(_temperature(part))
    decision = content.get("decision")
    if isinstance(decision, Mapping):
        threshold, value = number(decision.get("threshold")), number(decision.get("value"))
        if threshold is not None and value is not None:
            figure = str(decision.get("figure") or "").upper().replace("IOU", "IoU")
            found.append(f"decision threshold {threshold:.3f} ({figure} {value:.3f} on the images it was fitted on)")
    return tuple(found)


def _temperature(part: Mapping[str, Any]) -> str:
    kind = str(part.get("name") or "")
    if kind == "scalar" and (one := number(part.get("temperature"))) is not None:
        return f"temperature {one:.3f}"
    if kind == "step" and isinstance(several := part.get("temperatures"), list):
        told = ", ".join(f"{value:.3f}" for item in several if (value := number(item)) is not None)
        return f"temperatures by step: {told}"
    return f"{kind} temperature"


def _bins(content: object) -> tuple[tuple[float, float, float], ...]:
    """Return the bins that hold pixels."""
    bins = content.get("bins") if isinstance(content, Mapping) else None
    found = []
    for one in bins if isinstance(bins, list) else []:
        if isinstance(one, Mapping):
            values = [number(one.get(key)) for key in ("stated", "found", "pixels")]
            if values[0] is not None and values[1] is not None and values[2]:
                found.append((values[0], values[1], values[2]))
    return tuple(found)


def _rows(path: Path, problems: list[str]) -> tuple[Row, ...]:
    if not path.is_file():
        return ()
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.append(f"{path} cannot be read: {error}.")
        return ()
    return tuple({name: number(cell) for name, cell in row.items() if name} for row in rows)


def _json(path: Path, problems: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except StorageError as error:
        problems.append(str(error))
        return {}
    return content if isinstance(content, dict) else {}


def _numbers(content: object) -> Row:
    return {str(key): number(value) for key, value in content.items()} if isinstance(content, Mapping) else {}


def _texts(content: object) -> tuple[str, ...]:
    return tuple(map(str, content)) if isinstance(content, list) else ()
