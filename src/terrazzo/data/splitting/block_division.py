"""Images divided along blocks of the ground: each block has one role or fold, drawn by its place or dealt by class."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from terrazzo.data.areas.area import Area, AreaReader
from terrazzo.data.areas.blocks import BlockArea
from terrazzo.data.areas.dealt import Block, DealtBlocks
from terrazzo.data.areas.intersection import IntersectionArea
from terrazzo.data.catalog import ROLES, ImageEntry
from terrazzo.data.settings import DataSettings
from terrazzo.data.splitting.block_counts import BLOCKS_FILE, count_blocks
from terrazzo.data.splitting.block_plan import BlockPlan, plan_blocks
from terrazzo.data.splitting.folds import deal
from terrazzo.data.splitting.settings import BlockSettings, Role
from terrazzo.errors import DataError
from terrazzo.geo.grid import Grid, Window
from terrazzo.progress import Listener, silent

__all__ = ["LEAST_SHARE", "BlockDivision", "within"]

DEFAULT_SHARES: dict[Role, float] = {"train": 0.8, "val": 0.2}
"""Shares of the blocks where the settings give none."""
LEAST_SHARE = 0.1
"""Parts of an image that hold fewer pixels than this share of a patch, and than its largest block, are left out."""
TILE = 1024
"""Side in pixels of the windows in which pixels are looked for."""

Place = tuple[str, Block]
"""A block, and the image that it belongs to; an empty name for blocks of the ground, which all images share."""
Dealt = Mapping[str, Mapping[Block, int]]
"""The fold of each block, by the same name."""


def within(area: Area | None, other: Area) -> Area:
    """Return the area that lies in both; the second where the first is the whole image."""
    return other if area is None else IntersectionArea(areas=(area, other))


@dataclass
class _Found:
    """What came out so far.

    Attributes:
        entries: Images and parts of them.
        blocks: Blocks of each part.
        left_out: Parts of images that are too small, by name.
        roles: Roles that have a block.
    """

    entries: list[ImageEntry] = field(default_factory=list)
    blocks: dict[str, set[Place]] = field(default_factory=lambda: defaultdict(set))
    left_out: list[str] = field(default_factory=list)
    roles: set[str] = field(default_factory=set)


class BlockDivision:
    """Division along blocks of the ground.

    Args:
        settings: How large blocks are.
        data: Settings of the data, which say whether blocks have roles or folds.
        folder: Where what was counted in the labels is kept; nothing is kept if None.
        listener: Receives progress where labels are counted.
    """

    def __init__(
        self,
        settings: BlockSettings,
        data: DataSettings,
        *,
        folder: Path | None = None,
        listener: Listener = silent,
    ) -> None:
        self._data, self._folder, self._listener = data, folder, listener
        folds = data.split.folds
        self._folds = folds
        given = {str(role): share for role, share in (settings.fractions or DEFAULT_SHARES).items()}
        shares = {f"fold{n}": 1 / folds.count for n in range(folds.count)} if folds is not None else given
        self._shares = tuple(shares.items())
        self._settings = settings
        if folds is not None:
            self._settings = settings.model_copy(update={"seed": settings.seed + folds.seed})
        self._divided = {None, "train"} if folds is None else {None, "train", "val"}

    def divide(self, entries: Sequence[ImageEntry]) -> tuple[list[ImageEntry], list[str]]:
        """Return the entries and what to say about them.

        Raises:
            ConfigError: A coordinate reference system is unknown.
            DataError: An image cannot be divided as asked, there are fewer blocks than folds that are dealt, or the
                guard leaves a role no pixel.
            LabelError: A label does not fit how classes are listed.
        """
        chosen = [entry for entry in entries if entry.split in self._divided]
        if not chosen:
            return list(entries), ["data.split.blocks divides nothing: the layout gives every image a role to keep"]
        plan = plan_blocks(chosen, self._settings)
        dealt = self._dealt(chosen, plan) if self._folds is not None and self._folds.stratify else None
        found = _Found()
        for entry in entries:
            if entry.split in self._divided:
                self._divide_image(entry, plan, dealt, found)
            else:
                found.entries.append(entry)
        self._require_roles(found)
        return found.entries, self._notes(plan, found, chosen)

    def _dealt(self, chosen: Sequence[ImageEntry], plan: BlockPlan) -> Dealt:
        """Return the fold of every block: each fold gets about the same of each class, and of pixels in all."""
        count = len(self._shares)
        areas = [plan.area(entry, self._shares[0][0], shares=self._shares) for entry in chosen]
        file = None if self._folder is None else self._folder / BLOCKS_FILE
        counted = count_blocks(chosen, areas, self._data.classes, file=file, listener=self._listener)
        sizes: dict[Place, np.ndarray] = {}
        for area, counts in zip(areas, counted, strict=True):
            for block, pixels in counts.items():
                place = (area.image, block)
                sizes[place] = sizes.get(place, 0) + pixels
        if len(sizes) < count:
            raise DataError(
                f"data.split.folds.count is {count}, but the images lie on {len(sizes)} blocks of data.split.blocks; "
                "give smaller blocks or fewer folds."
            )
        names = {f"{image}:{row}:{column}": (image, (row, column)) for image, (row, column) in sizes}
        # All pixels first, so that blocks without labels are spread as well.
        table = {name: [float(sizes[place].sum()), *map(float, sizes[place][:-1])] for name, place in names.items()}
        folds = deal(table, count, seed=self._settings.seed)
        dealt: dict[str, dict[Block, int]] = defaultdict(dict)
        for name, (image, block) in names.items():
            dealt[image][block] = folds[name]
        return dealt

    def _divide_image(self, entry: ImageEntry, plan: BlockPlan, dealt: Dealt | None, found: _Found) -> None:
        """Add an entry for each part that holds more than a sliver of the image."""
        first = plan.area(entry, self._shares[0][0], shares=self._shares)
        sizes = first.open(entry.grid).sizes()
        if dealt is not None:
            around = DealtBlocks.around(dealt[first.image], set(sizes), math.ceil(first.guard / first.size))
            first = first.model_copy(update={"dealt": around})
        owned: dict[str, set[Block]] = defaultdict(set)
        for block in sizes:
            owned[first.drawn(block)].add(block)
        patch = min(self._data.patch.size, entry.height) * min(self._data.patch.size, entry.width)
        least = max(math.ceil(min(LEAST_SHARE * patch, max(sizes.values()))), 1)
        for part in [part for part, _ in self._shares if part in owned]:
            found.blocks[part] |= {(first.image, block) for block in owned[part]}
            found.roles.add(self._role(part))
            area = plan.area(entry, part, shares=self._shares, clear_of=self._clear_of(part), dealt=first.dealt)
            made = self._entry(entry, part, area, alone=len(owned) == 1)
            if self._is_more_than_a_sliver(entry, made, sum(sizes[block] for block in owned[part]), least):
                found.entries.append(made)
            else:
                found.left_out.append(made.image_id)

    @staticmethod
    def _is_more_than_a_sliver(entry: ImageEntry, made: ImageEntry, pixels: int, least: int) -> bool:
        """Return whether a part of an image holds enough of it; `pixels` are those of its blocks."""
        if made.area is None or made.area is entry.area:
            return True
        if entry.area is None and isinstance(made.area, BlockArea) and not made.area.clear_of:
            return pixels >= least
        return pixels >= least and _holds(made.area.open(made.grid), made.grid, least)

    def _entry(self, entry: ImageEntry, part: str, area: BlockArea, *, alone: bool) -> ImageEntry:
        folded = self._folds is not None
        role = {"fold": int(part.removeprefix("fold")), "split": None} if folded else {"split": part}
        if alone and not area.clear_of:
            return replace(entry, **role)
        return replace(entry, image_id=f"{entry.image_id}#{part}", area=within(entry.area, area), **role)

    def _role(self, part: str) -> str:
        """Return the role that a part has: of folds one selects and the others train."""
        if self._folds is None:
            return part
        return "val" if part == f"fold{self._data.fold}" else "train"

    def _clear_of(self, part: str) -> tuple[str, ...]:
        """Return the parts that one keeps its distance from: training, then what selects, then what calibrates."""
        if self._folds is not None:
            selects = f"fold{self._data.fold}"
            return () if part == selects else (selects,)
        rank = ROLES.index(part)
        return tuple(other for other, share in self._shares if ROLES.index(other) > rank and share > 0)

    def _require_roles(self, found: _Found) -> None:
        """Refuse a guard that leaves a role nothing, which would otherwise be seen only by its absence."""
        if self._folds is None:
            left = {entry.split for entry in found.entries}
        else:
            left = {None if entry.fold is None else self._role(f"fold{entry.fold}") for entry in found.entries}
        lost = [role for role in ROLES if role in found.roles and role not in left]
        if lost and (self._settings.guard_m or self._settings.guard_pixels):
            raise DataError(
                f"the guard of data.split.blocks leaves no part of an image for {' and '.join(lost)}; make it smaller, "
                "or the blocks larger: they lose as much as the guard on each side where a block of another role lies."
            )

    def _notes(self, plan: BlockPlan, found: _Found, chosen: Sequence[ImageEntry]) -> list[str]:
        blocks = found.blocks
        counts = ", ".join(f"{len(blocks[part])} {part}" for part, _ in self._shares if blocks[part])
        size = f"{plan.size_m:g} m" if plan.crs else f"{self._settings.size_pixels} pixels"
        notes = [f"{len(chosen)} images are divided along blocks of {size} on {plan.name}: {counts}"]
        empty = [part for part, share in self._shares if share > 0 and not blocks[part]]
        notes += [
            f"no block drew {part} ({sum(map(len, blocks.values()))} blocks are few; make them smaller, or try another "
            "seed)"
            for part in empty
        ]
        if found.left_out:
            shown = ", ".join(found.left_out[:5]) + (" ..." if len(found.left_out) > 5 else "")
            what = "part of an image holds" if len(found.left_out) == 1 else "parts of images hold"
            notes.append(
                f"{len(found.left_out)} {what} less than {LEAST_SHARE:.0%} of a patch, as corners of blocks "
                f"and what a guard leaves do: left out ({shown})"
            )
        side = [plan.size_m / metres for entry in chosen if plan.crs and (metres := entry.grid.resolution_m)]
        pixels = min([*side, *(float(self._settings.size_pixels or 0) for entry in chosen if entry.crs is None)])
        if pixels < self._data.patch.size:
            notes.append(
                f"blocks are {pixels:.0f} pixels wide, patches {self._data.patch.size}: most patches reach into blocks "
                "of other parts, whose pixels they ignore; larger blocks lose less"
            )
        return notes


def _holds(reader: AreaReader, grid: Grid, least: int) -> bool:
    """Return whether an area holds so many pixels, looking at no more of them than it takes."""
    held = 0
    for window in _windows(grid):
        held += int(reader.inside(window).sum())
        if held >= least:
            return True
    return False


def _windows(grid: Grid) -> Iterator[Window]:
    """Cut a grid into windows, each pixel in one."""
    for y in range(0, grid.height, TILE):
        for x in range(0, grid.width, TILE):
            yield Window(y, x, min(TILE, grid.height - y), min(TILE, grid.width - x))
