"""Prepared data: all that training and evaluation need to know about a data set, read from one folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from terrazzo.data.catalog import Catalog
from terrazzo.data.classes import Classes
from terrazzo.data.distribution import Distribution
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.patches import PatchIndex
from terrazzo.data.store.manifest import with_tiles
from terrazzo.errors import DataError, StorageError
from terrazzo.geo.bands import Bands
from terrazzo.storage import fingerprint, hash_file, read_json, write_json

__all__ = ["CATALOG_FILE", "PATCHES_FILE", "PREPARED_FILE", "Prepared", "load_prepared", "save_prepared"]

CATALOG_FILE = "catalog.parquet"
PATCHES_FILE = "patches.parquet"
PREPARED_FILE = "prepared.json"
FORMAT = 1


@dataclass(frozen=True)
class Prepared:
    """A data set, ready to learn from.

    Attributes:
        folder: Where it is stored.
        catalog: Its images.
        index: Its patches.
        bands: Bands in channel order.
        classes: Classes in number order.
        normalisation: Mean and deviation over the valid pixels of the training images.
        pixel_counts: Labelled pixels per class of each role; each pixel of an image counts once.
        ignored_counts: Pixels of each role without a class or invalid.
        unlisted_counts: Pixels of each role whose value or colour no class lists (under ignore or background).
        warnings: Sentences that a user should read.
        fingerprint: Changes with anything that changes what is learned; not with where the data lies.
        resolution_m: Median pixel size in metres; None without a coordinate reference system.
        patch_size: Side of a patch in pixels.
        max_ignored_share: Training leaves out patches of which a larger share is ignored.
        distribution: Quantiles of each band over the valid pixels of the training images; None where the normalisation
            was given, so that bands were not measured, and in folders of earlier versions.
    """

    folder: Path
    catalog: Catalog
    index: PatchIndex
    bands: Bands
    classes: Classes
    normalisation: Normalisation
    pixel_counts: dict[str, tuple[int, ...]]
    ignored_counts: dict[str, int]
    unlisted_counts: dict[str, int]
    warnings: tuple[str, ...]
    fingerprint: str
    resolution_m: float | None
    patch_size: int
    max_ignored_share: float
    distribution: Distribution | None = None

    def training_rows(self) -> list[int]:
        """Return the rows to train on: patches of the training images of which enough is labelled."""
        return self.index.rows("train", max_ignored_share=self.max_ignored_share)


def save_prepared(prepared: Prepared, *, inputs: str) -> None:
    """Write catalog, index and, last, `prepared.json`, which names the hashes of both.

    Args:
        prepared: What to write, into its own folder.
        inputs: Hash of the settings and files that it was made from.
    """
    folder = prepared.folder
    prepared.catalog.save(folder / CATALOG_FILE)
    prepared.index.save(folder / PATCHES_FILE)
    content = {
        "format": FORMAT,
        "fingerprint": prepared.fingerprint,
        "inputs": inputs,
        "files": {name: hash_file(folder / name) for name in (CATALOG_FILE, PATCHES_FILE)},
        "bands": prepared.bands.model_dump(mode="json"),
        "classes": prepared.classes.model_dump(mode="json"),
        "normalisation": prepared.normalisation.model_dump(mode="json"),
        "pixel_counts": {split: list(counts) for split, counts in prepared.pixel_counts.items()},
        "ignored_counts": prepared.ignored_counts,
        "unlisted_counts": prepared.unlisted_counts,
        "warnings": list(prepared.warnings),
        "resolution_m": prepared.resolution_m,
        "patch_size": prepared.patch_size,
        "max_ignored_share": prepared.max_ignored_share,
        "distribution": prepared.distribution.model_dump(mode="json") if prepared.distribution else None,
    }
    write_json(folder / PREPARED_FILE, {**content, "checksum": fingerprint(content)})


def load_prepared(folder: Path) -> tuple[Prepared, str]:
    """Read a prepared folder whole.

    Returns:
        What it holds, and the hash of the inputs that it was made from.

    Raises:
        DataError: The folder was never prepared, is half-written or damaged, or comes from another version.
    """
    if not (folder / PREPARED_FILE).is_file():
        raise DataError(f"{folder} holds no prepared data ({PREPARED_FILE} is missing); run `terrazzo prepare` first.")
    try:
        content = read_json(folder / PREPARED_FILE)
        _require_whole(folder, content)
        bands, classes = Bands.model_validate(content["bands"]), Classes.model_validate(content["classes"])
        entries = Catalog.load(folder / CATALOG_FILE).entries()
        prepared = Prepared(
            folder=folder,
            catalog=Catalog(with_tiles(folder, entries, bands, classes, inputs=content["inputs"])),
            index=PatchIndex.load(folder / PATCHES_FILE),
            bands=bands,
            classes=classes,
            normalisation=Normalisation.model_validate(content["normalisation"]),
            pixel_counts={split: tuple(counts) for split, counts in content["pixel_counts"].items()},
            ignored_counts=dict(content["ignored_counts"]),
            unlisted_counts=dict(content["unlisted_counts"]),
            warnings=tuple(content["warnings"]),
            fingerprint=content["fingerprint"],
            resolution_m=content["resolution_m"],
            patch_size=content["patch_size"],
            max_ignored_share=content["max_ignored_share"],
            distribution=Distribution.model_validate(content["distribution"]) if content.get("distribution") else None,
        )
    except (StorageError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise DataError(f"{folder} holds damaged prepared data ({error}); run `terrazzo prepare --force`.") from error
    return prepared, content["inputs"]


def _require_whole(folder: Path, content: Mapping[str, Any]) -> None:
    """Refuse a folder whose files are not those that its `prepared.json` was written for."""
    if content["format"] != FORMAT:
        raise DataError(
            f"{folder} was prepared in format {content['format']}, this version reads {FORMAT}; prepare it again."
        )
    body = {key: value for key, value in content.items() if key != "checksum"}
    if content["checksum"] != fingerprint(body):
        raise DataError(f"{folder / PREPARED_FILE} was changed after it was written; run `terrazzo prepare --force`.")
    for name, expected in content["files"].items():
        if not (folder / name).is_file() or hash_file(folder / name) != expected:
            raise DataError(
                f"{folder / name} is not the file that {PREPARED_FILE} names: the folder is half-written; "
                "run `terrazzo prepare` again."
            )
