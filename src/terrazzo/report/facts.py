"""What the files of a run say, in fixed types: whatever has another shape counts as not there and stops no page."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terrazzo.report.loose import mapping_of, mappings_of, sequence_of, text_of, texts_of

__all__ = [
    "GREY",
    "BandFacts",
    "ClassFacts",
    "DataFacts",
    "MapFacts",
    "PhaseFacts",
    "SplitFacts",
    "data_facts",
    "map_facts",
    "number",
    "phase_facts",
    "split_facts",
]

GREY = (128, 128, 128)
"""Colour of a class whose own is not known."""
LARGEST = 1e300
"""No figure of a run is larger; arithmetic on larger ones would overflow."""


@dataclass(frozen=True)
class ClassFacts:
    """A class and its scores on a split; None where a score does not exist.

    Attributes:
        name: The class.
        colour: Red, green, blue, 0..255.
        iou: 0..1.
        f1: 0..1.
        precision: 0..1.
        recall: 0..1.
        pixels: Labelled pixels.
    """

    name: str
    colour: tuple[int, int, int]
    iou: float | None = None
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    pixels: float | None = None


@dataclass(frozen=True)
class SplitFacts:
    """What an evaluation measured; None where a figure does not exist.

    Attributes:
        split: Role of the images.
        figures: Figures of the whole split by name, such as miou, accuracy, loss, images, pixels.
        classes: Classes with their scores, in order.
        absent: Classes neither labelled nor predicted.
        confusion: Pixels, rows label, columns prediction; None where no whole matrix of these classes was written.
        miou_by_step: mIoU of each step, of a network that answers in steps.
    """

    split: str
    figures: Mapping[str, float | None]
    classes: tuple[ClassFacts, ...]
    absent: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    miou_by_step: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class BandFacts:
    """A band and its normalisation.

    Attributes:
        name: The band.
        dtype: Type of the raw values.
        unit: Of the physical values.
        nodata: Raw value of missing pixels.
        mean: Of the raw values over the training pixels.
        deviation: Likewise.
    """

    name: str
    dtype: str
    unit: str
    nodata: float | None
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class DataFacts:
    """What prepared data holds.

    Attributes:
        classes: Names and colours.
        pixels: Labelled pixels by split and class; splits whose counts do not fit the classes are left out.
        counts: Title to count by split: images, patches, ignored and unlisted pixels.
        warnings: What a person should look at.
        bands: In channel order.
        resolution_m: Metres a pixel.
        patch_size: Pixels a side.
    """

    classes: tuple[ClassFacts, ...]
    pixels: Mapping[str, tuple[int, ...]]
    counts: Mapping[str, Mapping[str, float | None]]
    warnings: tuple[str, ...]
    bands: tuple[BandFacts, ...]
    resolution_m: float | None
    patch_size: float | None


@dataclass(frozen=True)
class MapFacts:
    """What mapping a scene came to.

    Attributes:
        out: The map's path.
        height: Rows.
        width: Columns.
        valid_share: Share of pixels that the scene measured, 0..1.
        class_pixels: Pixels of each class.
        seconds: Wall time.
        warnings: What the map's reader should know.
    """

    out: str
    height: float | None = None
    width: float | None = None
    valid_share: float | None = None
    class_pixels: tuple[int, ...] = ()
    seconds: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhaseFacts:
    """A phase of a run.

    Attributes:
        name: Such as train.
        seconds: Wall time.
        skipped: Why it was left out; empty where it ran.
    """

    name: str
    seconds: float | None
    skipped: str


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else; a score that does not exist is null in JSON.

    >>> number("0.5"), number(None), number(float("nan")), number(""), number(True)
    (0.5, None, None, None, None)
    """
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < LARGEST else None


def split_facts(split: str, content: Mapping[str, Any]) -> SplitFacts:
    """Return what `evaluate/<split>/summary.json` says.

    Args:
        split: Name of the folder, which is the split.
        content: The file.
    """
    classes = tuple(_class(entry) for entry in mappings_of(content.get("classes")))
    names = (
        "miou",
        "accuracy",
        "mean_accuracy",
        "frequency_weighted_iou",
        "foreground_iou",
        "loss",
        "images",
        "pixels",
        "avg_steps",
    )
    return SplitFacts(
        split=split,
        figures={name: number(content.get(name)) for name in names},
        classes=classes,
        absent=texts_of(content.get("absent")),
        confusion=_matrix(content.get("confusion"), len(classes)),
        miou_by_step=tuple(number(value) for value in sequence_of(content.get("miou_by_step"))),
    )


def data_facts(content: Mapping[str, Any]) -> DataFacts:
    """Return what `data.json` says."""
    classes = tuple(_class(entry) for entry in mappings_of(content.get("classes")))
    pixels = {split: _counts(row) for split, row in mapping_of(content.get("pixel_counts")).items()}
    titles = {
        "images": "images",
        "patches": "patches",
        "ignored pixels": "ignored_counts",
        "pixels that no class lists": "unlisted_counts",
    }
    counts = {title: mapping_of(content.get(key)) for title, key in titles.items()}
    return DataFacts(
        classes=classes,
        pixels={split: row for split, row in pixels.items() if row and len(row) == len(classes)},
        counts={title: {split: number(value) for split, value in found.items()} for title, found in counts.items()},
        warnings=texts_of(content.get("warnings")),
        bands=_bands(content),
        resolution_m=number(content.get("resolution_m")),
        patch_size=number(content.get("patch_size")),
    )


def map_facts(predicted: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[MapFacts, ...]:
    """Return the maps that `predict/summary.json` describes, or those that the run's summary names.

    Args:
        predicted: predict/summary.json.
        summary: summary.json of the run.
    """
    found = tuple(
        MapFacts(
            out=text_of(entry.get("out")),
            height=number(entry.get("height")),
            width=number(entry.get("width")),
            valid_share=number(entry.get("valid_share")),
            class_pixels=_counts(entry.get("class_pixels")),
            seconds=number(entry.get("seconds")),
            warnings=texts_of(entry.get("warnings")),
        )
        for entry in mappings_of(predicted.get("maps"))
    )
    return found or tuple(MapFacts(out=path) for path in texts_of(summary.get("maps")))


def phase_facts(summary: Mapping[str, Any]) -> tuple[PhaseFacts, ...]:
    """Return the phases that `summary.json` of a run lists, in order."""
    return tuple(
        PhaseFacts(text_of(entry.get("name")), number(entry.get("seconds")), text_of(entry.get("skipped")))
        for entry in mappings_of(summary.get("phases"))
    )


def _class(entry: Mapping[str, Any]) -> ClassFacts:
    scores = {key: number(entry.get(key)) for key in ("iou", "f1", "precision", "recall", "pixels")}
    return ClassFacts(text_of(entry.get("name")) or "unnamed", _colour(entry.get("colour")), **scores)


def _bands(content: Mapping[str, Any]) -> tuple[BandFacts, ...]:
    normalisation = mapping_of(content.get("normalisation"))
    means, deviations = sequence_of(normalisation.get("mean")), sequence_of(normalisation.get("std"))
    bands = content.get("bands")
    return tuple(
        BandFacts(
            name=text_of(entry.get("name")) or f"band {index + 1}",
            dtype=text_of(entry.get("dtype")),
            unit=text_of(entry.get("unit")),
            nodata=number(entry.get("nodata")),
            mean=number(means[index]) if index < len(means) else None,
            deviation=number(deviations[index]) if index < len(deviations) else None,
        )
        for index, entry in enumerate(mappings_of(bands))
    )


def _colour(value: object) -> tuple[int, int, int]:
    channels = _counts(value)
    return (channels[0], channels[1], channels[2]) if len(channels) == 3 and max(channels) <= 255 else GREY


def _matrix(value: object, size: int) -> tuple[tuple[int, ...], ...] | None:
    rows = tuple(_counts(row) for row in sequence_of(value))
    return rows if size and len(rows) == size and all(len(row) == size for row in rows) else None


def _counts(value: object) -> tuple[int, ...]:
    """Return whole numbers from 0; nothing at all where any of them is something else."""
    found = sequence_of(value)
    if any(not isinstance(item, int) or isinstance(item, bool) or item < 0 or item > LARGEST for item in found):
        return ()
    return tuple(found)
