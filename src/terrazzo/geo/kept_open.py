"""Files that several readers open one after the other, opened once for all of them.

To open a PNG or JPEG and look whether it is whole takes a twentieth of the time of decoding it; who reads its header
and then its pixels would pay twice.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import rasterio
from rasterio.io import DatasetReader

__all__ = ["close_dataset", "found_whole", "keep_open", "open_dataset", "opened_header"]


@dataclass
class _Kept:
    """A file that is open.

    Attributes:
        dataset: The file.
        whole: Whether it was found whole.
    """

    dataset: DatasetReader
    whole: bool = False


_KEPT: ContextVar[dict[str, _Kept] | None] = ContextVar("_KEPT", default=None)


@contextlib.contextmanager
def keep_open() -> Iterator[None]:
    """Keep every file that is opened in this block, in this thread, open to its end for whoever opens it again."""
    files: dict[str, _Kept] = {}
    token = _KEPT.set(files)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for file in files.values():
            file.dataset.close()


def open_dataset(path: str, *, driver: str | None = None) -> tuple[DatasetReader, bool]:
    """Return a file, and whether it is still to be found whole.

    Args:
        path: What GDAL opens.
        driver: GDAL's name of its format, where no other may be tried.

    Raises:
        RasterioError: It cannot be opened.
    """
    files = _KEPT.get()
    if files is None:
        return rasterio.open(path, driver=driver), True
    if path not in files:
        files[path] = _Kept(rasterio.open(path, driver=driver))
    return files[path].dataset, not files[path].whole


def found_whole(path: str) -> None:
    """Note that a file was found whole, so that nobody looks again."""
    files = _KEPT.get()
    if files is not None and path in files:
        files[path].whole = True


def close_dataset(path: str, dataset: DatasetReader) -> None:
    """Close a file, unless it is kept open for whoever opens it next."""
    files = _KEPT.get()
    if files is None or path not in files or files[path].dataset is not dataset:
        dataset.close()


@contextlib.contextmanager
def opened_header(path: str, *, driver: str | None = None) -> Iterator[DatasetReader]:
    """Yield a file to whoever asks only what it says of itself.

    Args:
        path: What GDAL opens.
        driver: GDAL's name of its format, where no other may be tried.

    Raises:
        RasterioError: It cannot be opened.
    """
    dataset, _ = open_dataset(path, driver=driver)
    try:
        yield dataset
    finally:
        close_dataset(path, dataset)
