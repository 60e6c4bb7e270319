"""Which bands of the files are used, under which names: one answer for the whole data set."""

from collections.abc import Sequence
from dataclasses import replace

from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.settings import BandSettings
from terrazzo.data.sources.headers import Header, is_nameless
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band, Bands, Collar
from terrazzo.geo.file_bands import COLOURS
from terrazzo.record import nearest

__all__ = ["select_bands", "with_bands"]


def select_bands(
    first: Header, wanted: Sequence[str | BandSettings] | None, *, collar: Collar | None = None
) -> tuple[Bands, tuple[int, ...]]:
    """Decide the bands by the first image.

    Args:
        first: Header of the first image.
        wanted: Names or records in channel order; all bands if None. Names that the files do not know are given by
            order, where there are as many as bands and the files leave nameless what they name.
        collar: Border that counts as missing.

    Returns:
        The bands, and the position of each among all bands of an image.

    Raises:
        DataError: A band is not there, or is asked for twice.
    """
    if wanted is None:
        return Bands(items=first.bands.items, collar=collar), tuple(range(len(first.bands)))
    records = [BandSettings(name=item) if isinstance(item, str) else item for item in wanted]
    positions = _positions(first, records)
    if len(set(positions)) < len(positions) or len({record.name for record in records}) < len(records):
        raise DataError(f"data.bands names a band twice: {', '.join(record.name for record in records)}.")
    chosen = [_described(first.bands.items[n], record) for n, record in zip(positions, records, strict=True)]
    return Bands(items=tuple(chosen), collar=collar), positions


def _positions(first: Header, records: Sequence[BandSettings]) -> tuple[int, ...]:
    names = first.bands.names
    places = {name: position for position, name in enumerate(first.aliases) if name}
    places |= {name: position for position, name in enumerate(names)}
    unknown = [record.name for record in records if record.number is None and record.name not in places]
    unnumbered = all(record.number is None for record in records)
    if unknown and unnumbered and len(records) == len(names):
        pairs = zip(records, names, strict=True)
        if all(record.name == name or is_nameless(name) for record, name in pairs):
            return tuple(range(len(names)))
    if unknown:
        raise DataError(
            f'{first.entry.image} has no band "{unknown[0]}"; it has {", ".join(names)}.'
            f"{nearest(unknown[0], list(places))} To give a band a name of your own, say its number in data.bands: "
            f"{{name: {unknown[0]}, number: 1}}.{_about_transparency(first)}"
        )
    too_high = [record for record in records if record.number is not None and record.number > len(names)]
    if too_high:
        raise DataError(
            f"data.bands: {too_high[0].name} is band {too_high[0].number}, but {first.entry.image} (with its extra "
            f"files) has {len(names)}: {', '.join(names)}.{_about_transparency(first)}"
        )
    return tuple(places[record.name] if record.number is None else record.number - 1 for record in records)


def _about_transparency(first: Header) -> str:
    """Say how a band that a file calls transparency becomes a measurement: many near-infrared bands are called so."""
    if first.transparency is None:
        return ""
    words = [name if name in COLOURS else "undefined" for name in first.bands.names]
    words.insert(first.transparency - 1, "undefined")
    return (
        f" Its band {first.transparency} is marked as transparency, and says which pixels are missing; where it is a "
        f"measurement, take the mark from all files: rio edit-info --colorinterp {','.join(words)} "
        f'"{first.entry.image}".'
    )


def _described(band: Band, record: BandSettings) -> Band:
    """Return the file's description, with what the settings say instead."""
    said = record.model_dump(exclude={"number"}, exclude_none=True)
    return band.model_copy(update=said)


def with_bands(header: Header, bands: Bands, positions: Sequence[int], *, first: Header) -> ImageEntry:
    """Return an image whose stack holds the chosen bands only.

    Args:
        header: Header of the image.
        bands: The chosen bands.
        positions: Position of each among all bands of an image.
        first: Header of the image that decided.

    Raises:
        DataError: The image lacks a band, or names or stores one in another way than the first image.
    """
    for band, position in zip(bands, positions, strict=True):
        expected = first.bands.items[position]
        if position >= len(header.bands):
            raise DataError(
                f"{header.entry.image} has {len(header.bands)} bands, so band {position + 1} ({band.name}) is missing; "
                f"{first.entry.image} has {len(first.bands)}."
            )
        found = header.bands.items[position]
        if (found.name, found.dtype) != (expected.name, expected.dtype):
            raise DataError(
                f"{header.entry.image}: band {position + 1} is {found.name} ({found.dtype}), but in "
                f"{first.entry.image} it is {expected.name} ({expected.dtype}); all images need the same bands."
            )
    places = header.entry.stack
    stack = tuple(
        _scaled(places[position]._replace(name=band.name), header.bands.items[position], first.bands.items[position])
        for band, position in zip(bands, positions, strict=True)
    )
    return replace(header.entry, stack=stack)


def _scaled(place: BandPlace, own: Band, first: Band) -> BandPlace:
    """Say how raw values become those of the first image, whose scale and offset `Bands` states."""
    if (own.scale, own.offset) == (first.scale, first.offset):
        return place
    return place._replace(gain=own.scale / first.scale, bias=(own.offset - first.offset) / first.scale)
