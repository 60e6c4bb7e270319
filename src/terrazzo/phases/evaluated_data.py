"""Which splits and images a bundle is judged on."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.prepared import Prepared
from terrazzo.errors import ConfigError

__all__ = ["image_called", "splits_of"]


def splits_of(prepared: Prepared, asked: Sequence[str] | str | None) -> tuple[str, ...]:
    """Return the splits to judge on.

    Args:
        prepared: The data.
        asked: Names, or `all`; `test` where the data has it, else `val`, if None.

    Raises:
        ConfigError: A split does not exist.
    """
    present = prepared.catalog.splits
    names = (asked,) if isinstance(asked, str) else tuple(asked or ())
    if not names:
        for split in ("test", "val"):
            if split in present:
                return (split,)
        raise ConfigError(
            f"The data has neither a test nor a val split, only {', '.join(present)}; name one with --split."
        )
    if "all" in names:
        return present
    for name in names:
        if name not in present:
            raise ConfigError(f'The data has no split "{name}"; it has {", ".join(present)}, and all stands for these.')
    return tuple(dict.fromkeys(names))


def image_called(catalog: Catalog, word: str, splits: Sequence[str] | None) -> ImageEntry:
    """Return the one image of that name: its name in the catalog, its file's path or name, with suffix or without.

    Args:
        catalog: The images.
        word: What it is called.
        splits: Roles to look in; all if None.

    Raises:
        ConfigError: No image, or more than one, is called so.
    """
    entries = [entry for entry in catalog if splits is None or entry.split in splits]
    ways = (
        lambda entry: entry.image_id == word,
        lambda entry: str(entry.image) == word or entry.image.resolve() == Path(word).resolve(),
        lambda entry: word in (entry.image.name, entry.image.stem, PurePosixPath(entry.image_id).name),
    )
    for way in ways:
        found = [entry for entry in entries if way(entry)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(entry.image_id for entry in found[:5])
            raise ConfigError(f'{len(found)} images are called "{word}": {names}; name one of these.')
    known = ", ".join(entry.image_id for entry in entries[:5])
    more = f" and {len(entries) - 5} more" if len(entries) > 5 else ""
    raise ConfigError(f'No image is called "{word}"; there are {known}{more}.')
