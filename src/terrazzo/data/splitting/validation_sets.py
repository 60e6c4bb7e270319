"""Named validation sets: those of the settings, and those that a text file of folders lists."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from terrazzo.data.settings import DataSettings
from terrazzo.data.sources.source import Listing, Pair, Source
from terrazzo.data.splitting.settings import ValidationList, ValidationSettings
from terrazzo.errors import ConfigError, DataError

__all__ = ["SET_PREFIX", "list_set", "shared_images", "validation_sets"]

SET_PREFIX = "val_"
"""What the split of a named validation set begins with."""


def validation_sets(data: DataSettings) -> dict[str, ValidationSettings]:
    """Return the named validation sets, those of `data.validation` first.

    Raises:
        ConfigError: The source of the data has no folder that could be another, or a listed set is called as one of
            `data.validation`.
        DataError: The list cannot be read, or names no folder.
    """
    sets = dict(data.validation)
    if data.validation_list is not None:
        for name, listed in _listed(data.source, data.validation_list).items():
            if name in sets:
                raise ConfigError(
                    f'data.validation_list: {data.validation_list.file} lists a set "{name}", but data.validation has '
                    "one of that name; rename one."
                )
            sets[name] = listed
    return sets


def list_set(name: str, settings: ValidationSettings) -> Listing:
    """List a validation set; its images are called `val_<name>/<image>`, have that split and no fold.

    Raises:
        DataError: Nothing is there, or images and labels do not match.
    """
    split = f"{SET_PREFIX}{name}"
    listing = settings.source.pairs()
    pairs = [replace(pair, image_id=f"{split}/{pair.image_id}", split=split, fold=None) for pair in listing.pairs]
    return Listing(tuple(pairs), tuple(f"{split}: {note}" for note in listing.notes))


def shared_images(pairs: Sequence[Pair], sets: Mapping[str, Listing]) -> list[str]:
    """Return a sentence for each set that holds images of the data itself, which may train.

    Args:
        pairs: Images of the data.
        sets: Validation sets by name.
    """
    own = {pair.image.resolve() for pair in pairs}
    notes = []
    for name, listing in sets.items():
        shared = [pair.image for pair in listing.pairs if pair.image.resolve() in own]
        if shared:
            notes.append(
                f"{SET_PREFIX}{name} holds {len(shared)} images of the data itself (such as {shared[0]}): figures "
                "measured on what trains flatter"
            )
    return notes


def _listed(source: Source, listed: ValidationList) -> dict[str, ValidationSettings]:
    sets: dict[str, ValidationSettings] = {}
    for line in _lines(listed.file):
        folder, every = _parts(line, listed.every)
        path = listed.file.absolute().parent / folder
        there = source.elsewhere(path)
        if there is None:
            raise ConfigError(
                f'data.validation_list: the source "{source.name}" has no folder that a line could replace; name the '
                "sets in data.validation, each with its source."
            )
        sets[_free(_name(path), sets)] = ValidationSettings(source=there, every=every)
    return sets


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"data.validation_list: {path} cannot be read: {error}.") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise DataError(f"data.validation_list: {path} names no folder.")
    return lines


def _parts(line: str, every: int) -> tuple[str, int]:
    """Return the folder of a line, and its own `every` where the line ends in one.

    >>> _parts("sets/city, 2", 1), _parts("sets/city, old", 5)
    (('sets/city', 2), ('sets/city, old', 5))
    """
    found = re.fullmatch(r"(.*\S)\s*[,;\t]\s*([1-9]\d*)", line)
    return (found[1], int(found[2])) if found else (line, every)


def _name(folder: Path) -> str:
    """Return a set's name: the folder's in small letters, all but letters and digits of ASCII as `_`.

    >>> _name(Path("/sets/Old City")), _name(Path("/sets/город"))
    ('old_city', 'set')
    """
    name = re.sub(r"[^a-z0-9]+", "_", folder.name.lower()).strip("_") or "set"
    return f"set_{name}" if name == "mean" or name.startswith("iou_") else name


def _free(name: str, taken: dict[str, ValidationSettings]) -> str:
    """Return the name, numbered where another set has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
