"""What whole images were judged by, beside the scores of pixels: intervals, boundaries, regions, single images."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.report.blocks import table
from terrazzo.report.facts import number
from terrazzo.report.html import Markup, tag
from terrazzo.report.loose import mapping_of
from terrazzo.report.words import quantity, score

__all__ = [
    "MOST_IMAGES",
    "JudgedFacts",
    "boundaries",
    "images",
    "interval_words",
    "judged_facts",
    "notes",
    "read_table",
    "regions",
]

MOST_IMAGES = 20
"""Images that a page lists for each split, the worst first."""

Ends = tuple[float, float]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class JudgedFacts:
    """What an evaluation of whole images wrote beside its scores; empty where it judged patches.

    Attributes:
        on: "images", "patches", or nothing where it was not said.
        intervals: Ends of the 95 % interval of figures of the whole split.
        class_intervals: Of each class's IoU, by name.
        tolerances: Names of the boundary F1's tolerances.
        boundary_f1: One a tolerance.
        boundary_f1_intervals: Likewise.
        boundary_iou: Of the whole split.
        boundary_iou_interval: Its ends.
        class_boundaries: Name, F1 at each tolerance and boundary IoU of each class.
        figures: Main figures, those of how far confidence can be believed among them.
        without_calibration: The same without the bundle's calibration.
        regions: A row of figures for each region.
        images: A row of figures for each image.
        warnings: What a reader of the figures should know.
    """

    on: str = ""
    intervals: Mapping[str, Ends] = field(default_factory=dict)
    class_intervals: Mapping[str, Ends] = field(default_factory=dict)
    tolerances: tuple[str, ...] = ()
    boundary_f1: tuple[float | None, ...] = ()
    boundary_f1_intervals: tuple[Ends | None, ...] = ()
    boundary_iou: float | None = None
    boundary_iou_interval: Ends | None = None
    class_boundaries: tuple[tuple[str, tuple[float | None, ...], float | None], ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    without_calibration: Mapping[str, float | None] = field(default_factory=dict)
    regions: tuple[Row, ...] = ()
    images: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()


def judged_facts(content: Mapping[str, Any], per_image: str) -> JudgedFacts:
    """Return what `evaluate/<name>/summary.json` and `per_image.csv` say; parts that are damaged are left out.

    Args:
        content: The summary.
        per_image: Text of the table; nothing where there is none.
    """
    intervals, boundary = mapping_of(content.get("intervals")), mapping_of(content.get("boundary"))
    ends = mapping_of(boundary.get("intervals"))
    tolerances = tuple(str(name) for name in _sequence(boundary.get("tolerances")))
    found = {name: _ends(intervals.get(name)) for name in ("miou", "accuracy")}
    by_class = {str(one.get("name")): _ends(one.get("iou")) for one in _mappings(intervals.get("classes"))}
    return JudgedFacts(
        on=str(content.get("on") or ""),
        intervals={name: one for name, one in found.items() if one is not None},
        class_intervals={name: one for name, one in by_class.items() if one is not None},
        tolerances=tolerances,
        boundary_f1=_numbers(boundary.get("f1"), len(tolerances)),
        boundary_f1_intervals=tuple(_ends(one) for one in _sequence(ends.get("f1"))),
        boundary_iou=number(boundary.get("boundary_iou")),
        boundary_iou_interval=_ends(ends.get("boundary_iou")),
        class_boundaries=tuple(
            (str(one.get("name")), _numbers(one.get("f1"), len(tolerances)), number(one.get("boundary_iou")))
            for one in _mappings(boundary.get("classes"))
        ),
        figures={name: number(content.get(name)) for name in ("miou", "accuracy", "avg_steps")}
        | {name: number(value) for name, value in mapping_of(content.get("reliability")).items()},
        without_calibration={
            name: number(value) for name, value in mapping_of(content.get("without_calibration")).items()
        },
        regions=tuple(_mappings(content.get("regions"))),
        images=_table(per_image),
        warnings=tuple(str(one) for one in _sequence(content.get("warnings"))),
    )


def interval_words(ends: Ends | None) -> str:
    """Return an interval in brackets after its figure; nothing where there is none.

    >>> interval_words((0.25, 0.5)), interval_words(None)
    (' (0.250 to 0.500)', '')
    """
    return "" if ends is None else f" ({ends[0]:.3f} to {ends[1]:.3f})"


def notes(facts: JudgedFacts) -> list[Markup]:
    """Return what is said in sentences: how it was judged, with and without a calibration, and warnings."""
    parts = []
    if facts.on == "images":
        told = "Whole images through the engine that makes maps"
        told += "; in brackets 95 % intervals from resampled images." if facts.intervals else "."
        parts.append(tag("p", told, class_="note"))
    if facts.without_calibration:
        before = ", ".join(
            f"{_words(name)} {_figure(value)} instead of {_figure(facts.figures.get(name))}"
            for name, value in facts.without_calibration.items()
            if facts.figures.get(name) is not None
        )
        if before:
            parts.append(tag("p", f"Without the bundle's calibration: {before}.", class_="note"))
    if facts.warnings:
        parts.append(tag("ul", *(tag("li", warning) for warning in facts.warnings), class_="warnings"))
    return parts


def boundaries(facts: JudgedFacts, split: str) -> list[Markup]:
    """Return boundary scores by class; nothing where they were not measured."""
    if not facts.tolerances:
        return []
    heads = ("class", *(f"F1 {_tolerance(name)}" for name in facts.tolerances), "boundary IoU")
    rows = [_row("all classes", [*map(score, facts.boundary_f1), score(facts.boundary_iou)], kind="total")]
    # A row of their own: behind each figure they would push the last column off the page.
    ends = [*facts.boundary_f1_intervals, *[None] * len(facts.tolerances)][: len(facts.tolerances)]
    ends.append(facts.boundary_iou_interval)
    if any(one is not None for one in ends):
        rows.append(_row("95 % interval", ["" if one is None else f"{one[0]:.3f}–{one[1]:.3f}" for one in ends]))
    rows += [_row(name, [*map(score, f1), score(iou)]) for name, f1, iou in facts.class_boundaries]
    return [
        tag("h4", "Boundaries"),
        tag(
            "p",
            "F1 of boundary pixels that lie within so many pixels of the other boundary (Euclidean; the last is a "
            "share of the image's diagonal), a mean over images; boundary IoU of bands 2 % of the diagonal wide, "
            "summed over images.",
            class_="note",
        ),
        table(f"Boundary scores on {split}", heads, rows),
    ]


def regions(facts: JudgedFacts, split: str) -> list[Markup]:
    """Return figures by region; nothing where images have none."""
    if not facts.regions:
        return []
    figures = [name for name in ("miou", "accuracy", "boundary_iou", "ece", "steps") if name in facts.regions[0]]
    heads = ("region", "images", "pixels", *map(_words, figures))
    rows = [
        _row(
            str(one.get("region")),
            [
                quantity(number(one.get("images"))),
                quantity(number(one.get("pixels"))),
                *(_figure(number(one.get(name))) for name in figures),
            ],
        )
        for one in facts.regions
    ]
    return [tag("h4", "Regions"), table(f"Scores by region on {split}", heads, rows)]


def images(facts: JudgedFacts, split: str) -> list[Markup]:
    """Return figures of the worst images, folded away; nothing where fewer than two were judged one by one."""
    known = [one for one in facts.images if number(one.get("miou")) is not None]
    if len(known) < 2:
        return []
    ranked = sorted(known, key=lambda one: (number(one.get("accuracy")) or 0.0, str(one.get("image"))))
    figures = [name for name in ("miou", "accuracy", "confidence", "boundary_iou", "steps") if name in known[0]]
    with_region = any(one.get("region") for one in known)
    heads = ("image", *(("region",) if with_region else ()), "pixels", *map(_words, figures))
    rows = [
        _row(
            str(one.get("image")),
            [
                *((str(one.get("region") or "–"),) if with_region else ()),
                quantity(number(one.get("pixels"))),
                *(_figure(number(one.get(name))) for name in figures),
            ],
        )
        for one in ranked[:MOST_IMAGES]
    ]
    shown = f"The {len(rows)} worst of {len(known)} images" if len(known) > len(rows) else f"All {len(known)} images"
    told = f"{shown}, by accuracy; per_image.csv holds every one, with each class"
    return [tag("details", tag("summary", told), table(f"Scores by image on {split}", heads, rows))]


def _row(name: str, cells: Sequence[str], *, kind: str | None = None) -> Markup:
    return tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in cells), class_=kind)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _tolerance(name: str) -> str:
    return name.replace("%", " %") if name.endswith("%") else f"{name} px"


def _words(name: str) -> str:
    """Return what a figure is called on the page."""
    known = {
        "miou": "mIoU",
        "avg_steps": "mean steps",
        "ece": "ECE",
        "nll": "NLL",
        "ace": "ACE",
        "classwise_ece": "class-wise ECE",
        "classwise_ace": "class-wise ACE",
        "brier": "Brier score",
        "boundary_iou": "boundary IoU",
    }
    return known.get(name, name.replace("_", " "))


def _table(text: str) -> tuple[Row, ...]:
    try:
        return tuple(csv.DictReader(text.splitlines()))
    except csv.Error:
        return ()


def _ends(value: object) -> Ends | None:
    if isinstance(value, Mapping):
        value = [value.get("low"), value.get("high")]
    found = [number(one) for one in _sequence(value)]
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _numbers(value: object, count: int) -> tuple[float | None, ...]:
    found = tuple(number(one) for one in _sequence(value))
    return found if len(found) == count else (None,) * count


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in _sequence(value) if isinstance(one, Mapping)]


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def read_table(path: Path) -> str:
    """Return a table's text; nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
