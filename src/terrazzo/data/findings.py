"""What a user should know about a data set before training on it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terrazzo.data.catalog import ImageEntry, split_order
from terrazzo.data.classes import Classes
from terrazzo.data.measuring import ImageFacts
from terrazzo.data.patches import PatchIndex
from terrazzo.data.settings import DataSettings
from terrazzo.data.statistics import Moments, constant_bands
from terrazzo.errors import LabelError
from terrazzo.geo.bands import Bands

__all__ = ["RoleCounts", "count_roles", "find_warnings", "require_listed"]


@dataclass(frozen=True)
class RoleCounts:
    """Pixels of each role; each pixel of an image counts once.

    Attributes:
        labelled: Per class.
        ignored: Without a class or invalid.
        unlisted: Whose value or colour no class lists.
    """

    labelled: dict[str, tuple[int, ...]]
    ignored: dict[str, int]
    unlisted: dict[str, int]


def count_roles(entries: Sequence[ImageEntry], facts: Sequence[ImageFacts]) -> RoleCounts:
    """Add up the pixels of each role that has an image."""
    labelled: dict[str, tuple[int, ...]] = {}
    ignored: dict[str, int] = {}
    unlisted: dict[str, int] = {}
    for role in sorted({entry.split for entry in entries if entry.split is not None}, key=split_order):
        chosen = [found for entry, found in zip(entries, facts, strict=True) if entry.split == role]
        if chosen:
            labelled[role] = tuple(map(sum, zip(*(found.class_pixels for found in chosen), strict=True)))
            ignored[role] = sum(found.ignored for found in chosen)
            unlisted[role] = sum(sum(found.unlisted.values()) for found in chosen)
    return RoleCounts(labelled, ignored, unlisted)


def require_listed(classes: Classes, entries: Sequence[ImageEntry], facts: Sequence[ImageFacts]) -> None:
    """Refuse labels that hold what no class lists, under `unlisted: error`: all files in one message.

    Raises:
        LabelError: Which values or colours, how many pixels, in which files.
    """
    if classes.unlisted != "error":
        return
    where = [(entry, found) for entry, found in zip(entries, facts, strict=True) if found.unlisted]
    if where:
        raise LabelError(f"{_files(where)}: {classes.describe_unlisted(_sum([found for _, found in where]))}")


def find_warnings(
    data: DataSettings,
    entries: Sequence[ImageEntry],
    facts: Sequence[ImageFacts],
    bands: Bands,
    moments: Moments,
    index: PatchIndex,
) -> list[str]:
    """Return one sentence for each thing that looks wrong but is no error.

    Args:
        data: The settings.
        entries: Images.
        facts: What was found in each.
        bands: Bands that are used.
        moments: Of the training images.
        index: Patches of all images.
    """
    counts = count_roles(entries, facts)
    warnings = _about_classes(data.classes, counts)
    warnings += _about_labels(entries, facts)
    warnings += [
        f"band {bands.names[band]} is {moments.mean[band]:g} at every valid training pixel: it tells nothing"
        for band in constant_bands(moments)
    ]
    if "train" not in counts.labelled:
        whence = "come from all images" if data.normalisation is None else "are those given"
        warnings.append(f"no image trains: mean and deviation of the bands {whence}")
    elif not index.rows("train", max_ignored_share=data.max_ignored_share):
        warnings.append(
            f"no training patch has less than {data.max_ignored_share:.0%} ignored: there is nothing to train on"
        )
    if "train" in counts.labelled and "val" not in counts.labelled:
        warnings.append("no image selects (val): the best epoch cannot be told")
    sizes = [metres for entry in entries if (metres := entry.grid.resolution_m) is not None]
    if sizes and max(sizes) > 1.05 * min(sizes):
        warnings.append(f"pixel sizes differ, from {min(sizes):.4g} m to {max(sizes):.4g} m; resample to one")
    return warnings


def _about_classes(classes: Classes, counts: RoleCounts) -> list[str]:
    pixels = {role: np.array(found) for role, found in counts.labelled.items()}
    total = sum(pixels.values(), np.zeros(len(classes), dtype=np.int64))
    warnings = []
    for number, name in enumerate(classes.names):
        if not total[number]:
            warnings.append(f"class {name} occurs in no label")
            continue
        absent = [role for role, found in pixels.items() if not found[number]]
        if absent:
            warnings.append(f"class {name} is absent from {', '.join(absent)}")
    return warnings


def _about_labels(entries: Sequence[ImageEntry], facts: Sequence[ImageFacts]) -> list[str]:
    warnings = []
    # Parts of one divided image are one image: it has a label if any of them has.
    images = {(entry.files, entry.label): (entry, found) for entry, found in zip(entries, facts, strict=True)}
    labelled = {(e.files, e.label) for e, found in zip(entries, facts, strict=True) if any(found.class_pixels)}
    empty = [image for key, image in images.items() if key not in labelled]
    if empty:
        warnings.append(f"without any labelled pixel: {_files(empty)}")
    where = [(entry, found) for entry, found in zip(entries, facts, strict=True) if found.unlisted]
    if where:
        ranked = _sum([found for _, found in where]).most_common(8)
        shown = ", ".join(f"{what} ({count} pixels)" for what, count in ranked)
        warnings.append(f"listed under no class: {shown}, in {_files(where)}")
    return warnings


def _sum(facts: Sequence[ImageFacts]) -> Counter[str]:
    total: Counter[str] = Counter()
    for found in facts:
        total.update(found.unlisted)
    return total


def _files(where: Sequence[tuple[ImageEntry, ImageFacts]]) -> str:
    """Name the label files concerned, the first few by path."""
    shown = ", ".join(str(entry.label.file if entry.label else entry.image) for entry, _ in where[:5])
    return f"{shown} and {len(where) - 5} more files" if len(where) > 5 else shown
