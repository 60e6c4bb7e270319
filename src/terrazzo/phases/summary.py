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
    "CompareSummary",
    "DemoSummary",
    "EnsembleSummary",
    "EvaluateSummary",
    "EvaluationsSummary",
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
        loss: Mean loss over labelled pixels; None on whole images, and where no configuration names a loss.
        miou_by_step: Of each step's answer on patches, first to last; empty for a network that answers once.
        avg_steps: Mean over labelled pixels of the steps that were taken; None for a network that answers once.
        on: Whether whole images were judged, as maps are made, or patches.
        intervals: 95 % intervals of an image-level bootstrap, as
            `terrazzo.metrics.intervals.ConfusionIntervals.as_dict` gives them; empty for patches and for one image.
        boundary: Boundary F1 and boundary IoU, as `terrazzo.metrics.boundary.BoundaryScores.as_dict` gives them, with
            intervals; empty where they were not measured.
        reliability: Main figures of how far confidence can be believed; `reliability.json` holds all. Empty likewise.
        confidence: Mean over labelled pixels of the probability of the class that was answered.
        regions: A row of figures for each region.
        calibrated: Whether a calibration of the bundle was applied.
        without_calibration: Main figures without it; empty where there is none.
        warnings: What a reader of the figures should know.
        plots: Figures of images.
        masks: Folder of the predicted classes; None where they were not asked for.
        probabilities: Folder of the probabilities; None likewise.
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
    on: str = "patches"
    intervals: dict[str, Any] = field(default_factory=dict)
    boundary: dict[str, Any] = field(default_factory=dict)
    reliability: dict[str, float | None] = field(default_factory=dict)
    confidence: float | None = None
    regions: tuple[dict[str, Any], ...] = ()
    calibrated: bool = False
    without_calibration: dict[str, float | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    plots: tuple[Path, ...] = ()
    masks: Path | None = None
    probabilities: Path | None = None

    def told(self) -> dict[str, object]:
        """Return what a reader at a terminal wants to know; the rest stands in the files and on the page."""
        found: dict[str, object] = {
            "folder": str(self.folder),
            "seconds": self.seconds,
            "split": f"{self.split}: {self.images} image{'' if self.images == 1 else 's'}, "
            f"{self.pixels:,} labelled pixels, {'whole' if self.on == 'images' else 'patch by patch'}",
        }
        if self.pixels:
            found |= self._figures()
        if len(self.plots) == 1:
            found["plot"] = str(self.plots[0])
        elif self.plots:
            found["plots"] = str(self.folder / "plots")
        found |= {
            name: str(path) for name, path in (("masks", self.masks), ("probabilities", self.probabilities)) if path
        }
        if self.pixels:
            found["classes"] = [self._class_line(row) for row in self.scores["classes"]]
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})

    def _figures(self) -> dict[str, object]:
        found: dict[str, object] = {
            "miou": _with_interval(self.miou, self.intervals.get("miou")),
            "accuracy": _with_interval(self.scores["accuracy"], self.intervals.get("accuracy")),
        }
        if self.boundary:
            found["boundary F1"] = ", ".join(
                f"{_figure(value)} within {name}{'' if name.endswith('%') else ' px'}"
                for name, value in zip(self.boundary["tolerances"], self.boundary["f1"], strict=True)
            )
            found["boundary IoU"] = _figure(self.boundary["boundary_iou"])
        if self.reliability:
            found["reliability"] = ", ".join(
                f"{name.replace('_', ' ')} {_figure(self.reliability[name])}" for name in ("ece", "brier", "nll")
            )
        if self.without_calibration:
            found["without calibration"] = ", ".join(
                f"{name.replace('_', ' ')} {_figure(value)}" for name, value in self.without_calibration.items()
            )
        if self.avg_steps is not None:
            found["mean steps"] = self.avg_steps
        if self.loss is not None:
            found["loss"] = self.loss
        return found

    def _class_line(self, row: Mapping[str, Any]) -> dict[str, object]:
        by_name = {one["name"]: one for one in self.intervals.get("classes", ())}
        ends = by_name.get(row["name"], {}).get("iou")
        line: dict[str, object] = {"class": row["name"], "iou": row["iou"]}
        if ends is not None:
            known = ends["low"] is not None and ends["high"] is not None
            line["95 % interval"] = f"{ends['low']:.3f} to {ends['high']:.3f}" if known else "-"
        return line | {"f1": row["f1"], "precision": row["precision"], "recall": row["recall"], "pixels": row["pixels"]}


def _figure(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _with_interval(value: float | None, interval: Mapping[str, Any] | None) -> str:
    """Return a figure with its interval, where there is one."""
    if interval is None or interval.get("low") is None or interval.get("high") is None:
        return _figure(value)
    return f"{_figure(value)} ({interval['low']:.3f} to {interval['high']:.3f})"


@dataclass(frozen=True, kw_only=True)
class CompareSummary(Summary):
    """How two systems differ on the same images.

    Attributes:
        first: The first system.
        second: The second.
        split: Role of the images.
        images: How many there are.
        comparison: First less second, as `terrazzo.metrics.intervals.PairedComparison.as_dict` gives it.
    """

    first: Path
    second: Path
    split: str
    images: int
    comparison: dict[str, Any]

    def told(self) -> dict[str, object]:
        """Return a line a figure."""
        rows = [("mIoU", self.comparison["miou"]), ("accuracy", self.comparison["accuracy"])]
        rows += [(f"IoU {one['name']}", one["iou"]) for one in self.comparison["classes"]]
        return {
            "folder": str(self.folder),
            "seconds": self.seconds,
            "A": str(self.first),
            "B": str(self.second),
            "images": f"{self.images} of {self.split}",
            "differences": [_difference_line(name, found) for name, found in rows],
        }


def _difference_line(name: str, found: Mapping[str, float | None]) -> dict[str, object]:
    low, high, p_value = found["low"], found["high"], found["p_value"]
    return {
        "figure": name,
        "A": found["first"],
        "B": found["second"],
        "A - B": found["value"],
        "95 % interval": "-" if low is None or high is None else f"{low:+.4f} to {high:+.4f}",
        "p": "-" if p_value is None else f"{p_value:.4f}",
    }


@dataclass(frozen=True, kw_only=True)
class EvaluationsSummary(Summary):
    """What `evaluate` measured on several splits.

    Attributes:
        evaluations: One a split.
    """

    evaluations: tuple[EvaluateSummary, ...]

    def as_dict(self) -> dict[str, object]:
        """Return figures, seconds and paths as plain data, split by split."""
        return {
            "folder": str(self.folder),
            "seconds": self.seconds,
            "evaluations": {one.split: one.as_dict() for one in self.evaluations},
        }

    def told(self) -> dict[str, object]:
        """Return a line a split; the rest stands in the files and on the page."""
        lines = [
            {
                "split": one.split,
                "images": one.images,
                "mIoU": _with_interval(one.miou, one.intervals.get("miou")),
                "accuracy": one.scores["accuracy"],
                "boundary IoU": one.boundary.get("boundary_iou"),
                "ece": one.reliability.get("ece"),
                "folder": one.folder.name,
            }
            for one in self.evaluations
        ]
        warnings = [f"{one.split}: {warning}" for one in self.evaluations for warning in one.warnings]
        return {"folder": str(self.folder), "seconds": self.seconds, "splits": lines} | (
            {"warnings": warnings} if warnings else {}
        )


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
        images = ", ".join(f"{count} for {name}" for name, count in self.parts.items())
        figures = [{"figure": name, "before": old, "after": self.after.get(name)} for name, old in self.before.items()]
        found: dict[str, object] = {
            "bundle": str(self.bundle),
            "folder": str(self.folder),
            "seconds": self.seconds,
            "images": f"{self.split}: {images}",
        }
        if self.promises:
            found["promises"] = [{"what is promised": promise} for promise in self.promises]
        if figures:
            found[f"on {self.report_split}"] = plain(figures)
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})


@dataclass(frozen=True, kw_only=True)
class EnsembleSummary(Summary):
    """What `ensemble` joined.

    Attributes:
        bundle: The new bundle.
        members: What it was made of.
        parameters: Numbers in all members' weights.
    """

    bundle: Path
    members: tuple[Path, ...]
    parameters: int


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
                "resumed": _resumed(one),
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


def _resumed(scene: SceneSummary) -> str:
    """Return what an earlier start had done."""
    if scene.kept:
        return "finished before, kept"
    return f"{scene.resumed_strips} of {scene.strips} strips" if scene.resumed_strips else ""


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
