"""What a run folder holds, read leniently: a part that is missing or damaged is named, and the rest still shown."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.errors import DataError, StorageError
from terrazzo.storage import read_json

__all__ = ["Evaluated", "RunContents", "number", "read_run"]

SPLIT_ORDER = ("test", "val", "calibrate", "train")
"""What was kept apart longest comes first."""


@dataclass(frozen=True)
class Evaluated:
    """Scores of one split.

    Attributes:
        split: Role of the images.
        summary: What the evaluation wrote.
        samples: Pictures of samples.
    """

    split: str
    summary: Mapping[str, Any]
    samples: tuple[Path, ...]


@dataclass(frozen=True)
class RunContents:
    """The files of a run folder.

    Attributes:
        folder: The run folder.
        history: Rows of log.csv: column to number, None where empty.
        data: data.json.
        summary: summary.json.
        metadata: metadata.json.
        config: Text of config.yaml.
        evaluated: Scores of each evaluated split.
        maps: What the mapping wrote about each scene.
        pictures: Quick looks of maps.
        problems: Parts that exist but cannot be read.
    """

    folder: Path
    history: tuple[Mapping[str, float | None], ...]
    data: Mapping[str, Any]
    summary: Mapping[str, Any]
    metadata: Mapping[str, Any]
    config: str
    evaluated: tuple[Evaluated, ...]
    maps: tuple[Mapping[str, Any], ...]
    pictures: tuple[Path, ...]
    problems: tuple[str, ...] = field(default=())


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else; a score that does not exist is null in JSON.

    >>> number("0.5"), number(None), number(float("nan")), number("")
    (0.5, None, None, None)
    """
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def read_run(folder: Path) -> RunContents:
    """Read what a run folder holds so far.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no run folder; expected a folder such as runs/<name>.")
    problems: list[str] = []
    mapped = _json(folder / "predict" / "summary.json", problems)
    return RunContents(
        folder=folder,
        history=_history(folder / "log.csv", problems),
        data=_json(folder / "data.json", problems),
        summary=_json(folder / "summary.json", problems),
        metadata=_json(folder / "metadata.json", problems),
        config=_text(folder / "config.yaml", problems),
        evaluated=_evaluated(folder / "evaluate", problems),
        maps=tuple(_mappings(mapped.get("maps"))),
        pictures=tuple(sorted((folder / "predict").glob("**/*.png"))),
        problems=tuple(problems),
    )


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    """The mappings of a list; nothing of anything else."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


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


def _history(path: Path, problems: list[str]) -> tuple[Mapping[str, float | None], ...]:
    """Rows of the log; a word in a cell counts as empty."""
    try:
        rows = list(csv.DictReader(_text(path, problems).splitlines()))
    except csv.Error as error:
        problems.append(f"{path} is no table: {error}.")
        return ()
    return tuple({column: number(cell) for column, cell in row.items() if column} for row in rows)


def _evaluated(folder: Path, problems: list[str]) -> tuple[Evaluated, ...]:
    found = []
    for path in sorted(folder.glob("*/summary.json"), key=_split_rank):
        summary = _json(path, problems)
        if summary:
            samples = tuple(sorted((path.parent / "samples").glob("*.png")))
            found.append(Evaluated(path.parent.name, summary, samples))
    return tuple(found)


def _split_rank(path: Path) -> tuple[int, str]:
    split = path.parent.name
    return (SPLIT_ORDER.index(split) if split in SPLIT_ORDER else len(SPLIT_ORDER), split)
