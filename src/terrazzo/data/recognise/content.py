"""What a raster holds, judged by a part of it: measurements or classes, and which values."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped

from terrazzo.data.colours import hexadecimal
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile

__all__ = ["Colour", "LabelContent", "is_label", "read_labels", "sample_windows", "words_of"]

WHOLE_PIXELS = 2560 * 2560
"""Rasters up to this size are read whole; of larger ones nine windows are."""
SIDE = 512
"""Side of these windows in pixels."""
MOST_VALUES = 64
"""Different values or colours that a label may have and be taken for one."""
MOST_WIDE = 1024
"""Largest value of a 16-bit raster that may be a class; calm water is few values too, but higher ones."""

Colour = tuple[int, int, int]


@dataclass
class LabelContent:
    """What stands in label rasters.

    Attributes:
        values: Pixels of each value of labels with one band.
        colours: Pixels of each colour of labels with several bands or a palette.
        palette: Colour of each value, where the files have a palette.
        nodata: Values that the files themselves declare missing.
        files: Rasters that were looked at.
        complete: Whether all of them were read whole.
        several_bands: Whether one of them has red, green and blue.
    """

    values: Counter[int] = field(default_factory=Counter)
    colours: Counter[Colour] = field(default_factory=Counter)
    palette: dict[int, Colour] = field(default_factory=dict)
    nodata: set[int] = field(default_factory=set)
    files: int = 0
    complete: bool = True
    several_bands: bool = False


def sample_windows(height: int, width: int) -> tuple[list[Window], bool]:
    """Return the windows that stand for a raster, and whether they are all of it.

    >>> sample_windows(10, 20)
    ([Window(y=0, x=0, height=10, width=20)], True)
    >>> len(sample_windows(9000, 9000)[0])
    9
    """
    if height * width <= WHOLE_PIXELS:
        return [Window(0, 0, height, width)], True
    tall, wide = min(SIDE, height), min(SIDE, width)
    rows = sorted({0, (height - tall) // 2, height - tall})
    columns = sorted({0, (width - wide) // 2, width - wide})
    return [Window(y, x, tall, wide) for y in rows for x in columns], False


def is_label(path: Path) -> bool:
    """Return whether a raster looks like classes: a palette, or few values or colours in its middle.

    One that cannot be read looks like none.
    """
    try:
        return _is_label(path, path.stat().st_mtime_ns)
    except (OSError, DataError):
        return False


@lru_cache(maxsize=4096)
def _is_label(path: Path, _modified_ns: int) -> bool:
    with RasterFile(path) as file:
        if file.colormap is not None:
            return True
        bands = file.bands
        if len(bands) not in {1, 3} or bands.items[0].dtype not in {"uint8", "int8", "uint16", "int16", "int32"}:
            return False
        raster = file.read(_middle(file.grid.height, file.grid.width))
    found = raster.values[:, raster.valid] if raster.valid.any() else raster.values.reshape(len(bands), -1)
    if len(bands) == 1:
        return len(np.unique(found)) <= MOST_VALUES and not (
            bands.items[0].dtype == "uint16" and found.max() > MOST_WIDE
        )
    counts = np.unique(_packed(found), return_counts=True)[1]
    # Compression blurs the edges of a mask drawn in few colours; a photograph has thousands, none of them common.
    return len(counts) <= MOST_VALUES or bool(np.sort(counts)[::-1][:12].sum() >= 0.8 * counts.sum())


def read_labels(paths: Sequence[Path]) -> LabelContent:
    """Count values and colours in label rasters.

    Raises:
        DataError: One cannot be read.
    """
    found = LabelContent(files=len(paths))
    for path in paths:
        with RasterFile(path) as file:
            windows, whole = sample_windows(file.grid.height, file.grid.width)
            found.complete &= whole
            palette = {value: colour[:3] for value, colour in (file.colormap or {}).items()}
            nodata = file.bands.items[0].nodata
            if nodata is not None and float(nodata).is_integer():
                found.nodata.add(int(nodata))
            for window in windows:
                raster = file.read(window)
                _count(found, raster.values, raster.valid, palette)
    return found


def _count(
    found: LabelContent,
    values: Shaped[np.ndarray, "band y x"],
    valid: Bool[np.ndarray, "y x"],
    palette: dict[int, Colour],
) -> None:
    """Add the pixels of one window."""
    if len(values) >= 3:
        found.several_bands = True
        packed, counts = np.unique(_packed(values[:3].reshape(3, -1)), return_counts=True)
        for code, count in zip(packed.tolist(), counts.tolist(), strict=True):
            found.colours[code >> 16, code >> 8 & 255, code & 255] += count
        return
    plane = values[0]
    if plane.dtype.kind == "f":
        plane = np.where(np.isfinite(plane), plane, 0)[valid]
    numbers, counts = np.unique(plane, return_counts=True)
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        found.values[int(number)] += count
        if palette:
            colour = palette.get(int(number), (0, 0, 0))
            found.colours[colour] += count
            found.palette[int(number)] = colour


def _packed(values: Shaped[np.ndarray, "3 pixel"]) -> Shaped[np.ndarray, " pixel"]:
    red, green, blue = np.clip(values, 0, 255).astype(np.int64)
    return np.asarray(red << 16 | green << 8 | blue)


def _middle(height: int, width: int) -> Window:
    tall, wide = min(SIDE, height), min(SIDE, width)
    return Window((height - tall) // 2, (width - wide) // 2, tall, wide)


def words_of(colour: Colour) -> str:
    """Return a plain word for a colour that has one, else its digits.

    >>> words_of((255, 0, 0)), words_of((60, 16, 152))
    ('red', 'colour_3C1098')
    """
    return _WORDS.get(colour, f"colour_{hexadecimal(colour)[1:]}")


_WORDS: dict[Colour, str] = {
    (0, 0, 0): "black",
    (255, 255, 255): "white",
    (255, 0, 0): "red",
    (0, 255, 0): "green",
    (0, 0, 255): "blue",
    (255, 255, 0): "yellow",
    (0, 255, 255): "cyan",
    (255, 0, 255): "magenta",
    (128, 128, 128): "gray",
}
