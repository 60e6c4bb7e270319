"""How good a map is as far as it tells itself: areas, confidence, seams, contradictions between windows, drift."""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Int64

from terrazzo.data.classes import Classes
from terrazzo.record import Record
from terrazzo.scene.assemble import Seam
from terrazzo.scene.coarse import CoarseMean, CoarseRaster
from terrazzo.scene.disagreement import Disagreement, measure_disagreement
from terrazzo.scene.drift import DriftReport
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import CONFIDENCE_STEPS, STEPS_SCALE
from terrazzo.scene.quality_meter import QualityMeter
from terrazzo.scene.seam_energy import SeamEnergy, SeamProfile
from terrazzo.scene.strip_file import StripRecord

__all__ = ["ClassQuality", "ConfidenceQuality", "SceneQuality", "SeamQuality", "StepsQuality", "measure_quality"]

CONFIDENCE_BINS = 32
"""Of the histogram; stored confidences have 255 values."""


class ClassQuality(Record):
    """What a map says of one class."""

    name: str
    """Its name."""
    colour: tuple[int, int, int]
    """Red, green and blue."""
    pixels: int
    """Pixels of the map."""
    share: float | None
    """Share of the measured pixels, 0..1; None where nothing was measured."""
    hectares: float | None
    """Ground that they cover, on the ellipsoid; None where the scene's place on earth is unknown."""
    confidence: float | None
    """Mean confidence of its pixels, 0..1; None without pixels or without confidence."""


class ConfidenceQuality(Record):
    """How sure the network is of its classes."""

    mean: float | None
    """Mean over the measured pixels, 0..1."""
    histogram: tuple[int, ...]
    """Pixels by confidence, in equal bins from 0 to 1."""
    map: CoarseRaster
    """Means over squares of pixels."""


class StepsQuality(Record):
    """How many steps the network took."""

    mean: float | None
    """Mean over the measured pixels."""
    histogram: tuple[tuple[float, int], ...]
    """Steps, in tenths where windows fade into each other, and how many pixels took them; only those that occur."""
    map: CoarseRaster
    """Means over squares of pixels."""


class SeamQuality(Record):
    """Whether the map shows where windows meet."""

    classes: SeamEnergy
    """Share of neighbouring pixels of two classes."""
    class_profile: SeamProfile
    """The same by distance from the nearest seam."""
    confidence: SeamEnergy | None
    """Mean difference of neighbouring confidences, 0..1; None without confidence."""
    confidence_profile: SeamProfile | None
    """The same by distance from the nearest seam."""


class SceneQuality(Record):
    """What a map says of its own quality."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    window: tuple[int, int]
    """Height and width of a window, without margin."""
    fade: int
    """Pixels over which two windows side by side fade into each other, at most; 0 where they do not overlap."""
    classes: tuple[ClassQuality, ...]
    """Every class."""
    nodata_share: float
    """Share of pixels that were not measured, 0..1."""
    looked_at: int
    """Measured pixels in the rows from which confidence, steps and seams are taken."""
    confidence: ConfidenceQuality | None
    """None where the map has no layer of it."""
    steps: StepsQuality | None
    """None where the map has no layer of them."""
    seams: SeamQuality
    """Whether the map shows where windows meet."""
    disagreement: Disagreement
    """Where windows contradict each other."""
    drift: DriftReport | None
    """How far the scene's values lie from the training's; None where that was not looked at."""


def measure_quality(
    plan: ScenePlan,
    records: Mapping[int, StripRecord],
    seams: Iterable[Seam],
    meter: QualityMeter,
    classes: Classes,
    *,
    drift: DriftReport | None = None,
) -> SceneQuality:
    """Return a finished map's quality.

    Args:
        plan: How the scene was cut.
        records: Every strip's.
        seams: How the two sides of each border between strips agree.
        meter: Has seen all rows of the map.
        classes: The map's classes.
        drift: How far the scene's values lie from the training's.
    """
    pixels = plan.grid.height * plan.grid.width
    fades = [fade.stop - fade.start for axis in (plan.rows, plan.columns) for fade in axis.fades]
    return SceneQuality(
        height=plan.grid.height,
        width=plan.grid.width,
        window=(plan.rows.size, plan.columns.size),
        fade=max(fades, default=0),
        classes=_classes(meter, classes),
        nodata_share=1 - int(meter.class_pixels.sum()) / pixels,
        looked_at=int(meter.looked_at.sum()),
        confidence=None if meter.confidence is None else _confidence(meter, meter.confidence),
        steps=None if meter.steps is None else _steps(meter, meter.steps),
        seams=_seams(meter),
        disagreement=measure_disagreement(plan, records, seams),
        drift=drift,
    )


def _classes(meter: QualityMeter, classes: Classes) -> tuple[ClassQuality, ...]:
    measured = int(meter.class_pixels.sum())
    ground = meter.class_square_metres
    found = []
    for number, item in enumerate(classes.items):
        seen = int(meter.looked_at[number])
        sure = float(meter.confidence_sums[number]) / seen / CONFIDENCE_STEPS if meter.confidence and seen else None
        count = int(meter.class_pixels[number])
        found.append(
            ClassQuality(
                name=item.name,
                colour=tuple(item.colour),
                pixels=count,
                share=count / measured if measured else None,
                hectares=None if ground is None else float(ground[number]) / 10_000,
                confidence=sure,
            )
        )
    return tuple(found)


def _confidence(meter: QualityMeter, coarse: CoarseMean) -> ConfidenceQuality:
    counts = meter.confidence_counts
    # The last stored value, 1 itself, belongs to the last bin.
    bins = np.minimum(np.arange(len(counts)) * CONFIDENCE_BINS // CONFIDENCE_STEPS, CONFIDENCE_BINS - 1)
    histogram = np.bincount(bins, weights=counts, minlength=CONFIDENCE_BINS)
    return ConfidenceQuality(
        mean=_mean(counts, CONFIDENCE_STEPS),
        histogram=tuple(int(count) for count in histogram),
        map=CoarseRaster.of(coarse.means(float(CONFIDENCE_STEPS))),
    )


def _steps(meter: QualityMeter, coarse: CoarseMean) -> StepsQuality:
    counts = meter.steps_counts
    return StepsQuality(
        mean=_mean(counts, STEPS_SCALE),
        histogram=tuple((int(value) / STEPS_SCALE, int(counts[value])) for value in np.flatnonzero(counts)),
        map=CoarseRaster.of(coarse.means(float(STEPS_SCALE))),
    )


def _mean(counts: Int64[np.ndarray, " value"], scale: int) -> float | None:
    total = int(counts.sum())
    return float((counts * np.arange(len(counts))).sum()) / total / scale if total else None


def _seams(meter: QualityMeter) -> SeamQuality:
    measured = meter.confidence is not None
    return SeamQuality(
        classes=meter.seams.energy("class"),
        class_profile=meter.seams.profile("class"),
        confidence=_scaled(meter.seams.energy("confidence")) if measured else None,
        confidence_profile=_scaled_profile(meter.seams.profile("confidence")) if measured else None,
    )


def _scaled(energy: SeamEnergy) -> SeamEnergy:
    """From stored steps to shares."""
    inside, outside = (None if value is None else value / CONFIDENCE_STEPS for value in (energy.inside, energy.outside))
    return SeamEnergy(inside=inside, outside=outside)


def _scaled_profile(profile: SeamProfile) -> SeamProfile:
    values = (None if value is None else value / CONFIDENCE_STEPS for value in profile.values)
    return SeamProfile(offsets=profile.offsets, values=tuple(values))
