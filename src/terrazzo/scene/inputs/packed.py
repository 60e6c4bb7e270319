"""Archives as they are downloaded: a scene cannot be read from one quickly, so that its user is told what to do."""

import zipfile
from pathlib import Path, PurePosixPath

from terrazzo.errors import DataError
from terrazzo.scene.inputs.naming import SUFFIXES

__all__ = ["require_unpacked"]

_PACKED = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"})
_MOST_NAMES = 100_000


def require_unpacked(path: Path) -> None:
    """Refuse an archive, and say what of it can be named instead.

    Args:
        path: Any file.

    Raises:
        DataError: It is one.
    """
    if path.suffix.lower() not in _PACKED or not path.is_file():
        return
    names = _names(path)
    product = next((part for name in names for part in name.parts if part.upper().endswith(".SAFE")), None)
    if product is not None:
        raise DataError(f"{path} holds the product {product} packed: unpack it and name that folder.")
    rasters = [name for name in names if name.suffix.lower() in SUFFIXES]
    inside = f", or name a raster inside of it, such as /vsizip/{path.absolute()}/{rasters[0]}" if rasters else ""
    raise DataError(f"{path} is a packed archive: unpack it and name the folder{inside}.")


def _names(path: Path) -> list[PurePosixPath]:
    """Return what a ZIP archive lists; nothing of other kinds, which would have to be read to their end."""
    if path.suffix.lower() != ".zip":
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return [PurePosixPath(name) for name in sorted(archive.namelist()[:_MOST_NAMES])]
    except (zipfile.BadZipFile, OSError):
        return []
