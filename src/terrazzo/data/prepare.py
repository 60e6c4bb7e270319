"""From settings to prepared data: list, check, cut, count and measure, once, and only what has changed."""

from pathlib import Path

from terrazzo.data.prepared import Prepared, load_prepared
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.progress import Listener, silent

__all__ = ["open_prepared", "prepare_data"]


def prepare_data(
    data: DataSettings, prepare: PrepareSettings, *, force: bool = False, listener: Listener = silent
) -> Prepared:
    """Prepare a data set in `prepare.folder`, or return what lies there if nothing has changed.

    Args:
        data: What to learn from.
        prepare: Where to write.
        force: Build everything again.
        listener: Receives progress, one unit an image.

    Raises:
        DataError: Files are missing, damaged or do not fit each other.
        LabelError: Labels hold what no class lists, under `unlisted: error`.
        LockedError: Another process prepares the same folder.
    """
    raise NotImplementedError


def open_prepared(folder: Path) -> Prepared:
    """Read prepared data.

    Raises:
        DataError: The folder was never prepared, is half-written or damaged.
    """
    return load_prepared(folder)[0]
