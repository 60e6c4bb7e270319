"""What a run folder holds, read leniently: a part that is missing or damaged is named, and the rest still shown."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.errors import DataError, StorageError
from terrazzo.report.calibration_facts import CalibrationFacts, calibrations
from terrazzo.report.facts import (
    DataFacts,
    MapFacts,
    PhaseFacts,
    SplitFacts,
    data_facts,
    map_facts,
    number,
    phase_facts,
    split_facts,
)
from terrazzo.report.judged import JudgedFacts, judged_facts, read_table
from terrazzo.storage import read_json

__all__ = ["Evaluated", "Row", "RunContents", "best_epoch", "read_run"]

SPLIT_ORDER = ("test", "val", "calibrate", "train")
"""What was kept apart longest comes first."""
KNOWN = (
    "log.csv",
    "metadata.json",
    "config.yaml",
    "data.json",
    "summary.json",
    "verify.json",
    "evaluate/*/summary.json",
    "calibrate/*/summary.json",
)
"""A folder that holds none of these is no run folder."""

Row = Mapping[str, float | None]
"""A row of log.csv: column to number, None where empty."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluated split.

    Attributes:
        facts: Scores.
        samples: Pictures of samples: image, label, prediction, error.
        judged: What whole images were judged by besides.
        trust: reliability.json: how far confidence can be believed.
    """

    facts: SplitFacts
    samples: tuple[Path, ...]
    judged: JudgedFacts = field(default_factory=JudgedFacts)
    trust: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunContents:
    """The files of a run folder.

    Attributes:
        folder: The run folder.
        history: Rows of log.csv, an epoch each.
        data: data.json; None where it is missing.
        verified: verify.json: findings, footprints, distances.
        gallery: data/gallery.json: pictures of each class.
        summary: summary.json.
        metadata: metadata.json.
        config: Text of config.yaml.
        phases: Phases with their times.
        evaluated: Scores of each evaluated split.
        calibrated: What each calibration found.
        samples: Pictures of the last epoch's worst validation samples.
        maps: What the mapping wrote about each scene.
        pictures: Quick looks of maps.
        problems: Parts that exist but cannot be read.
    """

    folder: Path
    history: tuple[Row, ...] = ()
    data: DataFacts | None = None
    verified: Mapping[str, Any] = field(default_factory=dict)
    gallery: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""
    phases: tuple[PhaseFacts, ...] = ()
    evaluated: tuple[Evaluated, ...] = ()
    calibrated: tuple[CalibrationFacts, ...] = ()
    samples: tuple[Path, ...] = ()
    maps: tuple[MapFacts, ...] = ()
    pictures: tuple[Path, ...] = ()
    problems: tuple[str, ...] = ()


def read_run(folder: Path) -> RunContents:
    """Read what a run folder holds so far.

    Raises:
        DataError: The folder does not exist, or holds nothing of a run.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no run folder; expected a folder such as runs/<name>.")
    if not any(any(folder.glob(name)) for name in KNOWN):
        raise DataError(
            f"{folder} holds nothing of a run (none of {', '.join(KNOWN)}), so there is nothing to report; "
            "expected a folder such as runs/<name> that `terrazzo train` has written."
        )
    problems: list[str] = []
    data = _json(folder / "data.json", problems)
    summary = _json(folder / "summary.json", problems)
    return RunContents(
        folder=folder,
        history=_history(folder / "log.csv", problems),
        data=data_facts(data) if data else None,
        verified=_json(folder / "verify.json", problems),
        gallery=_json(folder / "data" / "gallery.json", problems),
        summary=summary,
        metadata=_json(folder / "metadata.json", problems),
        config=_text(folder / "config.yaml", problems),
        phases=phase_facts(summary),
        evaluated=_evaluated(folder / "evaluate", problems),
        calibrated=calibrations(folder / "calibrate", problems),
        samples=_pictures(folder / "samples", "*.png"),
        maps=map_facts(_json(folder / "predict" / "summary.json", problems), summary),
        pictures=_pictures(folder / "predict", "**/*.png"),
        problems=tuple(problems),
    )


def best_epoch(history: Sequence[Row], metadata: Mapping[str, Any]) -> tuple[str, float, float] | None:
    """Return the monitored figure, and epoch and value of its best; the first of equals, as training chooses.

    Args:
        history: Rows of log.csv.
        metadata: Its configuration says what was monitored; val_miou where it does not.

    >>> best_epoch([{"epoch": 1.0, "val_miou": 0.5}, {"epoch": 2.0, "val_miou": 0.5}], {})
    ('val_miou', 1.0, 0.5)
    """
    monitor: object = metadata
    for key in ("config", "train", "monitor"):
        monitor = monitor.get(key) if isinstance(monitor, Mapping) else None
    settings = monitor if isinstance(monitor, Mapping) else {"figure": monitor}
    figure = str(settings.get("figure") or "val_miou")
    mode = settings.get("mode", "auto")
    sign = -1 if mode == "min" or (mode != "max" and figure.endswith("loss")) else 1
    known = [(row.get("epoch"), row.get(figure)) for row in history]
    pairs = [(epoch, value) for epoch, value in known if epoch is not None and value is not None]
    if not pairs:
        return None
    epoch, value = max(pairs, key=lambda pair: (sign * pair[1], -pair[0]))
    return figure, epoch, value


def _json(path: Path, problems: list[str]) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = read_json(path)
    except StorageError as error:
        problems.append(str(error))
        return {}
    if not isinstance(content, dict):
        problems.append(f"{path} holds no JSON object.")
        return {}
    return content


def _text(path: Path, problems: list[str]) -> str:
    if not path.is_file():
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path} cannot be read: {error}.")
        return ""


def _history(path: Path, problems: list[str]) -> tuple[Row, ...]:
    """Read the rows of the log; a word in a cell counts as empty, and a row without an epoch as none."""
    try:
        rows = list(csv.DictReader(_text(path, problems).splitlines()))
    except csv.Error as error:
        problems.append(f"{path} is no table: {error}.")
        return ()
    read = [{column: number(cell) for column, cell in row.items() if column} for row in rows]
    return tuple(row for row in read if row.get("epoch") is not None)


def _evaluated(folder: Path, problems: list[str]) -> tuple[Evaluated, ...]:
    found = []
    for path in sorted(folder.glob("*/summary.json"), key=_split_rank):
        summary = _json(path, problems)
        if summary:
            split = path.parent.name
            found.append(
                Evaluated(
                    facts=split_facts(split, summary),
                    samples=_pictures(path.parent / "samples", "*.png"),
                    judged=judged_facts(summary, read_table(path.parent / "per_image.csv")),
                    trust=_json(path.parent / "reliability.json", problems),
                )
            )
    return tuple(found)


def _pictures(folder: Path, pattern: str) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.glob(pattern) if not path.name.startswith(".")))


def _split_rank(path: Path) -> tuple[int, str]:
    split = path.parent.name
    # A named validation set stands behind the split val.
    role = "val" if split.startswith("val_") else split
    return (SPLIT_ORDER.index(role) if role in SPLIT_ORDER else len(SPLIT_ORDER), split)
