"""Several scenes joined to one mosaic."""

from collections.abc import Sequence

from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid, Window
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.mosaic import Order
from terrazzo.scene.inputs.placing import grid_around

__all__ = ["joined"]


def joined(entries: Sequence[SceneEntry], *, order: Order, name: str) -> SceneEntry:
    """Return the mosaic of scenes, on the grid of the first made as large as all of them.

    Args:
        entries: The scenes, in the order in which they were given.
        order: Which of those that cover a pixel is seen.
        name: Of the map.

    Raises:
        DataError: One has no coordinate reference system, or other bands than the first.
    """
    first = entries[0]
    if len(entries) == 1:
        return first.model_copy(update={"name": name})
    for entry in entries:
        if entry.grid.crs is None:
            raise DataError(
                f"{entry.path} has no coordinate reference system, so that it has no place in a mosaic; give it one, "
                "or set predict.mosaic to no."
            )
        _require_same_bands(first, entry)
    grid, windows = grid_around([entry.grid for entry in entries], [entry.path for entry in entries])
    parts = [
        entry.parts[0].model_copy(update={"window": window}) for entry, window in zip(entries, windows, strict=True)
    ]
    return SceneEntry(
        name=name,
        path=f"the mosaic of {first.path} and {len(entries) - 1} more",
        frame=SceneGrid.of(grid),
        bands=_offered(entries),
        parts=tuple(parts),
        order=order,
        own_grid=False,
        notes=(*(note for entry in entries for note in entry.notes), *_resampled(entries, grid, windows)),
    )


def _resampled(entries: Sequence[SceneEntry], grid: Grid, windows: Sequence[Window]) -> tuple[str, ...]:
    """Say which scenes do not lie on the first one's pixels."""
    others = [
        entry.path
        for entry, window in zip(entries, windows, strict=True)
        if not grid.window(window).same_pixels(entry.grid)
    ]
    if not others:
        return ()
    note = (
        f"{len(others)} of the {len(entries)} scenes of the mosaic lie on another grid than {entries[0].path} and are "
        f"resampled onto its pixels, such as {others[0]}."
    )
    return (note,)


def _offered(entries: Sequence[SceneEntry]) -> Bands:
    """Return the bands of all; a nodata value only where all have the same, since each honours its own besides."""
    items = []
    for band in entries[0].bands:
        values = {_band(entry, band.name).nodata for entry in entries}
        items.append(band.model_copy(update={"nodata": band.nodata if len(values) == 1 else None}))
    return Bands(items=tuple(items))


def _require_same_bands(first: SceneEntry, other: SceneEntry) -> None:
    """Refuse a scene whose bands are others, or mean something else."""
    if set(first.bands.names) != set(other.bands.names):
        raise DataError(
            f"{other.path} has the bands {', '.join(other.bands.names)}, but {first.path} has "
            f"{', '.join(first.bands.names)}; the files of a mosaic need the same bands by name."
        )
    for band in first.bands:
        found = _band(other, band.name)
        here, there = (band.dtype, band.scale, band.offset), (found.dtype, found.scale, found.offset)
        if here != there:
            raise DataError(
                f'{other.path}: band "{band.name}" holds {found.dtype} of scale {found.scale:g} and offset '
                f"{found.offset:g}, but in {first.path} it holds {band.dtype} of scale {band.scale:g} and offset "
                f"{band.offset:g}; convert one of them."
            )


def _band(entry: SceneEntry, name: str) -> Band:
    return entry.bands.select((name,)).items[0]
