"""The verb `prepare`: check images and labels, cut them into patches, measure bands and classes."""

import time
from collections.abc import Mapping
from typing import Any

from terrazzo.config import RunConfig
from terrazzo.data.pictures.mask_files import MaskKind, write_masks
from terrazzo.data.pictures.preview import write_previews
from terrazzo.data.prepare import prepare_data
from terrazzo.data.prepared import Prepared
from terrazzo.logs import configure_logging
from terrazzo.phases.features import features_before_training
from terrazzo.phases.summary import PrepareSummary
from terrazzo.progress import Listener, silent

__all__ = ["describe", "prepare"]


def prepare(
    config: RunConfig,
    *,
    force: bool = False,
    preview: int | None = None,
    masks: MaskKind | None = None,
    listener: Listener = silent,
) -> PrepareSummary:
    """Prepare the data of a configuration in `prepare.folder`; what has not changed is not done again.

    Args:
        config: The configuration.
        force: Build everything anew.
        preview: Augmented samples to draw with their labels; `prepare.preview` if None.
        masks: Labels to write as images; `prepare.masks` if None.
        listener: Receives progress.

    Returns:
        Images and patches by split, warnings, and the pictures drawn; also `summary.json` in the folder.

    Raises:
        DataError: Files are missing, damaged or do not fit each other.
        LabelError: Labels hold what no class lists.
        ModelError: Features are to be cached, and the model cannot be built.
        SpaceError: The disk has too little room for tiles or features; the prepared data is whole without them.
    """
    configure_logging(config.logging)
    begun = time.monotonic()
    prepared = prepare_data(config.data, config.prepare, force=force, listener=listener)
    features = features_before_training(config, prepared, force=force, listener=listener)
    pictures = write_previews(
        prepared,
        config.augment,
        folder=prepared.folder / "preview",
        count=config.prepare.preview if preview is None else preview,
        seed=config.seed,
    )
    kind = config.prepare.masks if masks is None else masks
    written = (
        None if kind == "none" else write_masks(prepared, kind, folder=prepared.folder / "masks", listener=listener)
    )
    shape = describe(prepared)
    summary = PrepareSummary(
        folder=prepared.folder,
        seconds=time.monotonic() - begun,
        images=shape["images"],
        patches=shape["patches"],
        bands=prepared.bands.names,
        classes=prepared.classes.names,
        warnings=prepared.warnings,
        previews=tuple(pictures),
        masks=None if written is None else written.folder,
        features=None if features is None else features.folder,
        fingerprint=prepared.fingerprint,
    )
    summary.save()
    return summary


def describe(prepared: Prepared) -> Mapping[str, Any]:
    """Return what a report says about prepared data, as plain data.

    Args:
        prepared: Prepared data.

    Returns:
        `classes, pixel_counts, ignored_counts, unlisted_counts, images, patches, warnings, bands, normalisation,
        resolution_m, patch_size, fingerprint`; counts are by split.
    """
    splits = prepared.catalog.splits
    return {
        "classes": [{"name": item.name, "colour": list(item.colour)} for item in prepared.classes.items],
        "pixel_counts": {split: list(counts) for split, counts in prepared.pixel_counts.items()},
        "ignored_counts": dict(prepared.ignored_counts),
        "unlisted_counts": dict(prepared.unlisted_counts),
        "images": {split: len(prepared.catalog.entries(split)) for split in splits},
        "patches": {split: len(prepared.index.rows(split)) for split in splits},
        "warnings": list(prepared.warnings),
        "bands": [band.model_dump(mode="json") for band in prepared.bands],
        "normalisation": prepared.normalisation.model_dump(mode="json"),
        "resolution_m": prepared.resolution_m,
        "patch_size": prepared.patch_size,
        "fingerprint": prepared.fingerprint,
    }
