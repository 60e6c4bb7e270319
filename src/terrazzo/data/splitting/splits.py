"""Which image trains, selects, calibrates and judges: whole images, each with exactly one role."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePath, PurePosixPath

from terrazzo.data.settings import Role, SplitSettings
from terrazzo.data.sources.pattern import RASTER_SUFFIXES
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.draw import drawn
from terrazzo.errors import DataError
from terrazzo.record import nearest

__all__ = ["DEFAULT_FRACTIONS", "assign_splits", "drawn_role"]

DEFAULT_FRACTIONS: dict[Role, float] = {"train": 0.8, "val": 0.2}
"""Shares where neither the settings nor the folders say anything."""


def assign_splits(
    pairs: Sequence[Pair], settings: SplitSettings, *, folded: bool = False
) -> tuple[list[Pair], list[str]]:
    """Give every image its role.

    Args:
        pairs: Images.
        settings: How roles are given.
        folded: Whether folds divide later what trains or selects.

    Returns:
        Images with a role, or without one where blocks or folds give it once the images are known, in the order given,
        and sentences about what was left out or assumed.

    Raises:
        DataError: A list names an unknown image or one that another list names; a region is unknown; some folders say
            a role and some do not.
    """
    if settings.lists is not None:
        return _by_lists(pairs, settings.lists)
    if settings.regions is not None:
        return _by_regions(pairs, settings.regions)
    if settings.fractions is not None:
        return _by_fractions(pairs, settings.fractions, settings.seed)
    if settings.blocks is not None or settings.polygons is not None or folded:
        return list(pairs), []
    silent = [pair for pair in pairs if pair.split is None]
    if not silent:
        return list(pairs), []
    if len(silent) < len(pairs):
        raise DataError(
            f"the folders give a role to {len(pairs) - len(silent)} images, but none to {len(silent)} (such as "
            f"{silent[0].image}); set data.split."
        )
    given, notes = _by_fractions(pairs, DEFAULT_FRACTIONS, settings.seed)
    return given, ["nothing says which images train, so four in five do and one in five selects (data.split)", *notes]


def drawn_role(image_id: str, fractions: Mapping[Role, float], seed: int) -> Role:
    """Return the role that an image draws; it depends on its name and the seed alone.

    >>> drawn_role("a", {"train": 1.0}, 0)
    'train'
    """
    order: tuple[Role, ...] = ("train", "val", "calibrate", "test")
    role = drawn(f"{seed}:{image_id}", {role: fractions.get(role, 0.0) for role in order})
    return next(known for known in order if known == role)


def _by_fractions(pairs: Sequence[Pair], fractions: Mapping[Role, float], seed: int) -> tuple[list[Pair], list[str]]:
    given = [
        pair if pair.split not in {None, "train"} else replace(pair, split=drawn_role(pair.image_id, fractions, seed))
        for pair in pairs
    ]
    met = Counter(pair.split for pair in given)
    empty = [role for role, share in fractions.items() if share > 0 and not met[role]]
    return given, [
        f"no image drew the role {role} ({len(pairs)} images are few; try another data.split.seed)" for role in empty
    ]


def _by_regions(pairs: Sequence[Pair], regions: Mapping[Role, Sequence[str]]) -> tuple[list[Pair], list[str]]:
    present = sorted({pair.region for pair in pairs if pair.region is not None})
    if not present:
        raise DataError("data.split.regions is given, but no image has a region; write {region} in data.source.images.")
    roles = {region: role for role, listed in regions.items() for region in listed}
    for region in roles:
        if region not in present:
            raise DataError(
                f'data.split.regions: no image lies in "{region}"; regions are {", ".join(present)}.'
                f"{nearest(region, present)}"
            )
    given = [replace(pair, split=roles[pair.region]) for pair in pairs if pair.region in roles]
    return given, _left_out(len(pairs) - len(given), "lie in a region that data.split.regions does not list")


def _by_lists(pairs: Sequence[Pair], lists: Mapping[Role, Path]) -> tuple[list[Pair], list[str]]:
    by_stem: dict[str, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_stem[_parts(pair.image)[-1]].append(pair)
    roles: dict[str, tuple[Role, str]] = {}
    for role, path in lists.items():
        for number, line in _lines(path):
            where = f"{path}, line {number}"
            pair = _named(line, by_stem, where)
            if pair.image_id in roles:
                raise DataError(f"{where} names {pair.image_id}, which {roles[pair.image_id][1]} names already.")
            roles[pair.image_id] = (role, where)
    given = [replace(pair, split=roles[pair.image_id][0]) for pair in pairs if pair.image_id in roles]
    return given, _left_out(len(pairs) - len(given), "stand in no list of data.split.lists")


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a list that name something, with their numbers."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.split.lists: {path} cannot be read: {error}.") from error
    found = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, line) for number, line in found if line and not line.startswith("#")]
    if not found:
        raise DataError(f"data.split.lists: {path} names no image.")
    return found


def _named(line: str, by_stem: Mapping[str, Sequence[Pair]], where: str) -> Pair:
    """Return the image that a line names by stem, by path, or by image and label path."""
    for text in (line, *(line.split(sign)[0].strip() for sign in ("\t", ";", ",")), line.split()[0]):
        parts = _parts(PurePosixPath(text.replace("\\", "/")))
        candidates = _closest(parts, by_stem.get(parts[-1], ())) if parts else []
        if len(candidates) > 1:
            raise DataError(
                f'{where}: "{text}" could be {candidates[0].image} or {candidates[1].image}; write more of the path.'
            )
        if candidates:
            return candidates[0]
    raise DataError(f'{where}: no image is called "{line}".{nearest(line, list(by_stem))}')


def _parts(path: PurePath) -> tuple[str, ...]:
    """Return the parts of a path without the suffix of an image file; other dots belong to the name."""
    return (path.with_suffix("") if path.suffix.lower() in RASTER_SUFFIXES else path).parts


def _closest(parts: Sequence[str], candidates: Sequence[Pair]) -> list[Pair]:
    """Return the images whose path or name has the most last parts in common with the listed path."""
    depths = [
        max(_common(parts, _parts(pair.image)), _common(parts, PurePosixPath(pair.image_id).parts))
        for pair in candidates
    ]
    return [pair for pair, depth in zip(candidates, depths, strict=True) if depth == max(depths)]


def _common(here: Sequence[str], there: Sequence[str]) -> int:
    """Return how many last parts two paths have in common."""
    count = 0
    for one, other in zip(reversed(here), reversed(there), strict=False):
        if one != other:
            break
        count += 1
    return count


def _left_out(count: int, why: str) -> list[str]:
    return [f"{count} images {why} and are left out"] if count else []
