"""What shows only between images: bands that differ, pictures and places in two splits, classes that a split lacks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.catalog import split_order
from terrazzo.data.classes import Classes
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.headers import Header
from terrazzo.data.statistics import Moments, merge
from terrazzo.data.verify.duplicates import find_twins
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.finding import Finding, Severity
from terrazzo.data.verify.footprints import Footprint, distances_m, ground, overlaps
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import TerrazzoError

__all__ = [
    "Places",
    "about_bands",
    "about_classes",
    "about_drift",
    "about_duplicates",
    "about_places",
    "about_references",
    "class_pixels",
]

NO_ROLE = "no split"
"""Stands for the role of images that have none yet."""


@dataclass(frozen=True)
class Places:
    """Where images lie on the ground.

    Attributes:
        footprints: Of all images with a coordinate reference system.
        distances_m: Smallest distance in metres of each two splits, with the two files that are so near.
    """

    footprints: tuple[Footprint, ...] = ()
    distances_m: Mapping[tuple[str, str], tuple[float, str, str]] | None = None


def about_bands(examined: Sequence[Examined], data: DataSettings) -> list[Finding]:
    """Tell images whose bands or types are not those of the first image, which decides for all."""
    known = [(one, one.header) for one in examined if one.header is not None]
    if not known:
        return []
    first = known[0][1]
    try:
        bands, positions = select_bands(first, data.bands, collar=data.collar)
    except TerrazzoError as error:
        return [Finding(str(known[0][0].pair.image), "error", "bands", str(error), "correct data.bands")]
    found = []
    for one, header in known[1:]:
        try:
            with_bands(header, bands, positions, first=first)
        except TerrazzoError as error:
            what = str(error).removeprefix(str(one.pair.image)).removeprefix(":").strip()
            to_do = "convert it, or name the bands that all images have in data.bands"
            found.append(Finding(str(one.pair.image), "error", "bands", what, to_do))
    return found


def about_references(examined: Sequence[Examined]) -> list[Finding]:
    """Tell images without coordinate reference system among others that have one, and several systems."""
    headers = [(one, one.header.entry.crs) for one in examined if one.header is not None]
    lacking = [one for one, crs in headers if crs is None]
    if not lacking or len(lacking) == len(headers):
        return _several([header for one in examined if (header := one.header) is not None])
    what = f"no coordinate reference system, but {len(headers) - len(lacking)} other images have one"
    to_do = "give it its reference system, so that its place is known"
    return [Finding(str(one.pair.image), "warning", "crs", what, to_do) for one in lacking]


def _several(headers: Sequence[Header]) -> list[Finding]:
    names = Counter(crs.to_string() for header in headers if (crs := header.entry.grid.crs) is not None)
    if len(names) < 2:
        return []
    shown = ", ".join(f"{name} ({count} images)" for name, count in names.most_common(5))
    what = f"images are in {len(names)} coordinate reference systems: {shown}"
    return [Finding("", "hint", "crs", what, "nothing, where the images lie in several zones")]


def about_duplicates(examined: Sequence[Examined], settings: VerifySettings) -> list[Finding]:
    """Tell pictures that come twice: an error across splits, where the score would count what was learned by heart."""
    seen: dict[str, Examined] = {}
    for one in examined:
        if one.picture is not None:
            # Parts of one file are divided on purpose.
            seen.setdefault(str(one.pair.image), one)
    chosen = list(seen.values())
    pictures = [one.picture for one in chosen if one.picture is not None]
    twins = find_twins(pictures, bits=settings.duplicate_bits, correlation=settings.duplicate_correlation)
    told: dict[int, Finding] = {}
    for twin in twins:
        first, second = chosen[twin.first], chosen[twin.second]
        across = _differ(first.pair.split, second.pair.split)
        if twin.second in told and not (across and told[twin.second].severity != "error"):
            continue
        severity: Severity = "error" if across else "warning"
        move = f", {twin.move}" if twin.move else ""
        roles = f": one is {first.pair.split}, the other {second.pair.split}" if across else ""
        what = f"shows the same as {first.pair.image}{move} (correlation {twin.correlation:.4f}){roles}"
        to_do = "keep one of them, or both in one split" if across else "keep one of them, or let both weigh double"
        told[twin.second] = Finding(str(second.pair.image), severity, "duplicate", what, to_do)
    return list(told.values())


def _differ(first: str | None, second: str | None) -> bool:
    return first is not None and second is not None and first != second


def about_places(examined: Sequence[Examined], settings: VerifySettings) -> tuple[list[Finding], Places]:
    """Tell ground that two splits share, and splits that are nearer than asked for."""
    chosen = [(one, one.header) for one in examined if one.header is not None and one.corners]
    if not chosen:
        return [], Places()
    try:
        shapes = ground([(header.entry.grid, one.corners) for one, header in chosen])
    except TerrazzoError as error:
        what = f"places cannot be compared: {error}"
        return [Finding("", "warning", "crs", what, "check the coordinate reference systems")], Places()
    footprints = [
        Footprint(one.pair.image_id, str(one.pair.image), one.pair.split or NO_ROLE, shape)
        for (one, _), shape in zip(chosen, shapes, strict=True)
    ]
    placed = [one for one in footprints if one.split != NO_ROLE]
    found = []
    for one in overlaps(placed, least_share=settings.overlap_share):
        what = (
            f"{one.share:.0%} of the smaller footprint ({one.square_m:,.0f} m2) is shared with {one.first.file}: "
            f"one is {one.first.split}, the other {one.second.split}"
        )
        to_do = "give both one split, or divide by regions or blocks (data.split)"
        found.append(Finding(one.second.file, "error", "overlap", what, to_do))
    distances = distances_m(placed)
    for (first, second), (metres, here, there) in distances.items():
        if metres < settings.distance_m:
            asked = f"asked for are {settings.distance_m:g} m"
            what = f"{first} and {second} come as near as {metres:,.1f} m ({here}); {asked}"
            to_do = "divide by regions, or by blocks with a guard distance (data.split)"
            found.append(Finding(there, "warning", "distance", what, to_do))
    return found, Places(tuple(footprints), distances)


def class_pixels(examined: Sequence[Examined], classes: Classes) -> dict[str, tuple[int, ...]]:
    """Return the labelled pixels of each class by split."""
    totals: dict[str, np.ndarray] = {}
    for one in examined:
        if one.class_pixels:
            split = one.pair.split or NO_ROLE
            totals[split] = totals.get(split, np.zeros(len(classes), dtype=np.int64)) + np.array(one.class_pixels)
    return {split: tuple(totals[split].tolist()) for split in sorted(totals, key=split_order)}


def about_classes(pixels: Mapping[str, Sequence[int]], classes: Classes) -> list[Finding]:
    """Tell classes that no label holds, and those that a split lacks."""
    found = []
    for number, name in enumerate(classes.names):
        absent = [split for split, counts in pixels.items() if not counts[number]]
        if not absent:
            continue
        if len(absent) == len(pixels):
            what = f"class {name} occurs in no label"
            found.append(Finding("", "warning", "class", what, "check data.classes, or leave the class out"))
        else:
            to_do = "divide in another way (data.split), so that it can be learned and judged"
            found.append(Finding("", "warning", "class", f"class {name} is absent from {', '.join(absent)}", to_do))
    return found


def about_drift(examined: Sequence[Examined], settings: VerifySettings) -> list[Finding]:
    """Tell bands whose mean in a split is far from that in training.

    Source: standardised difference of means: Cohen 1988, "Statistical Power Analysis", equation 2.5.1 with the pooled
    deviation of both groups weighted alike.
    """
    groups: dict[str, list[Moments]] = {}
    names: tuple[str, ...] = ()
    for one in examined:
        if one.header is not None and one.moments is not None and one.moments.pixels and one.pair.split is not None:
            names = names or one.band_names
            if one.band_names == names:
                groups.setdefault(one.pair.split, []).append(one.moments)
    merged = {split: merge(parts) for split, parts in groups.items()}
    train = merged.pop("train", None)
    if train is None:
        return []
    found = []
    for split in sorted(merged, key=split_order):
        other = merged[split]
        for band, name in enumerate(names):
            variance = (train.squares[band] / train.pixels + other.squares[band] / other.pixels) / 2
            gap = other.mean[band] - train.mean[band]
            if gap and gap**2 > settings.drift_deviations**2 * variance:
                apart = abs(gap) / variance**0.5 if variance > 0 else float("inf")
                what = (
                    f"band {name} has the mean {other.mean[band]:.4g} in {split} and {train.mean[band]:.4g} in train: "
                    f"{apart:.1f} standard deviations apart"
                )
                to_do = "check units, scaling and season; the model has not seen such values"
                found.append(Finding("", "warning", "drift", what, to_do))
    return found
