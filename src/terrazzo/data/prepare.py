"""From settings to prepared data: list, check, cut, count and measure, once, and only what has changed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.distribution import Distribution, distribution_of
from terrazzo.data.facts import FACTS_FILE, file_states, load_facts, save_facts
from terrazzo.data.findings import count_roles, find_warnings, require_listed
from terrazzo.data.labels.vector_check import check_vectors
from terrazzo.data.measuring import ImageFacts, measure_image
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import Patch, PatchIndex, cut
from terrazzo.data.prepared import FORMAT, PREPARED_FILE, Prepared, load_prepared, save_prepared
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings
from terrazzo.data.source_check import check_labels
from terrazzo.data.sources.headers import Header, header_notes, read_header
from terrazzo.data.sources.source import Pair
from terrazzo.data.splitting.dividing import divide
from terrazzo.data.splitting.folds import assign_folds
from terrazzo.data.splitting.splits import assign_splits
from terrazzo.data.splitting.table import SPLITS_FILE, write_splits
from terrazzo.data.splitting.validation_sets import SET_PREFIX, list_set, shared_images, validation_sets
from terrazzo.data.statistics import merge, normalisation_of
from terrazzo.data.store.plan import Store
from terrazzo.data.store.store import TileStore
from terrazzo.errors import DataError
from terrazzo.geo.bands import Bands
from terrazzo.host_cores import usable_cores
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import fingerprint, locked, sweep

__all__ = ["open_prepared", "prepare_data"]


def prepare_data(
    data: DataSettings, prepare: PrepareSettings, *, force: bool = False, listener: Listener = silent
) -> Prepared:
    """Prepare a data set in `prepare.folder`, or return what lies there if nothing has changed.

    Whether something has changed is seen from the settings and from the paths, sizes and times of all files; no image
    is opened for that. Where something has, only the images concerned are read again.

    Args:
        data: What to learn from.
        prepare: Where to write.
        force: Read everything again.
        listener: Receives progress, one unit an image.

    Raises:
        ConfigError: `data.normalisation` has another number of bands.
        DataError: Files are missing, damaged or do not fit each other.
        LabelError: Labels hold what no class lists, under `unlisted: error`.
        LockedError: Another process prepares the same folder.
        SpaceError: The disk has too little room for the patch store; the prepared data is whole without it.
    """
    listing = data.source.pairs()
    pairs, notes = assign_splits(listing.pairs, data.split, folded=data.fold is not None)
    if not pairs:
        raise DataError(f"no image is left: {'; '.join((*listing.notes, *notes))}.")
    sets = {name: list_set(name, settings) for name, settings in validation_sets(data).items()}
    notes += [note for one in sets.values() for note in one.notes] + shared_images(pairs, sets)
    pairs += [pair for one in sets.values() for pair in one.pairs]
    said = {pair.image_id: pair.split for pair in listing.pairs}
    task = _Task(data, tuple(pairs), (*listing.notes, *notes), prepare.folder.absolute(), said)
    prepared = None if force else task.unchanged()
    if prepared is None:
        with locked(task.folder):
            sweep(task.folder)
            prepared = None if force else task.unchanged()
            prepared = prepared or task.build(force=force, listener=listener)
    prepared = _with_tiles(prepared, prepare.store, task.inputs(), force=force, listener=listener)
    if prepare.csv:
        prepared.catalog.save(task.folder / "catalog.csv")
        prepared.index.save(task.folder / "patches.csv")
    return prepared


def _with_tiles(prepared: Prepared, store: Store, inputs: str, *, force: bool, listener: Listener) -> Prepared:
    """Write what is slow to read by windows as tiles, unless that is done or not wanted."""
    tiles = TileStore(
        folder=prepared.folder,
        store=store,
        inputs=inputs,
        entries=prepared.catalog.entries(),
        bands=prepared.bands,
        classes=prepared.classes,
        patch_size=prepared.patch_size,
    )
    if force or not tiles.ready():
        with locked(prepared.folder):
            tiles.write(force=force, listener=listener)
        prepared = open_prepared(prepared.folder)
    return replace(prepared, warnings=(*prepared.warnings, *tiles.notes()))


def open_prepared(folder: Path) -> Prepared:
    """Read prepared data.

    Raises:
        DataError: The folder was never prepared, is half-written or damaged.
    """
    return load_prepared(folder)[0]


@dataclass(frozen=True)
class _Task:
    """One call: what to prepare, and where."""

    data: DataSettings
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...]
    folder: Path
    said: Mapping[str, str | None]

    def inputs(self) -> str:
        """Return a hash of the settings and of every file's path, size and time."""
        files = [
            [pair.image_id, pair.split, pair.region, pair.fold, file_states(pair.all_files), _reading(pair)]
            for pair in self.pairs
        ]
        polygons = self.data.split.polygons
        division = [] if polygons is None else file_states(polygons.all_files)
        return fingerprint(
            {"format": FORMAT, "data": self.data.model_dump(mode="json"), "files": files, "division": division}
        )

    def unchanged(self) -> Prepared | None:
        """Return what lies in the folder if it was made from the same inputs."""
        if not (self.folder / PREPARED_FILE).is_file():
            return None
        try:
            prepared, inputs = load_prepared(self.folder)
        except DataError:
            # Damaged or half-written: building again is the cure.
            return None
        return prepared if inputs == self.inputs() else None

    def build(self, *, force: bool, listener: Listener) -> Prepared:
        """Read what has changed, and write the folder."""
        inputs = self.inputs()
        with Progress("prepare", listener=listener, total=len(self.pairs), unit="images") as progress:
            check_labels(self.pairs, self.data)
            headers = self._headers()
            bands, positions = select_bands(headers[0], self.data.bands, collar=self.data.collar)
            if self.data.normalisation is not None:
                self.data.normalisation.require_fitting(bands.names)
            whole = [with_bands(header, bands, positions, first=headers[0]) for header in headers]
            known = check_vectors(whole)
            entries, notes = divide(whole, self.data, folder=None if force else self.folder, listener=listener)
            progress.total = len(entries)
            cuts = [_patches(entry, self.data.patch) for entry in entries]
            facts = self._facts(entries, cuts, bands, force=force, progress=progress)
            require_listed(self.data.classes, entries, facts)
            if self.data.fold is not None:
                entries = assign_folds(entries, facts, self.data.split.folds, self.data.fold)
            prepared = self._prepared(entries, cuts, facts, bands, notes=[*header_notes(headers), *known, *notes])
            for warning in prepared.warnings:
                progress.note(warning)
            write_splits(self.folder / SPLITS_FILE, entries, self.data, self.said)
            save_prepared(prepared, inputs=inputs)
        return prepared

    def _headers(self) -> list[Header]:
        sources = {f"{SET_PREFIX}{name}": one.source for name, one in validation_sets(self.data).items()}

        def read(pair: Pair) -> Header:
            source = sources.get(pair.split or "", self.data.source)
            return read_header(pair, georeferenced=source.georeferenced, resolution_m=self.data.resolution_m)

        with ThreadPoolExecutor(_threads()) as pool:
            return list(pool.map(read, self.pairs))

    def _facts(
        self,
        entries: Sequence[ImageEntry],
        cuts: Sequence[Sequence[Patch]],
        bands: Bands,
        *,
        force: bool,
        progress: Progress,
    ) -> list[ImageFacts]:
        """Return the facts of each image, in order; those known already are not found again."""
        classes = self.data.classes
        how: dict[str, Any] = {
            "classes": classes.model_dump(mode="json", exclude={"unlisted"}),
            "bands": bands.model_dump(mode="json"),
        }
        if classes.unlisted == "background":
            how["unlisted"] = "background"
        if not (statistics := self.data.normalisation is None):
            how["statistics"] = False
        keys = [
            fingerprint(
                {
                    "how": how,
                    "files": file_states(entry.all_files),
                    "reading": _reading(entry),
                    "stack": entry.stack,
                    "grid": [entry.crs, entry.transform, entry.height, entry.width],
                    "patches": [patch.window for patch in patches],
                }
            )
            for entry, patches in zip(entries, cuts, strict=True)
        ]
        known = {} if force else load_facts(self.folder / FACTS_FILE)

        def find(number: int) -> ImageFacts:
            found = known.get(keys[number])
            return found or measure_image(entries[number], cuts[number], bands, classes, statistics=statistics)

        pool = ThreadPoolExecutor(_threads())
        try:
            facts = list(progress.each(pool.map(find, range(len(entries)))))
        finally:
            pool.shutdown(cancel_futures=True)
        # With a guard, areas of blocks depend on which fold selects: what was found for the others stays known.
        kept = known if self.data.split.folds is not None and self.data.split.blocks is not None else {}
        save_facts(self.folder / FACTS_FILE, {**kept, **dict(zip(keys, facts, strict=True))})
        return facts

    def _prepared(
        self,
        entries: Sequence[ImageEntry],
        cuts: Sequence[Sequence[Patch]],
        facts: Sequence[ImageFacts],
        bands: Bands,
        *,
        notes: Sequence[str],
    ) -> Prepared:
        index = _index(entries, cuts, facts)
        moments = merge([found.moments for found in _training(entries, facts)])
        normalisation = self.data.normalisation or normalisation_of(moments)
        roles = count_roles(entries, facts)
        found = find_warnings(self.data, entries, facts, bands, moments, index)
        resolutions = [metres for entry in entries if (metres := entry.grid.resolution_m) is not None]
        return Prepared(
            folder=self.folder,
            catalog=Catalog(entries),
            index=index,
            bands=bands,
            classes=self.data.classes,
            normalisation=normalisation,
            pixel_counts=roles.labelled,
            ignored_counts=roles.ignored,
            unlisted_counts=roles.unlisted,
            warnings=(*self.notes, *notes, *found),
            fingerprint=self._fingerprint(entries, facts, bands),
            resolution_m=float(np.median(resolutions)) if resolutions else None,
            patch_size=self.data.patch.size,
            max_ignored_share=self.data.max_ignored_share,
            distribution=None if self.data.normalisation else _distribution(entries, facts, normalisation),
        )

    def _fingerprint(self, entries: Sequence[ImageEntry], facts: Sequence[ImageFacts], bands: Bands) -> str:
        """Return a hash of what is learned from, wherever it lies and whenever it was written."""
        images = [
            [
                *(e.image_id, e.split, e.fold, e.region, e.height, e.width, e.bytes),
                f.class_pixels,
                f.ignored,
                vars(f.moments),
            ]
            for e, f in zip(entries, facts, strict=True)
        ]
        chosen = {"classes", "patch", "max_ignored_share"} | ({"normalisation"} if self.data.normalisation else set())
        settings = self.data.model_dump(mode="json", include=chosen)
        return fingerprint({"settings": settings, "bands": bands.model_dump(mode="json"), "images": images})


def _reading(part: Pair | ImageEntry) -> list[Any]:
    """Return how label, area and mask are read."""
    records = (part.label, part.area, part.mask)
    return [None if record is None else record.model_dump(mode="json") for record in records]


def _threads() -> int:
    """Threads that decode: results never depend on it, since images are independent and merged in order."""
    return min(usable_cores(), 8)


def _patches(entry: ImageEntry, patch: PatchSettings) -> list[Patch]:
    """Cut an image; only training may leave gaps, since evaluation counts every pixel."""
    step = patch.step if entry.split == "train" else min(patch.step, patch.size)
    patches = cut(entry.height, entry.width, size=patch.size, step=step)
    if entry.area is None:
        return patches
    area = entry.area.open(entry.grid)
    return [patch for patch in patches if area.touches(patch.window)]


def _training(entries: Sequence[ImageEntry], facts: Sequence[ImageFacts]) -> list[ImageFacts]:
    """Return what was found in the training images, in order; in all images where none trains."""
    return [found for entry, found in zip(entries, facts, strict=True) if entry.split == "train"] or list(facts)


def _distribution(
    entries: Sequence[ImageEntry], facts: Sequence[ImageFacts], measured: Normalisation
) -> Distribution | None:
    """Return how the training's values are distributed."""
    return distribution_of([found.sketch for found in _training(entries, facts)], measured.std)


def _index(entries: Sequence[ImageEntry], cuts: Sequence[Sequence[Patch]], facts: Sequence[ImageFacts]) -> PatchIndex:
    rows = [
        (
            entry.image_id,
            *patch.window,
            *patch.core,
            entry.split,
            entry.fold,
            entry.region,
            int(pixels[-1]) / int(pixels.sum()),
            pixels[:-1],
        )
        for entry, patches, found in zip(entries, cuts, facts, strict=True)
        for patch, pixels in zip(patches, found.patch_pixels, strict=True)
    ]
    names = ("image_id", "y", "x", "height", "width", "core_y", "core_x", "core_height", "core_width")
    return PatchIndex(pd.DataFrame(rows, columns=[*names, "split", "fold", "region", "ignored_share", "counts"]))
