"""Verifying a data set: every file in isolation and in parallel, then what shows only between images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from terrazzo.data.settings import DataSettings
from terrazzo.data.source_check import check_labels
from terrazzo.data.sources.source import Listing, Pair, Source
from terrazzo.data.splitting.splits import assign_splits
from terrazzo.data.splitting.validation_sets import SET_PREFIX, list_set, validation_sets
from terrazzo.data.verify.between import (
    NO_ROLE,
    Places,
    about_bands,
    about_classes,
    about_drift,
    about_duplicates,
    about_places,
    about_references,
    class_pixels,
)
from terrazzo.data.verify.division import deal_folds, divide_pairs
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.finding import Finding, accepted, ordered
from terrazzo.data.verify.pool import Examiner, examine_all
from terrazzo.data.verify.settings import VerifySettings
from terrazzo.errors import DataError, TerrazzoError
from terrazzo.host_cores import usable_cores
from terrazzo.progress import Listener, Progress, silent

__all__ = ["Audit", "Inventory", "processes", "take_inventory", "verify_pairs"]

LEFT_OUT = "left out"
"""Stands for the role of images of which no part has one: outside of all polygons, or unreadable among folds."""


@dataclass(frozen=True)
class Inventory:
    """Which images there are, listed as far as that is possible.

    Attributes:
        pairs: Images with their roles.
        findings: Why some could not be listed.
    """

    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        findings: The worst first.
        images: Images by split; one that is divided counts in each of its splits.
        class_pixels: Labelled and valid pixels per class by split.
        places: Footprints and distances, where images are georeferenced.
        broken: Pairs that cannot be read.
        sound: Pairs that can.
    """

    findings: tuple[Finding, ...]
    images: Mapping[str, int]
    class_pixels: Mapping[str, tuple[int, ...]]
    places: Places
    broken: tuple[Pair, ...]
    sound: tuple[Pair, ...]


def take_inventory(data: DataSettings) -> Inventory:
    """List all pairs with their roles; what does not match is told, and the rest listed all the same."""
    found: list[Finding] = []
    listing = _listed(data.source, found)
    pairs = list(listing.pairs)
    try:
        pairs, _ = assign_splits(pairs, data.split, folded=data.fold is not None)
    except TerrazzoError as error:
        found.append(Finding("", "error", "listing", str(error), "correct data.split"))
    for name, settings in validation_sets(data).items():
        try:
            pairs += list_set(name, settings).pairs
        except TerrazzoError as error:
            found.append(Finding("", "error", "listing", str(error), f"correct the validation set {name}"))
    return Inventory(tuple(pairs), tuple(found))


def _listed(source: Source, found: list[Finding]) -> Listing:
    """List a source; where files do not match, tell which, and list those that do."""
    try:
        return source.pairs()
    except DataError as error:
        found.append(Finding("", "error", "listing", str(error), "add, remove or rename what does not match"))
    if vars(source).get("unmatched") == "error":
        try:
            return source.model_copy(update={"unmatched": "skip"}).pairs()
        except DataError:
            pass  # told already: nothing at all can be listed
    return Listing(())


def verify_pairs(
    inventory: Inventory, data: DataSettings, settings: VerifySettings, *, listener: Listener = silent
) -> Audit:
    """Decode every file of every pair, and compare images with each other.

    Args:
        inventory: Which images there are.
        data: Which bands and classes are used.
        settings: What to look for.
        listener: Receives progress, one unit an image.
    """
    georeferenced = {f"{SET_PREFIX}{name}": one.source.georeferenced for name, one in validation_sets(data).items()}
    workers = processes(settings)
    division = divide_pairs(inventory.pairs, data, georeferenced, threads=workers, listener=listener)
    examiner = Examiner(data, settings, georeferenced, otherwise=data.source.georeferenced, parts=division.parts)
    with Progress("verify", listener=listener, total=len(inventory.pairs), unit="images") as progress:
        examined = list(progress.each(examine_all(inventory.pairs, examiner, workers=workers)))
    examined, undealt = deal_folds(examined, data)
    listed = replace(inventory, findings=(*inventory.findings, *division.findings, *undealt))
    return _concluded(listed, examined, data, settings)


def processes(settings: VerifySettings) -> int:
    """Return the number of processes that read; findings never depend on it."""
    return settings.workers or min(usable_cores(), 8)


def _concluded(
    inventory: Inventory, examined: Sequence[Examined], data: DataSettings, settings: VerifySettings
) -> Audit:
    """Gather the findings of all images and between them."""
    wanted = settings.checks
    found = list(inventory.findings)
    if "files" in wanted:
        found += [finding for one in examined for finding in one.findings if finding.check != "shift"]
        found += about_bands(examined, data) + about_references(examined) + _about_source(examined, data)
    found += [finding for one in examined for finding in one.findings if finding.check == "shift"]
    if "duplicates" in wanted:
        found += about_duplicates(examined, settings, between_folds=data.fold is None)
    places = Places()
    if "places" in wanted:
        more, places = about_places(examined, settings, between_folds=data.fold is None)
        found += more
    pixels = class_pixels(examined, data.classes)
    if "classes" in wanted:
        found += about_classes(pixels, data.classes)
    if "drift" in wanted:
        found += about_drift(examined, settings)
    images: dict[str, int] = {}
    for one in examined:
        roles = dict.fromkeys(part.pair.split or NO_ROLE for part in one.portions)
        for role in roles or (LEFT_OUT,):
            images[role] = images.get(role, 0) + 1
    return Audit(
        findings=tuple(ordered(accepted(found, settings.accept))),
        images=images,
        class_pixels=pixels,
        places=places,
        broken=tuple(one.pair for one in examined if one.broken),
        sound=tuple(one.pair for one in examined if not one.broken),
    )


def _about_source(examined: Sequence[Examined], data: DataSettings) -> list[Finding]:
    """Tell labels that contradict what the settings of their source say they show."""
    try:
        check_labels([one.pair for one in examined if not one.broken], data)
    except DataError as error:
        return [Finding("", "error", "listing", str(error), "correct data.source")]
    return []
