"""Who has which role where images are divided, or dealt into folds: by the same functions as in preparing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.headers import read_header
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.dividing import divide
from terrazzo.data.splitting.folds import POOL, assign_folds
from terrazzo.data.statistics import Moments
from terrazzo.data.verify.examination import Examined
from terrazzo.data.verify.files import damage
from terrazzo.data.verify.finding import Finding
from terrazzo.data.verify.parts import Portion
from terrazzo.errors import TerrazzoError
from terrazzo.progress import Listener, silent

__all__ = ["Division", "deal_folds", "divide_pairs"]


@dataclass(frozen=True)
class Division:
    """What images are divided into.

    Attributes:
        parts: Of each divided image by its name; none where it is left out. Images that stay whole are not named.
        findings: Why nothing could be divided.
    """

    parts: Mapping[str, tuple[Pair, ...]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def divide_pairs(
    pairs: Sequence[Pair],
    data: DataSettings,
    georeferenced: Mapping[str, bool],
    *,
    threads: int,
    listener: Listener = silent,
) -> Division:
    """Divide images by blocks or polygons; those whose headers cannot be read take no part.

    Args:
        pairs: Images with the roles that lists, folders and sets give.
        data: How images are divided.
        georeferenced: Whether a coordinate reference system is required, by split; as the source says for others.
        threads: Headers that are read at once.
        listener: Receives progress where labels are counted first, since blocks are dealt by class.
    """
    if data.split.blocks is None and data.split.polygons is None:
        return Division()

    def read(pair: Pair) -> ImageEntry | None:
        if any(damage(path) is not None for path in pair.all_files):
            return None
        required = georeferenced.get(pair.split or "", data.source.georeferenced)
        try:
            return read_header(pair, georeferenced=required, resolution_m=data.resolution_m).entry
        except TerrazzoError:
            return None  # told when the image is looked at

    with ThreadPoolExecutor(threads) as pool:
        entries = {pair.image_id: entry for pair, entry in zip(pairs, pool.map(read, pairs), strict=True) if entry}
    if not entries:
        return Division()
    try:
        divided, _ = divide(list(entries.values()), data, listener=listener)
    except TerrazzoError as error:
        way = "blocks" if data.split.blocks is not None else "polygons"
        to_do = f"correct data.split.{way}, or what it divides; until then roles are not compared"
        return Division(findings=(Finding("", "error", "listing", f"images cannot be divided: {error}", to_do),))
    owned: dict[str, list[ImageEntry]] = defaultdict(list)
    for entry in divided:
        # A part is called as its image with `#` and the part.
        owned[entry.image_id if entry.image_id in entries else entry.image_id.rpartition("#")[0]].append(entry)
    return Division(
        {
            pair.image_id: tuple(_part(pair, entry) for entry in owned[pair.image_id])
            for pair in pairs
            # What is not divided comes back as it was given.
            if pair.image_id in entries and not any(entry is entries[pair.image_id] for entry in owned[pair.image_id])
        }
    )


def _part(pair: Pair, entry: ImageEntry) -> Pair:
    return replace(pair, image_id=entry.image_id, split=entry.split, fold=entry.fold, area=entry.area)


def deal_folds(examined: Sequence[Examined], data: DataSettings) -> tuple[list[Examined], list[Finding]]:
    """Give images the roles of the fold that selects; of those that cannot be read, none trains or selects.

    Args:
        examined: All images, their classes counted where folds are stratified.
        data: Which fold selects, and how images are dealt.

    Returns:
        The images in the same order, and why they could not be dealt.
    """
    if data.fold is None:
        return list(examined), []
    owners: list[tuple[int, Portion]] = []
    entries: list[ImageEntry] = []
    for number, one in enumerate(examined):
        if one.header is None or one.broken:
            continue
        for portion in one.portions:
            owners.append((number, portion))
            entries.append(_entry(portion.pair, one.header.entry))
    if not owners:
        return list(examined), []
    facts = [_facts(portion, len(data.classes)) for _, portion in owners]
    try:
        entries = assign_folds(entries, facts, data.split.folds, data.fold)
    except TerrazzoError as error:
        to_do = "correct data.split.folds or data.fold; until then roles are not compared"
        return list(examined), [Finding("", "error", "listing", f"folds cannot be dealt: {error}", to_do)]
    roles: dict[int, list[Portion]] = defaultdict(list)
    for (number, portion), entry in zip(owners, entries, strict=True):
        roles[number].append(replace(portion, pair=_part(portion.pair, entry)))
    return [
        replace(one, parts=tuple(roles.get(number) or (part for part in one.portions if part.pair.split not in POOL)))
        for number, one in enumerate(examined)
    ], []


def _entry(pair: Pair, whole: ImageEntry) -> ImageEntry:
    return replace(whole, image_id=pair.image_id, split=pair.split, fold=pair.fold, area=pair.area)


def _facts(portion: Portion, classes: int) -> ImageFacts:
    """Return what dealing asks for: the pixels of each class."""
    nothing = np.zeros((0, classes + 1), dtype=np.int64)
    return ImageFacts(Moments(0, (), ()), portion.class_pixels or (0,) * classes, 0, {}, nothing)
