"""What a user should know of vector labels before they are burned: broken shapes, and files that lie elsewhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.errors import DataError
from terrazzo.geo.shapes import crs_of
from terrazzo.geo.vector import VectorFile

__all__ = ["check_vectors"]


def check_vectors(entries: Sequence[ImageEntry]) -> list[str]:
    """Look at each vector file once.

    A scene without shapes is nothing strange where its file labels other scenes; a file that labels none is.

    Args:
        entries: Images; those with other labels are left alone.

    Returns:
        Sentences about shapes that are skipped or repaired, and about scenes that no file reaches.

    Raises:
        DataError: A file is damaged, or none of the files reaches any scene.
    """
    scenes: dict[tuple[Path, str | None], list[ImageEntry]] = defaultdict(list)
    areas: dict[tuple[Path, str | None], list[ImageEntry]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry.label, VectorLabel):
            for path in entry.label.vectors:
                scenes[path, entry.label.layer].append(entry)
            if entry.label.areas_of_interest is not None:
                areas[entry.label.areas_of_interest, None].append(entry)
    notes = [*_reach(scenes, "shapes"), *_reach(areas, "areas of interest")]
    for path, layer in dict.fromkeys([*scenes, *areas]):
        found = VectorFile(path, layer).survey()
        if found.skipped:
            notes.append(f"{path}: {found.skipped} of {found.shapes} shapes have no geometry and are skipped")
        if found.repaired:
            notes.append(
                f"{path}: {found.repaired} of {found.shapes} shapes are invalid and are repaired as they are read"
            )
    return notes


def _reach(files: Mapping[tuple[Path, str | None], Sequence[ImageEntry]], what: str) -> list[str]:
    """Refuse files none of which reaches a scene; name scenes that none reaches."""
    if not files:
        return []
    concerned = {entry.image_id for entries in files.values() for entry in entries}
    reached: set[str] = set()
    idle: list[str] = []
    for (path, layer), entries in files.items():
        file = VectorFile(path, layer)
        touched = {entry.image_id for entry in entries if file.may_touch(entry.grid)}
        reached |= touched
        if not touched:
            idle.append(str(path))
    if not reached:
        (path, layer), entries = next(iter(files.items()))
        raise DataError(
            f"no {what} of {_few(idle)} lie on any of {len(concerned)} images: {VectorFile(path, layer).place}, but "
            f"{entries[0].image} reaches over {_numbers(entries[0].grid.bounds)} in {_name(entries[0])}; check the "
            "coordinate reference systems."
        )
    notes = []
    if idle:
        notes.append(f"{_few(idle)}: no {what} lie on any image")
    missed = sorted(concerned - reached)
    if missed:
        notes.append(f"no {what} lie on {len(missed)} of {len(concerned)} images ({_few(missed)})")
    return notes


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _numbers(bounds: tuple[float, float, float, float]) -> str:
    return ", ".join(f"{number:.10g}" for number in bounds)


def _name(entry: ImageEntry) -> str:
    return crs_of(entry.grid).name
