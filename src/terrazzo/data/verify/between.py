"""What shows only between images: bands that differ, pictures and places in two splits, classes that a split lacks."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import shapely

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.catalog import split_order
from terrazzo.data.classes import Classes
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.headers import Header
from terrazzo.data.statistics import Moments, merge
from terrazzo.data.verify.duplicates import find_twins
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.finding import Finding, Severity
from terrazzo.data.verify.footprints import Footprint, Overlap, distances_m, ground, overlaps
from terrazzo.data.verify.parts import guard_m
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import TerrazzoError

__all__ = [
    "NO_ROLE",
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
SAME_PLACE = 0.9
"""Share of two images' common ground from which on copies lie in one place."""


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


def about_duplicates(
    examined: Sequence[Examined], settings: VerifySettings, *, between_folds: bool = False
) -> list[Finding]:
    """Tell pictures that come twice: an error across splits, where the score would count what was learned by heart.

    Args:
        examined: All images.
        settings: From where on pictures are alike.
        between_folds: Say also where copies lie in two folds, which take turns to select.
    """
    seen: dict[str, Examined] = {}
    found: list[Finding] = []
    for one in examined:
        known = seen.setdefault(str(one.pair.image), one)
        if known is not one:
            found += _listed_twice(known, one)
    chosen = [one for one in seen.values() if one.picture is not None]
    pictures = [one.picture for one in chosen if one.picture is not None]
    twins = find_twins(
        pictures,
        bits=settings.duplicate_bits,
        correlation=settings.duplicate_correlation,
        groups=[_kind(one, number) for number, one in enumerate(chosen)],
    )
    told: dict[int, Finding] = {}
    for twin in twins:
        first, second = chosen[twin.first], chosen[twin.second]
        apart = _apart(first, second, between_folds=between_folds)
        if apart is not None and not twin.move and _in_one_place(first, second):
            apart = None
        severity: Severity = "error" if apart is not None and apart.leaks else "warning"
        if twin.second in told and not (severity == "error" and told[twin.second].severity != "error"):
            continue
        move = f", {twin.move}" if twin.move else ""
        roles = "" if apart is None else f": {apart.what}"
        what = f"shows the same as {first.pair.image}{move} (correlation {twin.correlation:.4f}){roles}"
        to_do = "keep one of them, or let both weigh double"
        if apart is not None:
            to_do = f"keep one of them, or both in one {'split' if apart.leaks else 'fold'}"
        told[twin.second] = Finding(str(second.pair.image), severity, "duplicate", what, to_do)
    return [*found, *told.values()]


def _listed_twice(first: Examined, second: Examined) -> list[Finding]:
    """Tell a file that trains and has another role as well; two sets that judge may share it."""
    apart = _apart(first, second, between_folds=False)
    if apart is None or not any(part.pair.split == "train" for one in (first, second) for part in one.portions):
        return []
    what = f"is listed twice: {apart.what}"
    return [Finding(str(second.pair.image), "error", "duplicate", what, "leave it out of one of them")]


@dataclass(frozen=True)
class _Apart:
    """How the roles of two images differ.

    Attributes:
        what: In words.
        leaks: Whether they do in this run; otherwise in one where another fold selects.
    """

    what: str
    leaks: bool


def _kind(one: Examined, number: int) -> Hashable:
    """Return what is equal for images whose roles differ alike from those of any other."""
    # Where divided images lie matters beside their roles.
    alone = number if all(part.divided for part in one.portions) else None
    roles = frozenset((part.pair.split, part.pair.fold) for part in one.portions)
    return roles, alone


def _apart(first: Examined, second: Examined, *, between_folds: bool) -> _Apart | None:
    """Return how roles differ, or folds, of any pixels of two images; None where they do not, or there are none."""
    here, there = ({part.pair.split for part in one.portions} - {None} for one in (first, second))
    if here and there and len(here | there) > 1:
        return _Apart(f"one is {_listed(here)}, the other {_listed(there)}", leaks=True)
    held, kept = ({part.pair.fold for part in one.portions} - {None} for one in (first, second))
    if between_folds and held and kept and len(held | kept) > 1:
        return _Apart(f"one is in fold {_listed(held)}, the other in fold {_listed(kept)}", leaks=False)
    return None


def _listed(names: Set[str | int | None]) -> str:
    return " and ".join(sorted(map(str, names), key=split_order))


def _in_one_place(first: Examined, second: Examined) -> bool:
    """Return whether two divided images lie on the same ground, so that each place has one role in both."""
    grids = [one.header.entry.grid for one in (first, second) if one.header is not None and one.corners]
    parts = [*first.portions, *second.portions]
    if len(grids) < 2 or not all(part.divided for part in parts):
        return False
    try:
        here, there = ground(
            [(grid, shapely.Polygon(one.corners)) for grid, one in zip(grids, (first, second), strict=True)]
        )
    except TerrazzoError:
        return False  # told when places are compared
    return bool(here.intersection(there).area >= SAME_PLACE * here.union(there).area)


def about_places(
    examined: Sequence[Examined], settings: VerifySettings, *, between_folds: bool = False
) -> tuple[list[Finding], Places]:
    """Tell ground that two splits share, and splits that are nearer than asked for.

    Args:
        examined: All images.
        settings: From where on splits share too much or are too near.
        between_folds: Say also where images of two folds share ground, which take turns to select.
    """
    chosen = [
        (one, one.header.entry.grid, portion, portion.outline)
        for one in examined
        for portion in one.portions
        if one.header is not None and portion.outline is not None and not portion.outline.is_empty
    ]
    if not chosen:
        return [], Places()
    try:
        shapes = ground([(grid, outline) for _, grid, _, outline in chosen])
    except TerrazzoError as error:
        what = f"places cannot be compared: {error}"
        return [Finding("", "warning", "crs", what, "check the coordinate reference systems")], Places()
    footprints = [
        Footprint(
            image_id=part.pair.image_id,
            file=str(one.pair.image),
            split=part.pair.split or NO_ROLE,
            shape=shape,
            divided=part.divided,
            clear_m=guard_m(part.pair.area),
        )
        for (one, _, part, _), shape in zip(chosen, shapes, strict=True)
    ]
    placed = [one for one in footprints if one.split != NO_ROLE]
    shared = overlaps(placed, least_share=settings.overlap_share)
    found = [_shared_ground(one, leaks=True) for one in shared]
    if between_folds:
        told = {(one.first.image_id, one.second.image_id) for one in shared}
        folded = [
            replace(one, split=f"in fold {part.pair.fold}")
            for one, (_, _, part, _) in zip(footprints, chosen, strict=True)
            if part.pair.fold is not None
        ]
        shared = overlaps(folded, least_share=settings.overlap_share)
        found += [
            _shared_ground(one, leaks=False) for one in shared if (one.first.image_id, one.second.image_id) not in told
        ]
    distances = distances_m(placed)
    for (first, second), (metres, here, there) in distances.items():
        if metres < settings.distance_m:
            asked = f"asked for are {settings.distance_m:g} m"
            what = f"{first} and {second} come as near as {metres:,.1f} m ({here}); {asked}"
            to_do = "divide by regions, or by blocks with a guard distance (data.split)"
            found.append(Finding(there, "warning", "distance", what, to_do))
    return found, Places(tuple(footprints), distances)


def _shared_ground(one: Overlap, *, leaks: bool) -> Finding:
    """Tell ground that two roles share: an error where they do in this run."""
    what = (
        f"{one.share:.0%} of the smaller footprint ({one.square_m:,.0f} m2) is shared with {one.first.file}: "
        f"one is {one.first.split}, the other {one.second.split}"
    )
    to_do = "give both one split, or divide by regions or blocks (data.split)"
    if not leaks:
        to_do = "keep both in one fold, or deal folds by region or block (data.split.folds)"
    return Finding(one.second.file, "error" if leaks else "warning", "overlap", what, to_do)


def class_pixels(examined: Sequence[Examined], classes: Classes) -> dict[str, tuple[int, ...]]:
    """Return the labelled pixels of each class by split."""
    totals: dict[str, np.ndarray] = {}
    for portion in (portion for one in examined for portion in one.portions):
        if portion.class_pixels:
            split = portion.pair.split or NO_ROLE
            totals[split] = totals.get(split, np.zeros(len(classes), dtype=np.int64)) + np.array(portion.class_pixels)
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
            where = ", ".join("images without a split" if split == NO_ROLE else split for split in absent)
            found.append(Finding("", "warning", "class", f"class {name} is absent from {where}", to_do))
    return found


def about_drift(examined: Sequence[Examined], settings: VerifySettings) -> list[Finding]:
    """Tell bands whose mean in a split is far from that in training.

    Source: standardised difference of means: Cohen 1988, "Statistical Power Analysis", equation 2.5.1 with the pooled
    deviation of both groups weighted alike.
    """
    groups: dict[str, list[Moments]] = {}
    names: tuple[str, ...] = ()
    for one in examined:
        if one.header is None:
            continue
        for portion in one.portions:
            if portion.moments is not None and portion.moments.pixels and portion.pair.split is not None:
                names = names or one.band_names
                if one.band_names == names:
                    groups.setdefault(portion.pair.split, []).append(portion.moments)
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
