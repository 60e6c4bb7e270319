"""Which scenes inputs mean: files, SAFE folders, addresses, patterns of band files, and folders and globs of these."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from terrazzo.errors import DataError
from terrazzo.scene.inputs.addresses import as_opened, is_address

__all__ = ["SUFFIXES", "Named", "named_scenes"]

SUFFIXES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
"""Files of a folder that are taken for scenes; a file that is named itself may have any suffix."""

BAND = "{band}"
"""What stands for the band's name in a pattern of files with one band each."""


@dataclass(frozen=True)
class Named:
    """What an input names.

    Attributes:
        kind: A file of this machine, a SAFE folder, an address that GDAL opens, or a pattern of band files.
        text: Its path, as it was given or found; an address as GDAL opens it.
    """

    kind: Literal["file", "safe", "address", "bands"]
    text: str


def named_scenes(inputs: Sequence[str | Path]) -> list[Named]:
    """Return what inputs name, in order, each once.

    Args:
        inputs: Files; SAFE folders; addresses; patterns with `{band}`; folders, of which every raster and SAFE folder
            directly inside is taken, by name; and patterns with `*`, `?`, `[` and `**`.

    Raises:
        DataError: There are no inputs, or one names nothing.
    """
    if not inputs:
        raise DataError("No scenes were given; name files, folders, patterns or addresses.")
    found: dict[str, Named] = {}
    for given in inputs:
        named = list(_named(str(given)))
        if not named:
            raise DataError(
                f"{given} names no scene: there is no such file, or no raster and no SAFE folder in that folder."
            )
        for one in named:
            local = one.kind in {"file", "safe"}
            found.setdefault(str(Path(one.text).resolve()) if local else one.text, one)
    return list(found.values())


def _named(given: str) -> Iterator[Named]:
    if is_address(given):
        if BAND in given:
            raise DataError(
                f"{given}: {BAND} stands for files of this machine only; join bands at addresses with "
                "gdalbuildvrt -separate and name the .vrt."
            )
        yield Named("address", as_opened(given))
        return
    given = given.removeprefix("file://")
    path = Path(given)
    if path.is_dir():
        inside = [path] if _is_safe(path) else sorted(path.iterdir())
        yield from (named for entry in inside if (named := _listed(entry)) is not None)
    elif path.exists():
        yield Named("file", given)
    elif BAND in given:
        yield Named("bands", given)
    elif glob.has_magic(given):
        matches = sorted(Path(match) for match in glob.glob(given, recursive=True))  # noqa: PTH207
        products = {match for match in matches if _is_safe(match)}
        for match in matches:
            if match in products:
                yield Named("safe", str(match))
            # Inside of a product that is named itself lie its bands, no scenes.
            elif match.is_file() and products.isdisjoint(match.parents):
                yield Named("file", str(match))
    else:
        # What does not exist may still be something that GDAL opens; reading it names it if not.
        yield Named("file", given)


def _listed(entry: Path) -> Named | None:
    """Return what an entry of a folder is, if it is a scene."""
    if entry.name.startswith("."):
        return None
    if _is_safe(entry):
        return Named("safe", str(entry))
    return Named("file", str(entry)) if entry.suffix.lower() in SUFFIXES and entry.is_file() else None


def _is_safe(path: Path) -> bool:
    return path.suffix.upper() == ".SAFE" and path.is_dir()
