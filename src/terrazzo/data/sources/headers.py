"""Opening each file's header once: sizes, grids and bands, and whether a label stands on its image."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.labels.raster import RasterLabelReader
from terrazzo.data.sources.source import Pair
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid
from terrazzo.geo.raster import RasterFile
from terrazzo.geo.warped import way_onto

__all__ = ["Header", "header_notes", "is_nameless", "read_header"]


@dataclass(frozen=True)
class Header:
    """What the headers of one image's files say.

    Attributes:
        entry: The image.
        bands: All its bands, in the order of `entry.stack`.
        aliases: A second name of each band, empty where it has none; no names where no band has one.
        reprojected: Label rasters that lie on another grid than the image, each pixel read from the nearest.
        transparency: Number, from 1, of the image's band that is transparency by its colour interpretation; None where
            there is none.
    """

    entry: ImageEntry
    bands: Bands
    aliases: tuple[str, ...] = ()
    reprojected: tuple[str, ...] = ()
    transparency: int | None = None


def read_header(pair: Pair, *, georeferenced: bool, resolution_m: float | None = None) -> Header:
    """Open the headers of an image and its label, and check that they fit.

    Args:
        pair: Files.
        georeferenced: Whether a coordinate reference system is required.
        resolution_m: Size of the pixels on which everything is read, in metres; that of the finest file if None.

    Raises:
        DataError: A file cannot be read, holds a palette where an image should be, has no place that is known, or does
            not cover its image.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(RasterFile(path)) for path in (pair.image, *pair.extra)]
        for file in files:
            _check_image(file, georeferenced=georeferenced)
        grid = _common_grid(files, resolution_m)
        mask = () if pair.mask is None else (opened.enter_context(RasterFile(pair.mask.file)),)
        _check_cover((*files, *mask), grid)
        reprojected = _check_label(pair, grid)
        bands, stack = _stack(pair, files)
        transparency = files[0].alpha
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
    return Header(entry, bands, pair.band_aliases, reprojected, transparency)


def header_notes(headers: Sequence[Header]) -> tuple[str, ...]:
    """Return what a user should know of the files' grids, in a sentence each."""
    concerned = [header for header in headers if header.reprojected]
    if not concerned:
        return ()
    first = concerned[0]
    note = (
        f"the labels of {len(concerned)} of {len(headers)} images lie on another grid and are brought onto their "
        f"image's, each pixel from the nearest, such as {first.reprojected[0]} onto {first.entry.image}."
    )
    return (note,)


def _check_image(file: RasterFile, *, georeferenced: bool) -> None:
    if georeferenced and file.control is not None:
        raise DataError(
            f"{file.path} says where it lies by {file.control} alone, so that its pixels have no grid; bring it onto "
            f"one first, such as with: gdalwarp -t_srs EPSG:32633 {'-rpc ' if file.control == 'RPCs' else ''}"
            f'"{file.path}" rectified.tif.'
        )
    if georeferenced and file.own_grid.crs is None:
        raise DataError(f"{file.path} has no coordinate reference system; use the source `folder` for plain images.")
    if file.colormap is not None:
        raise DataError(f"{file.path} is a palette image: its values are no measurements; convert it to RGB.")


def _common_grid(files: Sequence[RasterFile], resolution_m: float | None) -> Grid:
    """Return the grid of the finest file, the first where several are; with pixels of another size where asked for."""
    grid = files[0].own_grid
    for file in files[1:]:
        finest, size = grid.resolution_m, file.own_grid.resolution_m
        # A thousandth is rounding, which must not decide.
        if finest is not None and size is not None and size < finest * 0.999:
            grid = file.own_grid
    try:
        return grid if resolution_m is None else grid.at_resolution(resolution_m)
    except DataError as error:
        raise DataError(f"{files[0].path}: {error}") from error


def _check_cover(files: Sequence[RasterFile], grid: Grid) -> None:
    """Refuse files of an image, its mask too, that share no pixel with it."""
    for file in files:
        way = way_onto(grid, file.own_grid, "nearest", name=file.path)
        if way is not None and not way.overlaps:
            raise DataError(
                f"{file.path} covers {file.own_grid.describe_bounds()}, but {files[0].path} is read on "
                f"{grid.describe_bounds()}; they share no pixel, so that nothing would be read."
            )


def _check_label(pair: Pair, grid: Grid) -> tuple[str, ...]:
    """Open label and area once, so that what cannot lie on the image is known before anything is read.

    Returns:
        Label rasters whose pixels are brought onto the image's.
    """
    if pair.label is None:
        return ()
    try:
        with pair.label.open(grid) as label:
            reprojected = label.warped if isinstance(label, RasterLabelReader) else ()
        if pair.area is not None:
            pair.area.open(grid)
    except DataError as error:
        raise DataError(f"{pair.image}: {error}") from error
    return reprojected


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
