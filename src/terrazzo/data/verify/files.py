"""One file at a time: whether it is there, may be read, holds anything, and can be decoded to its last pixel."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from terrazzo.data.sources.source import Pair
from terrazzo.data.verify.finding import Finding
from terrazzo.errors import DataError, TerrazzoError
from terrazzo.geo.grid import Window
from terrazzo.geo.raster import RasterFile

__all__ = ["COPY_AGAIN", "damage", "decode_whole", "reason", "strips", "unfit"]

STRIP_BYTES = 2**23
"""Decoded bytes of one strip of rows."""
COPY_AGAIN = "copy or download it again, or set it aside with --fix"


def damage(path: Path) -> Finding | None:
    """Return why a file cannot be used at all, or None: it is missing, may not be read, or is empty."""
    try:
        size = path.stat().st_size
        if path.is_file():
            with path.open("rb"):
                pass
    except OSError as error:
        return Finding(str(path), "error", "unreadable", f"cannot be opened: {error.strerror}", "check path and rights")
    if path.is_file() and not size:
        return Finding(str(path), "error", "empty", "the file has no content", COPY_AGAIN)
    return None


def decode_whole(paths: Iterable[Path]) -> list[Finding]:
    """Decode rasters to their last pixel, holding a strip at a time, and return what cannot be read."""
    found = []
    for path in paths:
        try:
            with RasterFile(path) as file:
                row_bytes = file.grid.width * len(file.bands) * 8
                for strip in strips(file.grid.whole, file.block_shape[0], row_bytes=row_bytes):
                    file.read(strip)
        except DataError as error:
            found.append(unreadable(path, error))
    return found


def unreadable(path: Path | str, error: BaseException) -> Finding:
    """Return the finding for a file that cannot be decoded."""
    return Finding(str(path), "error", "unreadable", reason(error, path), COPY_AGAIN)


def reason(error: BaseException, path: Path | str) -> str:
    """Return what an error says, without the path that the finding names anyway, and with what lies behind it."""
    text = str(error).removeprefix(str(path)).removeprefix(":").strip().removesuffix(".")
    deepest = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    if deepest is not error and "See previous exception" in text:
        text = f"cannot be decoded: {deepest.args[-1] if deepest.args else deepest}"
    return text


def unfit(pair: Pair, error: TerrazzoError) -> Finding:
    """Return the finding for files that can be read one by one, but not as a pair."""
    for path in (pair.image, *pair.extra):
        with RasterFile(path) as file:
            if file.colormap is not None:
                what = "a palette image: its values are numbers of colours, no measurements"
                return Finding(str(path), "error", "palette", what, "convert it to red, green and blue")
    text = reason(error, pair.image)
    without_crs = "has no coordinate reference system" in text
    named = next((path for path in pair.all_files if text.startswith(str(path))), pair.image)
    to_do = (
        "give it its coordinate reference system" if without_crs else "bring both onto one grid, or leave the pair out"
    )
    return Finding(str(named), "error", "crs" if without_crs else "grid", reason(DataError(text), named), to_do)


def strips(whole: Window, block: int, *, row_bytes: int) -> Sequence[Window]:
    """Cut a raster into strips of whole blocks.

    Args:
        whole: The window of all pixels.
        block: Rows that are decoded together.
        row_bytes: Decoded bytes of one row.
    """
    rows = max(STRIP_BYTES // row_bytes // block, 1) * block
    return [Window(y, 0, min(rows, whole.height - y), whole.width) for y in range(0, whole.height, rows)]
