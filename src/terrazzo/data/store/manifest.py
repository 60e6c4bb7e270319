"""What lies in the patch store: written last, so that only a whole store is ever read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.store.tile import Tiles
from terrazzo.errors import StorageError
from terrazzo.geo.bands import Bands
from terrazzo.storage import fingerprint, read_json, write_json

__all__ = ["MANIFEST_FILE", "TILES_FOLDER", "StoreManifest", "StoredFile", "load_manifest", "with_tiles"]

TILES_FOLDER = "tiles"
"""Folder of the store in the prepared folder."""
MANIFEST_FILE = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True)
class StoredFile:
    """One file of the store, as it was written.

    Attributes:
        bytes: Its size.
        sha256: Hash of its bytes.
        bands: Number of the image's bands in it; 0 where it holds the label alone.
        dtype: numpy type of the image's values.
        masked: Whether a band of validity follows.
        label: Whether the label follows.
    """

    bytes: int
    sha256: str
    bands: int
    dtype: str
    masked: bool
    label: bool


@dataclass(frozen=True)
class StoreManifest:
    """The whole store.

    Attributes:
        store: What was asked for: "auto" or "tiles".
        inputs: Hash of the settings and files of the data set that it was written for.
        images: File of each image that has one, by the image's name.
        files: What each file is, by the file's name.
        notes: What a user should know of it.
    """

    store: str
    inputs: str
    images: Mapping[str, str]
    files: Mapping[str, StoredFile]
    notes: tuple[str, ...] = ()

    def save(self, folder: Path) -> None:
        """Write the manifest of a store's folder, whole or not at all."""
        content = {
            "format": _FORMAT,
            "store": self.store,
            "inputs": self.inputs,
            "images": dict(self.images),
            "files": {name: vars(file) for name, file in self.files.items()},
            "notes": list(self.notes),
        }
        write_json(folder / MANIFEST_FILE, {**content, "checksum": fingerprint(content)})

    def complete(self, folder: Path) -> bool:
        """Return whether every file is there in its size."""
        return all(_has_size(folder / name, file.bytes) for name, file in self.files.items())


def load_manifest(folder: Path) -> StoreManifest | None:
    """Read the manifest of a store's folder.

    Returns:
        What lies there; None where nothing was finished, or the manifest is damaged: the store is written again then.
    """
    try:
        content = read_json(folder / MANIFEST_FILE)
        body = {key: value for key, value in content.items() if key != "checksum"}
        if content["checksum"] != fingerprint(body) or content["format"] != _FORMAT:
            return None
        files = {name: StoredFile(**file) for name, file in content["files"].items()}
        return StoreManifest(content["store"], content["inputs"], content["images"], files, tuple(content["notes"]))
    except (StorageError, KeyError, TypeError, AttributeError):
        return None


def with_tiles(
    folder: Path, entries: Sequence[ImageEntry], bands: Bands, classes: Classes, *, inputs: str
) -> list[ImageEntry]:
    """Say of each image where its tiles are; one whose file is missing or cut off is read from its originals.

    Args:
        folder: The prepared folder.
        entries: Its images.
        bands: Its bands.
        classes: Its classes.
        inputs: Hash that it was prepared from; a store that was written for another is not read.
    """
    store = folder / TILES_FOLDER
    manifest = load_manifest(store)
    if manifest is None or manifest.inputs != inputs:
        return list(entries)
    whole = {name: file for name, file in manifest.files.items() if _has_size(store / name, file.bytes)}

    def tiles(image_id: str) -> Tiles | None:
        name: Any = manifest.images.get(image_id)
        file = whole.get(name)
        if file is None:
            return None
        return Tiles(
            path=store / name,
            bands=bands if file.bands else None,
            dtype=file.dtype,
            masked=file.masked,
            classes=classes if file.label else None,
        )

    return [replace(entry, tiles=tiles(entry.image_id)) for entry in entries]


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
