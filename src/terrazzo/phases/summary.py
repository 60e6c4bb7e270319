"""What each public verb returns: figures, seconds and paths, ready for a terminal, a file or a program."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.record import Record
from terrazzo.scene import SceneSummary
from terrazzo.storage import write_json

__all__ = [
    "CalibrateSummary",
    "DemoSummary",
    "EvaluateSummary",
    "PhaseTiming",
    "PredictSummary",
    "PrepareSummary",
    "RunSummary",
    "Summary",
    "TrainingSummary",
    "plain",
]


def plain(value: object) -> object:
    """Return a value as JSON can hold it: paths as text, records as mappings, a score that does not exist as null.

    >>> plain({"map": Path("a.tif"), "iou": (0.5, float("nan"))})
    {'map': 'a.tif', 'iou': [0.5, None]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Record):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise TypeError(f"a summary cannot hold {type(value).__name__}")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a verb did.

    Attributes:
        folder: Where its results lie; `summary.json` in it holds this summary.
        seconds: Wall time.
    """

    folder: Path
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Return figures, seconds and paths as plain data."""
        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def save(self) -> Path:
        """Write `summary.json` into the folder and return its path."""
        path = self.folder / "summary.json"
        write_json(path, self.as_dict())
        return path


@dataclass(frozen=True, kw_only=True)
class PrepareSummary(Summary):
    """What `prepare` found.

    Attributes:
        images: Images by split.
        patches: Patches by split.
        bands: Band names in channel order.
        classes: Class names in order.
        warnings: What a person should look at.
        previews: Pictures written by `preview`.
        masks: Folder of the labels written as images; None where none are.
        fingerprint: Identity of settings and data.
        features: Folder of the cached features; None where none were computed.
    """

    images: dict[str, int]
    patches: dict[str, int]
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    warnings: tuple[str, ...]
    previews: tuple[Path, ...]
    masks: Path | None
    fingerprint: str
    features: Path | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingSummary(Summary):
    """What `train` reached.

    Attributes:
        epochs: Epochs trained in all, earlier starts of the same run included.
        steps: Optimiser steps in all.
        monitor: Figure that chose the best epoch.
        best_epoch: Epoch of the best value, counted from 1.
        best_value: That value; NaN where nothing was monitored.
        bundle: The model file of the best epoch.
        report: The page to look at.
    """

    epochs: int
    steps: int
    monitor: str
    best_epoch: int
    best_value: float
    bundle: Path
    report: Path


@dataclass(frozen=True, kw_only=True)
class EvaluateSummary(Summary):
    """What `evaluate` measured on one split.

    Attributes:
        split: Split role.
        images: Images in it.
        pixels: Labelled pixels, each counted once.
        miou: Mean intersection over union of the classes present.
        scores: All scores, as `terrazzo.metrics.Scores.as_dict` gives them, with class colours.
        confusion: Counts, rows label, columns prediction.
        loss: Mean loss over labelled pixels; None where no configuration names a loss.
        miou_by_step: Of each step's answer, first to last; empty for a network that answers once.
        avg_steps: Mean over labelled pixels of the steps that their tile needs by the halting rule; None for a network
            that answers once.
    """

    split: str
    images: int
    pixels: int
    miou: float
    scores: dict[str, Any]
    confusion: list[list[int]]
    loss: float | None
    miou_by_step: tuple[float, ...] = ()
    avg_steps: float | None = None


@dataclass(frozen=True, kw_only=True)
class CalibrateSummary(Summary):
    """What `calibrate` found.

    Attributes:
        bundle: The new bundle; the old one stays.
        split: Role of the images, or `unlabelled`.
        parts: How many images each part had: what is fitted, chosen and reported on shares none.
        calibration: What the new bundle holds, as `terrazzo.calibration.record.Calibration` names its fields.
        promises: What is promised, or why nothing is, a sentence each.
        halting: How the halting threshold was chosen: whether any held (`feasible`), how many images one would need
            (`needed_images`), steps taken and saved; None where it was not.
        report_split: Role of the images that before and after were measured on.
        before: Figures of the old bundle on them, none of which was used to calibrate; empty without labels.
        after: The same figures of the new bundle.
        warnings: What a person should know.
    """

    bundle: Path
    split: str
    parts: dict[str, int]
    calibration: dict[str, Any]
    promises: tuple[str, ...]
    halting: dict[str, Any] | None = None
    report_split: str | None = None
    before: dict[str, float | None] = field(default_factory=dict)
    after: dict[str, float | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def told(self) -> dict[str, object]:
        """Return what a reader at a terminal wants to know; the rest stands in the file and on the page."""
        images = ", ".join(f"{count} to {name}" for name, count in self.parts.items())
        figures = [{"figure": name, "before": old, "after": self.after.get(name)} for name, old in self.before.items()]
        found: dict[str, object] = {
            "bundle": str(self.bundle),
            "folder": str(self.folder),
            "seconds": self.seconds,
            "images": f"{self.split}: {images}",
            "promises": list(self.promises),
        }
        if figures:
            found[f"on {self.report_split}"] = plain(figures)
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})


@dataclass(frozen=True, kw_only=True)
class PredictSummary(Summary):
    """What `predict` mapped.

    Attributes:
        maps: One entry a scene, as `terrazzo.scene.SceneSummary` names its fields.
    """

    maps: tuple[SceneSummary, ...]

    def told(self) -> dict[str, object]:
        """Return a line a map, and what its reader should know; the rest stands in the file and in each map's page."""
        lines = [
            {
                "map": one.out.name,
                "pixels": f"{one.height} x {one.width}",
                "valid": f"{100 * one.valid_share:.0f} %",
                "windows": one.windows - one.skipped_windows,
                "beside it": ", ".join(one.layers),
                "resumed": f"{one.resumed_strips} of {one.strips} strips" if one.resumed_strips else "",
                "unreadable": len(one.unreadable) or "",
                "time": f"{one.seconds:.1f} s",
            }
            for one in self.maps
        ]
        shown = [{name: value for name, value in line.items() if any(other[name] for other in lines)} for line in lines]
        warnings = [warning for one in self.maps for warning in one.warnings]
        return {"folder": str(self.folder), "seconds": self.seconds, "maps": shown} | (
            {"warnings": warnings} if warnings else {}
        )


@dataclass(frozen=True)
class PhaseTiming:
    """How long a phase of a run took, or why it was left out.

    Attributes:
        name: Phase.
        seconds: Wall time; 0 where skipped.
        skipped: Reason; None where it ran.
    """

    name: str
    seconds: float
    skipped: str | None


@dataclass(frozen=True, kw_only=True)
class RunSummary(Summary):
    """What `run` did.

    Attributes:
        name: Run name.
        phases: Each phase with its time, in order.
        miou: Of each evaluated split.
        bundle: The model file; None where training was skipped.
        maps: Maps written.
        report: The page to look at.
    """

    name: str
    phases: tuple[PhaseTiming, ...]
    miou: dict[str, float]
    bundle: Path | None
    maps: tuple[Path, ...]
    report: Path


@dataclass(frozen=True, kw_only=True)
class DemoSummary(Summary):
    """What `demo` made.

    Attributes:
        map: Class map of the unseen scene, a GeoTIFF.
        picture: Scene, label and map side by side, a PNG.
        report: The page to look at.
        bundle: The trained model file.
        miou: Mean intersection over union on the unseen scene.
    """

    map: Path
    picture: Path
    report: Path
    bundle: Path
    miou: float
