"""Files that several readers open one after the other, opened once for all of them.

To open a PNG or JPEG and look whether it is whole takes a twentieth of the time of decoding it; who reads its header
and then its pixels would pay twice.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import rasterio
from rasterio.io import DatasetReader

__all__ = ["keep_open", "kept", "open_dataset"]

_KEPT: ContextVar[dict[str, DatasetReader] | None] = ContextVar("_KEPT", default=None)


@contextlib.contextmanager
def keep_open() -> Iterator[None]:
    """Keep every file that is opened in this block, in this thread, open to its end for whoever opens it again."""
    datasets: dict[str, DatasetReader] = {}
    token = _KEPT.set(datasets)
    try:
        yield
    finally:
        _KEPT.reset(token)
        for dataset in datasets.values():
            dataset.close()


def open_dataset(path: str) -> tuple[DatasetReader, bool]:
    """Return a file, and whether it was opened just now and is still to be checked.

    Raises:
        RasterioError: It cannot be opened.
    """
    datasets = _KEPT.get()
    if datasets is not None and path in datasets:
        return datasets[path], False
    return rasterio.open(path), True


def kept(path: str, dataset: DatasetReader) -> bool:
    """Note a file that was found whole; return whether it is kept open, so that its reader does not close it."""
    datasets = _KEPT.get()
    if datasets is None:
        return False
    return datasets.setdefault(path, dataset) is dataset
