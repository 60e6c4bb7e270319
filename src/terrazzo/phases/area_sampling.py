"""The verb `areas sample`: draw points from class maps, for an interpreter to label."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from terrazzo.assessment.area_sample import draw_points, require_pixels
from terrazzo.assessment.area_strata import Strata, count_strata
from terrazzo.assessment.class_map import Legend, parse_legend, read_legend
from terrazzo.assessment.sample_design import SampleDesign, Stratum, design_path, write_design
from terrazzo.assessment.sample_file import require_format, write_points
from terrazzo.calibration.sample_design import Allocation, allocate, expected_error, sample_size
from terrazzo.errors import ConfigError
from terrazzo.phases.summary import Summary
from terrazzo.progress import Listener, silent
from terrazzo.record import nearest

__all__ = ["SampleSettings", "SampleSummary", "sample"]

_SLACK = 0.005
"""Relative excess over the target that is not worth a word."""


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How a sample is designed.

    Attributes:
        points: Points in all; what `error` needs if None.
        error: Standard error of the overall accuracy that is wanted.
        expected: User's accuracies that are expected: one for all classes, or by name, the rest under an empty name.
        allocation: How points are divided between classes.
        minimum: Fewest points of a class under the allocation `olofsson`.
        seed: Of the draw.
        classes: The maps' classes, as `1=forest,2=water` or `forest,water`; what their tags say if None.
        without: Classes and other values that are no part of the population.
    """

    points: int | None = None
    error: float | None = None
    expected: Mapping[str, float] | None = None
    allocation: Allocation = "olofsson"
    minimum: int = 50
    seed: int = 0
    classes: str | None = None
    without: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SampleSummary(Summary):
    """What was drawn.

    Attributes:
        sample: File of the points; its column `reference` is to be filled.
        design: File that estimates need beside it.
        points: Points in all.
        unit: What areas count, square metres or pixels.
        strata: A row a class: pixels, area, share of the area, points.
        target_error: Standard error of the overall accuracy that was asked for; None where points were.
        expected_error: Standard error that these points will have if accuracies are as expected; None where nothing is.
        notes: What a reader should know.
    """

    sample: Path
    design: Path
    points: int
    unit: str
    strata: tuple[Mapping[str, Any], ...]
    target_error: float | None
    expected_error: float | None
    notes: tuple[str, ...]

    def told(self) -> dict[str, object]:
        """Return what a reader at a terminal wants to know."""
        content = self.as_dict()
        rows = [
            {
                "class": row["class"],
                "pixels": row["pixels"],
                **({"ha": row["area"] / 1e4} if self.unit == "m2" else {}),
                "share": f"{100 * row['share']:.2f} %",
                "points": row["points"],
            }
            for row in self.strata
        ]
        kept = {key: value for key, value in content.items() if value is not None and key not in {"unit", "strata"}}
        return {**kept, "strata": rows}


def sample(
    maps: Sequence[Path], out: Path, settings: SampleSettings | None = None, *, listener: Listener = silent
) -> SampleSummary:
    """Draw a stratified random sample from class maps, for an interpreter to label.

    Args:
        maps: Class maps that together are one population.
        out: File of the points: `.csv`, `.gpkg` or `.geojson`; the design lies beside it.
        settings: How the sample is designed.
        listener: Receives progress.

    Raises:
        ConfigError: The settings contradict each other or the maps, or a class has fewer pixels than points.
        DataError: A map cannot be read.
        StorageError: A file cannot be written.
    """
    begun = time.monotonic()
    chosen = settings or SampleSettings()
    require_format(out)
    _require_size(chosen)
    legend = read_legend(maps, parse_legend(chosen.classes) if chosen.classes else None)
    expected = _expected(chosen.expected, legend)
    strata = count_strata(maps, legend, left_out=chosen.without, listener=listener)
    shares = strata.areas / strata.areas.sum()
    total = chosen.points
    if total is None:
        if chosen.error is None or expected is None:
            raise ConfigError("The sample has no size; give points, or an error together with expected accuracies.")
        total = sample_size(shares, expected, error=chosen.error, pixels=int(strata.pixels.sum()))
    points = allocate(total, shares, strata.pixels, chosen.allocation, minimum=chosen.minimum)
    require_pixels(strata, points)
    drawn = draw_points(strata, points, seed=chosen.seed, listener=listener)
    forecast = None if expected is None else expected_error(shares, expected, points)
    design = _design(strata, points.tolist(), chosen, None if expected is None else tuple(expected.tolist()), forecast)
    write_points(out, drawn, strata)
    write_design(design_path(out), design)
    rows = [
        {
            "class": one.name,
            "value": one.value,
            "pixels": one.pixels,
            "area": one.area,
            "share": share,
            "points": one.points,
        }
        for one, share in zip(design.strata, shares.tolist(), strict=True)
    ]
    return SampleSummary(
        folder=out.parent,
        seconds=time.monotonic() - begun,
        sample=out,
        design=design_path(out),
        points=len(drawn),
        unit=strata.unit,
        strata=tuple(rows),
        target_error=design.target_error,
        expected_error=forecast,
        notes=tuple(_sample_notes(strata, total, len(drawn), design)),
    )


def _require_size(settings: SampleSettings) -> None:
    """Refuse what says nothing, or two things, about how many points are wanted."""
    if settings.points is not None and settings.error is not None:
        raise ConfigError("points and error contradict each other: the error decides how many points there are.")
    if settings.points is None and (settings.error is None or settings.expected is None):
        raise ConfigError(
            "Say how large the sample is to be: points, or the standard error of the overall accuracy that is wanted "
            "together with the user's accuracies that are expected, such as --error 0.01 --expected 0.9."
        )
    if settings.points is not None and settings.points < 1:
        raise ConfigError(f"points is {settings.points}, but a sample has at least one.")
    if settings.minimum < 2:
        raise ConfigError(f"minimum is {settings.minimum}, but fewer than 2 points of a class have no variance.")


def _expected(given: Mapping[str, float] | None, legend: Legend) -> Float64[np.ndarray, " class"] | None:
    """Return the accuracy that is expected of each class."""
    if given is None:
        return None
    known = {legend.position(word): accuracy for word, accuracy in given.items() if word}
    for word in given:
        if word and legend.position(word) is None:
            raise ConfigError(
                f'No class is called "{word}", of which an accuracy is expected.{nearest(word, list(legend.names))} '
                f"Classes are {', '.join(legend.names)}."
            )
    missing = [name for place, name in enumerate(legend.names) if place not in known]
    if missing and "" not in given:
        raise ConfigError(f"No accuracy is expected of {', '.join(missing)}; name one, or one for all other classes.")
    found = np.array([known.get(place, given.get("", 0.0)) for place in range(len(legend.names))], dtype=np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        raise ConfigError("An expected user's accuracy must lie between 0 and 1, such as 0.9.")
    return found


def _design(
    strata: Strata,
    points: Sequence[int],
    settings: SampleSettings,
    expected: tuple[float, ...] | None,
    forecast: float | None,
) -> SampleDesign:
    legend = strata.legend
    colours: Sequence[tuple[int, int, int] | None] = legend.colours or [None] * len(legend.names)
    rows = zip(legend.names, legend.values, colours, strata.pixels.tolist(), strata.areas.tolist(), points, strict=True)
    return SampleDesign(
        unit=strata.unit,
        strata=tuple(
            Stratum(name=name, value=value, colour=colour, pixels=pixels, area=area, points=count)
            for name, value, colour, pixels, area, count in rows
        ),
        maps=tuple(map(str, strata.maps)),
        left_out=strata.left_out,
        allocation=settings.allocation,
        minimum=settings.minimum,
        seed=settings.seed,
        target_error=settings.error if settings.points is None else None,
        expected_accuracies=expected,
        expected_error=forecast,
    )


def _sample_notes(strata: Strata, asked: int, drawn: int, design: SampleDesign) -> list[str]:
    notes = list(strata.warnings)
    absent = [one.name for one in design.strata if not one.pixels]
    if absent:
        notes.append(f"Never mapped, so without points: {', '.join(absent)}.")
    if drawn > asked:
        notes.append(f"{drawn} points instead of {asked}: every class needs as many as the allocation's fewest.")
    if design.expected_error is not None and design.target_error is not None:
        over = design.expected_error / design.target_error - 1
        if over > _SLACK:
            notes.append(
                f"The allocation {design.allocation} will give a standard error of {design.expected_error:.4f} instead "
                f"of {design.target_error:g}: the number of points is reckoned for the best allocation to the overall "
                "accuracy, and points for rare classes are taken from the others. More --points make up for it."
            )
    if strata.unit == "pixels":
        notes.append("The maps have no coordinate reference system: areas are counted in pixels.")
    return notes
