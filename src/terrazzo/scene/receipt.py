"""What a finished map leaves beside it, so that the same command, started again, need not make it once more.

A folder of a thousand scenes that was stopped at the six hundredth goes on there. Nothing is taken on trust: the map
counts as finished only where its files are those that were written, it was asked and decided the same, and every strip
of the scene still holds the pixels that it was computed from, which are read and hashed again.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from terrazzo.errors import StorageError
from terrazzo.record import Record
from terrazzo.scene.header import Header, Request
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.quality import SceneQuality
from terrazzo.scene.reader import RowSource
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strip_file import StripRecord
from terrazzo.scene.summary import SceneSummary
from terrazzo.scene.workforce.resume import strips_of_the_same_pixels
from terrazzo.storage import fingerprint, read_json, write_json

__all__ = ["Receipt", "receipt_path"]

WITHOUT_EFFECT = frozenset(
    {
        "enable", "inputs", "out", "backbone", "memory_gib", "workers", "executor", "retries", "max_errors", "report",
        "force",
    }
)  # fmt: skip
"""Settings that leave no mark in any file of a map that was made without an unreadable block."""

SUMMARY: TypeAdapter[SceneSummary] = TypeAdapter(SceneSummary)


def receipt_path(out: Path) -> Path:
    """Return where a map's receipt lies.

    >>> receipt_path(Path("maps/a.tif")).name
    '.a.tif.receipt.json'
    """
    return out.with_name(f".{out.name}.receipt.json")


class Receipt(Record):
    """What a map was made from, which files it is, and what was told of it."""

    format: Literal[1] = 1
    """Number of the receipt's format."""
    header: Header
    """What was asked and decided."""
    settings: str
    """Fingerprint of all settings that leave a mark in one of the files."""
    notes: dict[str, str]
    """The provenance that stands in the files."""
    keys: dict[int, str]
    """Key of each strip: it holds the hash of the pixels that the strip was computed from."""
    files: dict[str, tuple[int, int]]
    """Bytes and time of last change in nanoseconds of each file, by its name."""
    summary: dict[str, Any]
    """The summary, as plain data."""
    quality: SceneQuality
    """What the map says of its quality."""

    @classmethod
    def of(
        cls,
        summary: SceneSummary,
        quality: SceneQuality,
        *,
        header: Header,
        settings: PredictSettings,
        notes: Mapping[str, str],
        records: Mapping[int, StripRecord],
    ) -> "Receipt":
        """Return the receipt of a map whose files are complete.

        Args:
            summary: Names the files.
            quality: Of the map.
            header: What was asked and decided.
            settings: How it was mapped.
            notes: Its provenance.
            records: Every strip's.
        """
        return cls(
            header=header,
            settings=_asked(settings),
            notes=dict(notes),
            keys={number: record.key for number, record in records.items()},
            files={path.name: _state(path) for path in _files(summary)},
            summary=SUMMARY.dump_python(summary, mode="json"),
            quality=quality,
        )

    def write(self, out: Path) -> None:
        """Leave it beside a map."""
        write_json(receipt_path(out), self.model_dump(mode="json"))

    @classmethod
    def read(cls, out: Path) -> "Receipt | None":
        """Return the receipt of a map; None where there is none, or it is damaged."""
        try:
            return cls.model_validate(read_json(receipt_path(out)))
        except (StorageError, ValidationError):
            return None

    def told(self) -> SceneSummary:
        """Return the summary of that time."""
        return SUMMARY.validate_python(self.summary)

    def holds(self, out: Path, request: Request, settings: PredictSettings, notes: Mapping[str, str]) -> bool:
        """Whether the map is there as it was written, and the same is asked now; no pixel is looked at yet.

        Args:
            out: The map.
            request: What is asked now.
            settings: How it would be mapped now.
            notes: The provenance that it would get now.
        """
        if self.header.request != request or self.settings != _asked(settings) or self.notes != dict(notes):
            return False
        summary = self.told()
        # What could not be read may be readable by now.
        if summary.out.resolve() != out.resolve() or summary.unreadable:
            return False
        try:
            return {path.name: _state(path) for path in _files(summary)} == self.files
        except OSError:
            return False

    def same_pixels(
        self,
        plan: ScenePlan,
        open_source: Callable[[], AbstractContextManager[RowSource]],
        *,
        checked: Callable[[int], None],
    ) -> bool:
        """Whether every strip of the scene holds the pixels that the map was computed from.

        Args:
            plan: How the scene is cut.
            open_source: Opens the scene's pixels; called once a thread.
            checked: Hears the number of each strip that was looked at, in a thread.
        """
        if self.keys.keys() != {strip.number for strip in plan.strips}:
            return False
        same = strips_of_the_same_pixels(self.keys, plan, open_source, self.header, checked=checked)
        return len(same) == len(self.keys)


def _files(summary: SceneSummary) -> Iterator[Path]:
    yield summary.out
    yield from summary.layers.values()


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _asked(settings: PredictSettings) -> str:
    return fingerprint(settings.model_dump(mode="json", exclude=set(WITHOUT_EFFECT)))
