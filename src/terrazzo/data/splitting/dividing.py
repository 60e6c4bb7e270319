"""One image, several roles: an image is divided into entries whose areas never overlap."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from terrazzo.data.areas.area import Area
from terrazzo.data.areas.blocks import Block, BlockArea
from terrazzo.data.areas.intersection import IntersectionArea
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.settings import DataSettings
from terrazzo.data.splitting.block_plan import BlockPlan, plan_blocks
from terrazzo.data.splitting.polygon_division import divide_by_polygons
from terrazzo.data.splitting.settings import BlockSettings, Role

__all__ = ["divide", "within"]

DEFAULT_SHARES: dict[Role, float] = {"train": 0.8, "val": 0.2}
"""Shares of the blocks where the settings give none."""


def divide(entries: Sequence[ImageEntry], data: DataSettings) -> tuple[list[ImageEntry], list[str]]:
    """Divide images between roles, or between folds.

    Args:
        entries: Images; those that have a role which the settings do not divide stay whole.
        data: Settings of the data.

    Returns:
        Entries, those of one image beside each other, called as it with `#` and the part; and sentences about what
        came out.

    Raises:
        ConfigError: A coordinate reference system is unknown.
        DataError: An image cannot be divided as asked.
    """
    if data.split.polygons is not None:
        return divide_by_polygons(entries, data.split.polygons)
    blocks = data.split.blocks
    if blocks is None:
        return list(entries), []
    return _Blocks(blocks, data).divide(entries)


def within(area: Area | None, other: Area) -> Area:
    """Return the area that lies in both; the second where the first is the whole image."""
    return other if area is None else IntersectionArea(areas=(area, other))


class _Blocks:
    """Division along blocks of the ground.

    Args:
        settings: How large blocks are.
        data: Settings of the data, which say whether blocks have roles or folds.
    """

    def __init__(self, settings: BlockSettings, data: DataSettings) -> None:
        self._settings, self._data = settings, data
        folds = data.split.folds
        self._folded = folds is not None
        given = {str(role): share for role, share in (settings.fractions or DEFAULT_SHARES).items()}
        self._shares = {f"fold{n}": 1 / folds.count for n in range(folds.count)} if folds is not None else given
        if folds is not None:
            self._settings = settings.model_copy(update={"seed": settings.seed + folds.seed})
        self._divided = {None, "train", "val"} if self._folded else {None, "train"}

    def divide(self, entries: Sequence[ImageEntry]) -> tuple[list[ImageEntry], list[str]]:
        """Return the entries and what to say about them."""
        chosen = [entry for entry in entries if entry.split in self._divided]
        if not chosen:
            return list(entries), ["data.split.blocks divides nothing: the layout gives every image a role to keep"]
        plan = plan_blocks(chosen, self._settings)
        blocks: dict[str, set[tuple[str, Block]]] = defaultdict(set)
        found: list[ImageEntry] = []
        for entry in entries:
            found += self._parts(entry, plan, blocks) if entry.split in self._divided else [entry]
        return found, self._notes(plan, blocks, chosen)

    def _parts(self, entry: ImageEntry, plan: BlockPlan, blocks: dict[str, set[tuple[str, Block]]]) -> list[ImageEntry]:
        """Return an entry for each part that has a block in the image."""
        first = plan.area(entry, next(iter(self._shares)), shares=tuple(self._shares.items()))
        owned: dict[str, set[Block]] = defaultdict(set)
        for block in first.open(entry.grid).blocks():
            owned[first.drawn(block)].add(block)
        present = [part for part in self._shares if owned[part]]
        found = []
        for part in present:
            blocks[part] |= {(first.image, block) for block in owned[part]}
            area = plan.area(entry, part, shares=tuple(self._shares.items()), clear_of=self._clear_of(part))
            found.append(self._entry(entry, part, area, alone=len(present) == 1))
        return found

    def _entry(self, entry: ImageEntry, part: str, area: BlockArea, *, alone: bool) -> ImageEntry:
        role = {"fold": int(part.removeprefix("fold")), "split": None} if self._folded else {"split": part}
        if alone and not area.clear_of:
            return replace(entry, **role)
        return replace(entry, image_id=f"{entry.image_id}#{part}", area=within(entry.area, area), **role)

    def _clear_of(self, part: str) -> tuple[str, ...]:
        """Return the parts that one keeps its distance from: training gives way to what selects or judges."""
        if self._folded:
            selects = f"fold{self._data.fold}"
            return () if part == selects else (selects,)
        others = (other for other, share in self._shares.items() if other != part and share > 0)
        return tuple(others) if part == "train" else ()

    def _notes(
        self, plan: BlockPlan, blocks: dict[str, set[tuple[str, Block]]], chosen: Sequence[ImageEntry]
    ) -> list[str]:
        counts = ", ".join(f"{len(blocks[part])} {part}" for part in self._shares if blocks[part])
        size = f"{plan.size_m:g} m" if plan.crs else f"{self._settings.size_pixels} pixels"
        notes = [f"{len(chosen)} images are divided along blocks of {size} on {plan.name}: {counts}"]
        empty = [part for part, share in self._shares.items() if share > 0 and not blocks[part]]
        notes += [
            f"no block drew {part} ({sum(map(len, blocks.values()))} blocks are few; make them smaller, or try another "
            "seed)"
            for part in empty
        ]
        side = [plan.size_m / metres for entry in chosen if plan.crs and (metres := entry.grid.resolution_m)]
        pixels = min([*side, *(float(self._settings.size_pixels or 0) for entry in chosen if entry.crs is None)])
        if pixels < self._data.patch.size:
            notes.append(
                f"blocks are {pixels:.0f} pixels wide, patches {self._data.patch.size}: most patches reach into blocks "
                "of other parts, whose pixels they ignore; larger blocks lose less"
            )
        return notes
