"""The patch store: images that are slow to read by windows, written once as tiles beside the prepared data.

Every file is named by what it was made from, and appears whole or not at all; the manifest that names them all comes
last. Whoever stops in between goes on later with the images that are left.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import rasterio

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.store.manifest import (
    MANIFEST_FILE,
    TILES_FOLDER,
    StoredFile,
    StoreManifest,
    load_manifest,
)
from terrazzo.data.store.plan import Store, drawn_anew, exceeds_memory, plan_tiles, threads
from terrazzo.data.store.writing import LAYOUT_TAG, TileJob, write_tiles
from terrazzo.data.written_file import fault_of
from terrazzo.geo.bands import Bands
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import hash_file, require_space, sweep

__all__ = ["StoreFinding", "TileStore", "check_store", "remove_tiles"]

AUTOMATIC_SHARE = 4
"""`auto` fills at most one part in so many of the free disk."""
_NAME = re.compile(r"[0-9a-f]{32}\.tif")


@dataclass(frozen=True)
class TileStore:
    """The store of one data set.

    Attributes:
        folder: The prepared folder.
        store: `auto`, `original` or `tiles`.
        inputs: Hash of the settings and files of the data set.
        entries: Its images.
        bands: Its bands.
        classes: Its classes.
        patch_size: Side of a patch in pixels.
    """

    folder: Path
    store: Store
    inputs: str
    entries: Sequence[ImageEntry]
    bands: Bands
    classes: Classes
    patch_size: int

    @property
    def _tiles(self) -> Path:
        return self.folder / TILES_FOLDER

    def ready(self) -> bool:
        """Return whether there is nothing to write and nothing to remove; no image is opened for that."""
        manifest = load_manifest(self._tiles)
        if not self._wanted():
            return manifest is None and not _names(self._tiles)
        return (
            manifest is not None
            and (manifest.store, manifest.inputs) == (self.store, self.inputs)
            and manifest.complete(self._tiles)
        )

    def notes(self) -> tuple[str, ...]:
        """Return what a user should know of the store: that tiles would help, and why none were written."""
        manifest = load_manifest(self._tiles)
        return manifest.notes if manifest is not None and manifest.inputs == self.inputs else ()

    def write(self, *, force: bool = False, listener: Listener = silent) -> None:
        """Write what is missing, then the manifest, then remove what no image needs any more.

        Args:
            force: Write everything again.
            listener: Receives progress, one unit a file.

        Raises:
            DataError: A file of an image is damaged.
            SpaceError: The disk has too little room, or became full.
            StorageError: A file cannot be written.
        """
        sweep(self._tiles)
        if force or not self._wanted():
            _empty(self._tiles)
        if not self._wanted():
            return
        manifest = load_manifest(self._tiles)
        known = dict(manifest.files) if manifest else {}
        jobs = self._planned()
        missing = {job.path: job for job in jobs.values() if not _finished(job.path, known)}
        needed, free = sum(job.largest_bytes for job in missing.values()), _free(self.folder)
        notes: tuple[str, ...] = ()
        if self.store == "auto" and needed * AUTOMATIC_SHARE > free:
            notes = (_too_large(len(jobs), needed, free),)
            jobs, missing = {}, {}
            with Progress("tiles", listener=listener, total=0, unit="images") as progress:
                progress.note(notes[0])
        self._write(list(missing.values()), needed, listener)
        # What was written now is described anew: another version of GDAL may have written other bytes.
        files = _described(jobs, {name: file for name, file in known.items() if self._tiles / name not in missing})
        images = {image_id: job.path.name for image_id, job in jobs.items()}
        StoreManifest(self.store, self.inputs, images, files, notes).save(self._tiles)
        _remove(self._tiles / name for name in _names(self._tiles) if name not in files)

    def _wanted(self) -> bool:
        """Return whether images have to be looked at: what a process keeps decoded or drawn needs no tiles."""
        return self.store != "original" and (self._whole or bool(drawn_anew(self.entries)))

    @property
    def _whole(self) -> bool:
        """Whether all that is slow to read is written, or only labels that are drawn anew."""
        return self.store == "tiles" or exceeds_memory(self.entries, self.bands)

    def _planned(self) -> dict[str, TileJob]:
        entries = self.entries if self._whole else drawn_anew(self.entries)
        return plan_tiles(
            self._tiles, entries, self.bands, self.classes, patch_size=self.patch_size, images=self._whole
        )

    def _write(self, jobs: Sequence[TileJob], needed: int, listener: Listener) -> None:
        if not jobs:
            return
        require_space(self._tiles, needed, f"the patch store of {len(jobs)} images (prepare.store: {self.store})")
        with Progress("tiles", listener=listener, total=len(jobs), unit="images") as progress:
            progress.note(
                f"{len(jobs)} images are written as tiles to {self._tiles}, at most {needed / 2**30:.2f} GiB, "
                "so that no patch decodes a whole image or draws its label; prepare.store: original does without"
            )
            pool = ThreadPoolExecutor(threads())
            try:
                for _ in progress.each(pool.map(write_tiles, jobs)):
                    pass
            finally:
                pool.shutdown(cancel_futures=True)


def _finished(path: Path, known: Mapping[str, StoredFile]) -> bool:
    """Return whether a file is there; one in another size than it was written in is not."""
    return path.is_file() and (path.name not in known or path.stat().st_size == known[path.name].bytes)


def _described(jobs: Mapping[str, TileJob], known: Mapping[str, StoredFile]) -> dict[str, StoredFile]:
    """Say what each file is, where that is not known."""
    paths = sorted({job.path for job in jobs.values()})

    def describe(path: Path) -> StoredFile:
        return known.get(path.name) or _describe(path)

    with ThreadPoolExecutor(threads()) as pool:
        return dict(zip([path.name for path in paths], pool.map(describe, paths), strict=True))


def _describe(path: Path) -> StoredFile:
    file = rasterio.open(path)
    with file:
        layout = json.loads(file.tags()[LAYOUT_TAG])
    return StoredFile(bytes=path.stat().st_size, sha256=hash_file(path), **layout)


def _names(folder: Path) -> list[str]:
    """Return the names of the store's files in its folder; nobody else's are touched."""
    return sorted(path.name for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


def _empty(folder: Path) -> None:
    """Remove the store, its manifest first, so that none names what is gone."""
    _remove([folder / MANIFEST_FILE, *(folder / name for name in _names(folder))])
    with contextlib.suppress(OSError):
        # Somebody else's files may lie in it.
        folder.rmdir()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _free(folder: Path) -> int:
    return shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists())).free


def _too_large(images: int, needed: int, free: int) -> str:
    return (
        f"reading a patch of {images} images decodes or draws much more than the patch, but tiles may take up to "
        f"{needed / 2**30:.1f} GiB of the {free / 2**30:.1f} GiB free and were not written; set prepare.store: tiles "
        "to write them all the same, or prepare.store: original to leave this note out"
    )


@dataclass(frozen=True)
class StoreFinding:
    """Something wrong in a store.

    Attributes:
        path: The file.
        image_ids: Images that are read from it.
        what: What is wrong.
        kind: `manifest`, `missing`, `damaged` or `unused`.
    """

    path: Path
    image_ids: tuple[str, ...]
    what: str
    kind: Literal["manifest", "missing", "damaged", "unused"]


def check_store(folder: Path, *, workers: int = 1, listener: Listener = silent) -> list[StoreFinding]:
    """Compare every file of a prepared folder's store with the hash that it was written with.

    Args:
        folder: The prepared folder; one without a store has no finding.
        workers: Threads that read.
        listener: Receives progress, one unit a file.

    Returns:
        What is wrong, by path. `remove_tiles` and a further `prepare` repair all of it.
    """
    store = folder / TILES_FOLDER
    if not store.is_dir():
        return []
    manifest = load_manifest(store)
    if manifest is None:
        what = "the manifest is missing or damaged, so the store is not read"
        return [StoreFinding(store / MANIFEST_FILE, (), what, "manifest")]
    readers: dict[str, list[str]] = {name: [] for name in manifest.files}
    for image_id, name in manifest.images.items():
        readers.setdefault(name, []).append(image_id)

    def check(name: str) -> StoreFinding | None:
        file = manifest.files[name]
        found = fault_of(store / name, size=file.bytes, sha256=file.sha256)
        return StoreFinding(store / name, tuple(readers[name]), *found) if found else None

    unused = [
        StoreFinding(store / name, (), "no image is read from it", "unused")
        for name in _names(store)
        if name not in manifest.files
    ]
    with (
        Progress("check tiles", listener=listener, total=len(manifest.files), unit="files") as progress,
        ThreadPoolExecutor(max(workers, 1)) as pool,
    ):
        faults = [fault for fault in progress.each(pool.map(check, sorted(manifest.files))) if fault is not None]
    return sorted([*faults, *unused], key=lambda finding: finding.path)


def remove_tiles(findings: Iterable[StoreFinding]) -> None:
    """Remove the files of findings: their images are read from the originals until `prepare` writes them again.

    A store holds nothing that cannot be made again, so that nothing is lost. Without a manifest no file can be told
    from a damaged one, so that all of them go.
    """
    for finding in findings:
        if finding.kind == "manifest":
            _empty(finding.path.parent)
        else:
            _remove([finding.path])
