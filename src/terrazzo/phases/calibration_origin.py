"""What a calibration was made on, so that anyone can check that it was these images: names, pixels, day, conditions."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from terrazzo.bundle import Bundle
from terrazzo.calibration.record import Origin
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.data.reading import read_image, read_target
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster
from terrazzo.scene.promise import conditions_of
from terrazzo.scene.settings import PredictSettings

__all__ = ["day", "entry_hash", "joined_hash", "origin_of", "scene_hash"]

_ROWS_AT_ONCE = 256


def day(said: str | None) -> str:
    """Return the day that a calibration states: the one that is said, else today's in UTC.

    >>> day("2026-02-03")
    '2026-02-03'
    """
    return said or datetime.now(UTC).date().isoformat()


def origin_of(split: str, hashes: Sequence[str], bundle: Bundle, settings: PredictSettings, date: str) -> Origin:
    """Return what something was calibrated on.

    Args:
        split: Role of the images, or `unlabelled`.
        hashes: One an image or scene.
        bundle: What mapped them.
        settings: How.
        date: Day.
    """
    return Origin(
        split=split,
        split_hash=joined_hash(hashes),
        images=len(hashes),
        date=date,
        conditions=conditions_of(bundle, settings),
    )


def joined_hash(hashes: Iterable[str]) -> str:
    """Return one SHA-256 of those of all images, in whatever order they come."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def entry_hash(entry: ImageEntry, bands: Bands, classes: Classes) -> str:
    """Return a SHA-256 of an image's name, pixels and labels as they are read, wherever and however it is stored.

    Args:
        entry: The image.
        bands: Bands in the network's order.
        classes: How labels name classes.

    Raises:
        DataError: The image or its label cannot be read.
    """
    digest = _begun(entry.image_id, entry.height, entry.width)
    for window in _windows(entry):
        _add_rows(digest, read_image(entry, window, bands))
        digest.update(np.ascontiguousarray(read_target(entry, window, classes)).tobytes())
    return digest.hexdigest()


def scene_hash(entry: ImageEntry, bands: Bands) -> str:
    """Return a SHA-256 of an image's name and pixels, without labels.

    Args:
        entry: The image or scene.
        bands: Bands in the network's order.

    Raises:
        DataError: It cannot be read.
    """
    digest = _begun(entry.image_id, entry.height, entry.width)
    for window in _windows(entry):
        _add_rows(digest, read_image(entry, window, bands))
    return digest.hexdigest()


def _windows(entry: ImageEntry) -> Iterator[Window]:
    for top in range(0, entry.height, _ROWS_AT_ONCE):
        yield Window(top, 0, min(_ROWS_AT_ONCE, entry.height - top), entry.width)


def _begun(name: str, height: int, width: int) -> "hashlib._Hash":
    return hashlib.sha256(f"{name}\n{height}\n{width}\n".encode())


def _add_rows(digest: "hashlib._Hash", raster: Raster) -> None:
    """Add row by row, so that reading in other parts changes nothing; what is not measured has no value."""
    values = np.where(raster.valid, raster.values, raster.values.dtype.type(0))
    for y, valid in enumerate(raster.valid):
        digest.update(np.ascontiguousarray(valid).tobytes())
        digest.update(np.ascontiguousarray(values[:, y]).tobytes())
