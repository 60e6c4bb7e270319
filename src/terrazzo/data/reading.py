"""Reading windows of images and labels, with files kept open a while and small ones kept decoded.

Training reads windows in random order. What the patch store holds is read from there. A PNG or JPEG can only be decoded
from its top, so a small one is decoded whole once and kept while there is room; anything tiled is read by windows.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.areas.area import AreaReader
from terrazzo.data.catalog import BandPlace, ImageEntry
from terrazzo.data.classes import Classes, Decoded
from terrazzo.data.labels.label import LabelReader
from terrazzo.data.open_files import file_state, open_files
from terrazzo.data.store.tile import TilePixels, Tiles
from terrazzo.errors import ContractError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import Raster, RasterFile
from terrazzo.geo.warped import Resampling

__all__ = ["ImageFiles", "decode_label", "read_image", "read_patch", "read_target"]

WHOLE_BYTES = 32 * 2**20
"""Largest decoded size of an untiled file that is kept whole."""
Opener = Callable[[Path, Resampling], RasterFile]


def read_patch(
    entry: ImageEntry, window: Window, bands: Bands, classes: Classes
) -> tuple[Raster, Shaped[np.ndarray, "y x"]]:
    """Read what `read_image` and `read_target` return, from the patch store at once where it holds both.

    Args:
        entry: The image.
        window: Pixels, inside the image.
        bands: Bands in the wanted order; all in `entry.stack`.
        classes: How labels name classes.

    Raises:
        DataError: A file is missing or damaged.
        ContractError: The window leaves the image or its label, or the image has no such band.
        LabelError: The label holds what no class lists, under `unlisted: error`.
    """
    tiles = entry.tiles
    if tiles is None or not tiles.hold_image(bands) or not tiles.hold_label(classes):
        return read_image(entry, window, bands), read_target(entry, window, classes)
    pixels = _read_tiles(entry, tiles, window, image=True, label=True)
    return _raster(entry, window, bands, pixels), _inside(entry, window, classes, pixels)


def read_image(entry: ImageEntry, window: Window, bands: Bands) -> Raster:
    """Read bands of a window, from the patch store where it holds them.

    Args:
        entry: The image.
        window: Pixels, inside the image.
        bands: Bands in the wanted order; all in `entry.stack`.

    Returns:
        Raw values in the order of `bands`; valid where every one of them was measured.

    Raises:
        DataError: A file is missing or damaged.
        ContractError: The window leaves the image, or the image has no such band.
    """
    if entry.tiles is not None and entry.tiles.hold_image(bands):
        return _raster(entry, window, bands, _read_tiles(entry, entry.tiles, window, image=True, label=False))
    store = open_files()
    with store.lock:
        files = ImageFiles(entry, lambda path, resampling: store.file(path, entry, resampling))
        size = entry.height * entry.width * len(bands) * np.dtype(bands.items[0].dtype).itemsize
        if size > WHOLE_BYTES or any(file.block_shape[1] != entry.width for file in files.bands):
            return files.read(window, bands)
        mask = (entry.mask.file,) if entry.mask else ()
        # One file may be read on several grids, at several resolutions say.
        grid = (entry.crs, entry.transform, entry.height, entry.width)
        key = (*(file_state(path) for path in (*entry.files, *mask)), entry.mask, entry.stack, bands, grid)
        kept = store.get(key)
        if kept is None:
            whole = files.read(entry.grid.whole, bands)
            # A mask that says nothing is not worth its room.
            kept = store.keep(key, (whole.values,) if whole.valid.all() else (whole.values, whole.valid))
    values = kept[0]
    if window.intersection(entry.grid.whole) != window:
        raise ContractError(f"{entry.image}: {window} leaves the image of {entry.height} x {entry.width} pixels.")
    valid = kept[1][window.slices].copy() if len(kept) > 1 else np.ones((window.height, window.width), dtype=bool)
    return Raster(values[:, *window.slices].copy(), valid, entry.grid.window(window), bands)


def read_target(entry: ImageEntry, window: Window, classes: Classes) -> Shaped[np.ndarray, "y x"]:
    """Read the label of a window as class numbers, from the patch store where it holds them.

    Args:
        entry: The image.
        window: Pixels, inside the image.
        classes: How labels name classes.

    Returns:
        0..K-1 or `classes.ignore`, uint8 (uint16 above 254 classes); all ignored for an image without label.

    Raises:
        DataError: The file is missing or damaged.
        ContractError: The window leaves the label.
        LabelError: It holds what no class lists, under `unlisted: error`.
    """
    if entry.label is None:
        kind = np.uint8 if classes.ignore == 255 else np.uint16
        return np.full((window.height, window.width), classes.ignore, dtype=kind)
    if entry.tiles is not None and entry.tiles.hold_label(classes):
        return _inside(entry, window, classes, _read_tiles(entry, entry.tiles, window, image=False, label=True))
    store = open_files()
    with store.lock:
        states = tuple(file_state(path) for part in (entry.label, entry.area) if part for path in part.files)
        # The records are part of the key: one file of shapes serves many images, and one image many areas.
        place = (*states, entry.label, entry.area, entry.crs, entry.transform, entry.height, entry.width)
        if window.intersection(entry.grid.whole) != window:
            raise ContractError(f"{entry.label.file}: {window} leaves the {entry.height} x {entry.width} pixels.")
        key = (*place, classes)
        kept = store.get(key)
        if kept is None:
            # Opened only where it is needed: to open shapes is to read them, and few labels stay open.
            label = store.label(place, entry)
            if entry.height * entry.width > WHOLE_BYTES or label.reader.block_shape[1] != entry.width:
                return decode_label(label.reader, label.area, window, classes).target
            kept = store.keep(key, (decode_label(label.reader, label.area, entry.grid.whole, classes).target,))
    return kept[0][window.slices].copy()


def _read_tiles(entry: ImageEntry, tiles: Tiles, window: Window, *, image: bool, label: bool) -> TilePixels:
    if window.y < 0 or window.x < 0 or window.y + window.height > entry.height or window.x + window.width > entry.width:
        raise ContractError(f"{entry.image}: {window} leaves the image of {entry.height} x {entry.width} pixels.")
    store = open_files()
    with store.lock:
        return store.tiles(tiles).read(window, image=image, label=label)


def _raster(entry: ImageEntry, window: Window, bands: Bands, pixels: TilePixels) -> Raster:
    if pixels.values is None or pixels.valid is None:
        raise ContractError(f"{entry.image}: the patch store does not hold its bands.")
    return Raster(pixels.values, pixels.valid, entry.grid.window(window), bands)


def _inside(entry: ImageEntry, window: Window, classes: Classes, pixels: TilePixels) -> Shaped[np.ndarray, "y x"]:
    """Return the label; outside the area of a divided image it is ignored, since all its parts share the file."""
    target = pixels.target
    if target is None:
        raise ContractError(f"{entry.image}: the patch store does not hold its label.")
    if entry.area is None:
        return target
    store = open_files()
    with store.lock:
        inside = store.area(entry, entry.area).inside(window)
    return np.where(inside, target, target.dtype.type(classes.ignore))


class ImageFiles:
    """An image's open files: its bands and, where there is one, its validity mask. Use as a context manager.

    Args:
        entry: The image.
        opener: Opens a file on the image's grid; one that keeps files open closes them itself.

    Raises:
        DataError: A file is missing or no raster.
    """

    def __init__(self, entry: ImageEntry, opener: Opener | None = None) -> None:
        self._opened = ExitStack()
        self._entry = entry
        grid = entry.grid

        def opened(path: Path, resampling: Resampling) -> RasterFile:
            """Open a file that is closed with the others."""
            return self._opened.enter_context(RasterFile(path, onto=grid, resampling=resampling))

        opener = opener or opened
        with ExitStack() as undo:
            undo.enter_context(self._opened)
            self.bands = tuple(opener(path, "bilinear") for path in entry.files)
            self.mask = opener(entry.mask.file, "nearest") if entry.mask else None
            undo.pop_all()

    def __enter__(self) -> "ImageFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns that the file with the largest blocks decodes together."""
        heights, widths = zip(*(file.block_shape for file in self.bands), strict=True)
        return max(heights), max(widths)

    def read(self, window: Window, bands: Bands) -> Raster:
        """Read bands of a window.

        Args:
            window: Pixels, inside the image.
            bands: Bands in the wanted order.

        Raises:
            DataError: A file is damaged.
            ContractError: The window leaves the image, or the image has no such band.
        """
        entry = self._entry
        places = self._places(bands)
        planes: list[Shaped[np.ndarray, "y x"]] = [np.empty(0)] * len(places)
        values: Shaped[np.ndarray, "band y x"] | None = None
        valid: Bool[np.ndarray, "y x"] | None = None
        for file, wanted, own in self._parts(places, bands):
            part = file.read(window, own)
            # All bands of one file come in their order: to stack them again would only copy the image.
            values = part.values if len(wanted) == len(places) else None
            valid = part.valid if valid is None else valid & part.valid
            for channel, plane in zip(wanted, part.values, strict=True):
                planes[channel] = plane
        if values is None:
            values = np.stack(planes)
        if valid is None:
            valid = np.ones((window.height, window.width), dtype=bool)
        if bands.collar is not None:
            valid &= ~bands.collar.missing(values)
        if entry.mask is not None and self.mask is not None:
            valid &= entry.mask.valid(self.mask, window)
        if any((place.gain, place.bias) != (1, 0) for place in places):
            values = np.stack([_converted(plane, place) for plane, place in zip(planes, places, strict=True)])
        return Raster(values, valid, entry.grid.window(window), bands)

    def never_missing(self, bands: Bands) -> bool:
        """Return whether every pixel is measured in all these bands, as far as that can be told without reading any."""
        parts = self._parts(self._places(bands), bands)
        return self.mask is None and bands.collar is None and all(file.never_missing(own) for file, _, own in parts)

    def _places(self, bands: Bands) -> list[BandPlace]:
        known = {place.name: place for place in self._entry.stack}
        if missing := [name for name in bands.names if name not in known]:
            raise ContractError(f"{self._entry.image} has no band {missing[0]}; it has {', '.join(known)}.")
        return [known[name] for name in bands.names]

    def _parts(self, places: list[BandPlace], bands: Bands) -> Iterator[tuple[RasterFile, list[int], Bands]]:
        """Yield each file that holds a wanted band, the channels of these, and what the bands are called there."""
        for number, file in enumerate(self.bands):
            wanted = [channel for channel, place in enumerate(places) if place.file == number]
            if wanted:
                own = [
                    file.bands.items[places[channel].number].model_copy(update={"nodata": bands.items[channel].nodata})
                    for channel in wanted
                ]
                # Known of one file, a collar is kept out of what is resampled from it.
                collar = bands.collar if len(wanted) == len(places) else None
                yield file, wanted, Bands(items=tuple(own), collar=collar)


def _converted(plane: Shaped[np.ndarray, "y x"], place: BandPlace) -> Shaped[np.ndarray, "y x"]:
    """Bring raw values to the scale and offset that `Bands` states, in the type they are stored in."""
    if place.gain == 1 and place.bias == 0:
        return plane
    converted = plane * np.float64(place.gain) + place.bias
    if plane.dtype.kind in "ui":
        limits = np.iinfo(plane.dtype)
        converted = np.rint(converted).clip(limits.min, limits.max)
    return converted.astype(plane.dtype)


def decode_label(reader: LabelReader, area: AreaReader | None, window: Window, classes: Classes) -> Decoded:
    """Read and decode a window of an open label; what lies outside the area is ignored, and never unlisted there.

    Raises:
        DataError: The file is damaged.
        LabelError: It holds what no class lists, under `unlisted: error`.
    """
    if area is None:
        return reader.decode(window, classes)
    inside = area.inside(window)
    if not inside.any():
        kind = np.uint8 if classes.ignore == 255 else np.uint16
        return Decoded(np.full(inside.shape, classes.ignore, dtype=kind), {})
    decoded = reader.decode(window, classes, inside)
    return Decoded(np.where(inside, decoded.target, decoded.target.dtype.type(classes.ignore)), decoded.unlisted)
