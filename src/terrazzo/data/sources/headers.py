"""Opening each file's header once: sizes, grids and bands, and whether a label stands on its image."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.same_grid import require_same_grid
from terrazzo.data.sources.source import Pair
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid
from terrazzo.geo.raster import RasterFile

__all__ = ["Header", "is_nameless", "read_header"]


@dataclass(frozen=True)
class Header:
    """What the headers of one image's files say.

    Attributes:
        entry: The image.
        bands: All its bands, in the order of `entry.stack`.
        aliases: A second name of each band, empty where it has none; no names where no band has one.
    """

    entry: ImageEntry
    bands: Bands
    aliases: tuple[str, ...] = ()


def read_header(pair: Pair, *, georeferenced: bool) -> Header:
    """Open the headers of an image and its label, and check that they fit.

    Args:
        pair: Files.
        georeferenced: Whether a coordinate reference system is required.

    Raises:
        DataError: A file cannot be read, holds a palette where an image should be, or stands on another grid.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(RasterFile(path)) for path in (pair.image, *pair.extra)]
        grid = files[0].grid
        if georeferenced and grid.crs is None:
            raise DataError(
                f"{pair.image} has no coordinate reference system; use the source `folder` for plain images."
            )
        for file in files:
            if file.colormap is not None:
                raise DataError(f"{file.path} is a palette image: its values are no measurements; convert it to RGB.")
            require_same_grid(grid, file.grid, first=str(pair.image), second=file.path)
        _check_label(pair, grid, georeferenced=georeferenced)
        bands, stack = _stack(pair, files)
    facts = [path.stat() for path in pair.all_files]
    entry = ImageEntry(
        image_id=pair.image_id,
        image=pair.image,
        label=pair.label,
        extra=pair.extra,
        split=pair.split,
        region=pair.region,
        height=grid.height,
        width=grid.width,
        crs=grid.crs.to_wkt() if grid.crs else None,
        transform=(
            grid.transform.a,
            grid.transform.b,
            grid.transform.c,
            grid.transform.d,
            grid.transform.e,
            grid.transform.f,
        ),
        stack=stack,
        fold=pair.fold,
        area=pair.area,
        mask=pair.mask,
        bytes=sum(fact.st_size for fact in facts),
        modified_ns=max(fact.st_mtime_ns for fact in facts),
    )
    return Header(entry, bands, pair.band_aliases)


def _check_label(pair: Pair, grid: Grid, *, georeferenced: bool) -> None:
    """Open label and area once, so that what cannot lie on the image is known before anything is read."""
    if pair.label is None:
        return
    try:
        pair.label.open(grid).close()
        if pair.area is not None:
            pair.area.open(grid)
    except DataError as error:
        raise DataError(f"{pair.image}: {error}") from error
    if georeferenced and isinstance(pair.label, RasterLabel):
        for path in pair.label.files:
            with RasterFile(path) as file:
                if file.grid.crs is None:
                    raise DataError(f"{path} has no coordinate reference system.")


def _stack(pair: Pair, files: Sequence[RasterFile]) -> tuple[Bands, tuple[BandPlace, ...]]:
    """Name all bands of an image: as the files say, an extra file's nameless band by its folder."""
    found: list[tuple[Band, int, int]] = []
    for place, (file, path) in enumerate(zip(files, (pair.image, *pair.extra), strict=True)):
        for number, band in enumerate(file.bands):
            name = band.name
            if place and len(file.bands) == 1 and is_nameless(name) and path.parent != pair.image.parent:
                name = path.parent.name.lower()
            found.append((band.model_copy(update={"name": name}), place, number))
    if pair.band_records:
        found = _as_recorded(found, pair, files)
    names = [band.name for band, _, _ in found]
    bands = [
        band if names.count(band.name) == 1 and not band.name.startswith("band_") else _numbered(band, position)
        for position, (band, _, _) in enumerate(found, 1)
    ]
    places = [BandPlace(band.name, place, number) for band, (_, place, number) in zip(bands, found, strict=True)]
    return Bands(items=tuple(bands)), tuple(places)


def _as_recorded(
    found: Sequence[tuple[Band, int, int]], pair: Pair, files: Sequence[RasterFile]
) -> list[tuple[Band, int, int]]:
    """Describe bands as the layout does; only what its records state replaces what the files say."""
    records = pair.band_records
    if len(records) != len(found):
        if len(records) == len(files):
            many = next(file for file in files if len(file.bands) != 1)
            raise DataError(f"{many.path} holds {len(many.bands)} bands, but a file with a single one is expected.")
        raise DataError(f"{pair.image} has {len(found)} bands, but {len(records)} names are given for it.")
    return [
        (band.model_copy(update=record.model_dump(exclude_unset=True)), place, number)
        for (band, place, number), record in zip(found, records, strict=True)
    ]


def _numbered(band: Band, position: int) -> Band:
    return band.model_copy(update={"name": f"band_{position}"})


def is_nameless(name: str) -> bool:
    """Return whether a band's name was made up because the file gives none.

    >>> is_nameless("band_3"), is_nameless("nir")
    (True, False)
    """
    return name == "gray" or name.startswith("band_")
