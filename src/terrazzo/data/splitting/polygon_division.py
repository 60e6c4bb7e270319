"""Images divided between roles by polygons that somebody has drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from terrazzo.data.areas.intersection import IntersectionArea
from terrazzo.data.areas.polygons import PolygonArea
from terrazzo.data.catalog import ImageEntry, split_order
from terrazzo.data.sources.source import role_of
from terrazzo.data.splitting.settings import PolygonSettings
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.geo.vector import EMPTY_TEXT, VectorFile
from terrazzo.record import nearest

__all__ = ["divide_by_polygons", "polygon_areas"]

TILE = 1024
"""Side in pixels of the windows in which areas are looked at."""


def divide_by_polygons(entries: Sequence[ImageEntry], settings: PolygonSettings) -> tuple[list[ImageEntry], list[str]]:
    """Divide images between roles; what lies in no polygon is ignored, and an image outside of all is left out.

    Args:
        entries: Images; those of a named validation set (val_<name>) stay as they are.
        settings: Which polygons have which role.

    Returns:
        Entries called `name#role`, those of one image beside each other; and sentences about what came out.

    Raises:
        DataError: A file is missing or damaged; a field holds what is no role; polygons of two roles share a pixel; no
            image lies in a polygon.
    """
    areas = polygon_areas(settings)
    found: list[ImageEntry] = []
    outside: list[str] = []
    divided = 0
    for entry in entries:
        if (entry.split or "").startswith("val_"):
            found.append(entry)
            continue
        parts = _parts(entry, areas)
        divided += bool(parts)
        found += parts
        if not parts:
            outside.append(entry.image_id)
    if not divided:
        raise DataError(
            f"data.split.polygons: no image lies in a polygon of {', '.join(map(str, settings.paths))}; check their "
            "coordinate reference system and place."
        )
    if not outside:
        return found, []
    shown = ", ".join(outside[:5]) + (" ..." if len(outside) > 5 else "")
    return found, [f"{len(outside)} images lie in no polygon of data.split.polygons and are left out ({shown})"]


def polygon_areas(settings: PolygonSettings) -> dict[str, PolygonArea]:
    """Return the area of each role, in the order of roles.

    Raises:
        DataError: A file is missing or damaged, or the field holds what is no role.
    """
    areas: dict[str, PolygonArea] = {}
    if settings.files is not None:
        for role, path in settings.files.items():
            areas[role] = PolygonArea(vectors=(path,), layer=settings.layer)
    elif settings.file is not None:
        for text_role, values in _texts_of_roles(settings.file, settings.layer, settings.field).items():
            areas[text_role] = PolygonArea(
                vectors=(settings.file,), layer=settings.layer, field=settings.field, values=values
            )
    return {role: areas[role] for role in sorted(areas, key=split_order)}


def _texts_of_roles(path: Path, layer: str | None, field: str) -> Mapping[str, tuple[str, ...]]:
    """Return how each role that occurs is written in a file; polygons without a role belong to nobody."""
    found: dict[str, tuple[str, ...]] = {}
    for text in VectorFile(path, layer).distinct(field):
        if text == EMPTY_TEXT:
            continue
        role = role_of(text.strip())
        if role is None:
            raise DataError(
                f'{path}: the field "{field}" says "{text}", which is no role; roles are train, val, calibrate and '
                f"test.{nearest(text, ['train', 'val', 'calibrate', 'test'])}"
            )
        found[role] = (*found.get(role, ()), text)
    if not found:
        raise DataError(f'{path}: no polygon has a role in the field "{field}".')
    return found


def _parts(entry: ImageEntry, areas: Mapping[str, PolygonArea]) -> list[ImageEntry]:
    """Return an entry for each role that has a pixel of the image."""
    tiles = list(entry.grid.tiles(TILE))
    try:
        readers = {role: area.open(entry.grid) for role, area in areas.items()}
    except DataError as error:
        raise DataError(f"{entry.image}: {error}") from error
    touched: dict[str, set[Window]] = {
        role: {tile for tile in tiles if reader.touches(tile)} for role, reader in readers.items()
    }
    present = [role for role in areas if touched[role]]
    for one, other in combinations(present, 2):
        for tile in sorted(touched[one] & touched[other]):
            shared = readers[one].inside(tile) & readers[other].inside(tile)
            if shared.any():
                raise DataError(
                    f"{entry.image}: polygons of {one} and {other} in {areas[one].vectors[0]} and "
                    f"{areas[other].vectors[0]} overlap in {int(shared.sum())} pixels near row {tile.y}, column "
                    f"{tile.x}; a pixel has one role."
                )
    return [
        replace(
            entry,
            image_id=f"{entry.image_id}#{role}",
            split=role,
            area=areas[role] if entry.area is None else IntersectionArea(areas=(entry.area, areas[role])),
        )
        for role in present
    ]
