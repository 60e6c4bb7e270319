"""Scenes whose bands lie in files of their own: Sentinel-2 products, and files named after their bands."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from terrazzo.data.catalog import BandPlace
from terrazzo.data.sources.band_files import BandFilesSource
from terrazzo.data.sources.headers import Header, read_header
from terrazzo.data.sources.pattern import Pattern, raster_files
from terrazzo.data.sources.safe import COMMON_NAMES, SafeSource
from terrazzo.data.sources.source import Pair
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands
from terrazzo.scene.inputs.entry import SceneEntry, SceneGrid
from terrazzo.scene.inputs.part import ScenePart

__all__ = ["band_entries", "safe_entries"]

_MAGIC = re.compile(r"[*{]")


def safe_entries(folder: str, wanted: Bands, *, named: bool) -> list[SceneEntry]:
    """Return the tiles of a SAFE folder.

    Where all wanted bands are the product's, only these are read, on the finest of their grids; a band that is wanted
    by its common name, such as "red", is called so. Raw values come in the scale and offset that are wanted, whatever
    the processing baseline of the product.

    Args:
        folder: The SAFE folder.
        wanted: Bands of the network.
        named: Whether bands are matched by name; else by position, so that all are offered.

    Raises:
        DataError: It is not whole.
    """
    numbers = {common: number for number, common in COMMON_NAMES.items()}
    asked = [numbers.get(name.lower(), name.upper()) for name in wanted.names]
    chosen = tuple(asked) if named and set(asked) <= set(COMMON_NAMES) else None
    try:
        pairs = SafeSource(folder=Path(folder), bands=chosen).pairs().pairs
    except DataError as error:
        raise DataError(_without_settings(str(error), folder)) from error
    return [_entry(pair, folder, wanted, physical=True) for pair in pairs]


def _without_settings(message: str, path: str) -> str:
    """Leave out advice that is for settings of training, which mapping does not have."""
    for advice, instead in (
        (", or name the bands that you have in data.source.bands", ""),
        ("; set data.source.missing: [] to use none", ", which says where clouds are; download it whole"),
        (", name the bands that all scenes have in data.source.bands, or set data.source.unmatched: skip", ""),
        ("data.source.bands: ", f"{path}: "),
    ):
        message = message.replace(advice, instead)
    return message


def band_entries(pattern: str, wanted: Bands, *, named: bool) -> list[SceneEntry]:
    """Return the scenes of a pattern such as "scene/LC08_{band}.tif"; what `{band}` stands for is the band's name.

    Args:
        pattern: Path with `{band}` in it, and stars where there are several scenes.
        wanted: Bands of the network; where all are there, only these are read, on the finest of their grids.
        named: Whether bands are matched by name; else by position, so that all are offered.

    Raises:
        DataError: No file fits; a scene lacks a band; two files are the same band.
    """
    folder, images = _divided(pattern)
    if not folder.is_dir():
        raise DataError(f"{pattern} names no scene: there is no folder {folder}.")
    rasters = raster_files(folder)
    matches = [words for path in rasters if (words := Pattern(images, ("band",)).match(path)) is not None]
    if not matches:
        seen = f"{len(rasters)} raster files lie there, such as {rasters[0]}" if rasters else "no raster file is there"
        raise DataError(f"{pattern} names no scene: no file below {folder} fits; {seen}.")
    by_plain = {words["band"].lower(): words["band"] for words in matches}
    chosen = tuple(by_plain.get(name.lower(), "") for name in wanted.names)
    source = BandFilesSource(folder=folder, images=images, bands=chosen if named and all(chosen) else None)
    try:
        pairs = source.pairs().pairs
    except DataError as error:
        raise DataError(_without_settings(str(error), pattern)) from error
    return [_entry(pair, pattern, wanted, physical=False) for pair in pairs]


def _divided(pattern: str) -> tuple[Path, str]:
    """Divide a pattern into the folder before its first sign and the rest."""
    parts = PurePosixPath(pattern).parts
    first = next(number for number, part in enumerate(parts) if _MAGIC.search(part))
    return Path(*parts[:first]).absolute(), str(PurePosixPath(*parts[first:]))


def _entry(pair: Pair, path: str, wanted: Bands, *, physical: bool) -> SceneEntry:
    """Read the headers of a scene's files.

    Args:
        pair: The files.
        path: What messages call the scene.
        wanted: Bands of the network.
        physical: Whether scale and offset are known to turn raw values into the same quantity in every scene.
    """
    header = read_header(pair, georeferenced=False)
    bands, places = [], []
    for name, band, place in zip(_names(header, wanted), header.bands, header.entry.stack, strict=True):
        renamed = band.model_copy(update={"name": name})
        goal = next((one for one in wanted if one.name == name), None) if physical else None
        converted, moved = _converted(renamed, place._replace(name=name), goal)
        bands.append(converted)
        places.append(moved)
    listed = Bands(items=tuple(bands))
    grid = header.entry.grid
    part = ScenePart(
        files=tuple(str(file) for file in header.entry.files),
        bands=listed,
        places=tuple(places),
        mask=header.entry.mask,
        window=grid.whole,
    )
    return SceneEntry(
        name=pair.image_id.replace("/", "_"),
        path=path,
        frame=SceneGrid.of(grid),
        bands=listed,
        parts=(part,),
        own_grid=False,
    )


def _names(header: Header, wanted: Bands) -> Sequence[str]:
    """Return what the bands are called: as the network calls them, where that is their second name."""
    plain: Mapping[str, str] = {name.lower(): name for name in wanted.names}
    seconds = header.aliases or ("",) * len(header.bands)
    found = []
    for name, second in zip(header.bands.names, seconds, strict=True):
        found.append(name if name.lower() in plain else plain.get(second.lower(), name))
    return found


def _converted(band: Band, place: BandPlace, goal: Band | None) -> tuple[Band, BandPlace]:
    """Bring raw values to the scale and offset that the network knows, where it knows any."""
    if goal is None or (goal.scale, goal.offset) in {(1.0, 0.0), (band.scale, band.offset)}:
        return band, place
    moved = place._replace(gain=band.scale / goal.scale, bias=(band.offset - goal.offset) / goal.scale)
    return band.model_copy(update={"scale": goal.scale, "offset": goal.offset}), moved
