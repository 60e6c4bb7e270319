"""One image, several roles: an image is divided into entries whose areas never overlap."""

from collections.abc import Sequence
from pathlib import Path

from terrazzo.data.catalog import ImageEntry
from terrazzo.data.settings import DataSettings
from terrazzo.data.splitting.block_division import BlockDivision, within
from terrazzo.data.splitting.polygon_division import divide_by_polygons
from terrazzo.progress import Listener, silent

__all__ = ["divide", "within"]


def divide(
    entries: Sequence[ImageEntry], data: DataSettings, *, folder: Path | None = None, listener: Listener = silent
) -> tuple[list[ImageEntry], list[str]]:
    """Divide images between roles, or between folds.

    Args:
        entries: Images; those that have a role which the settings do not divide stay whole.
        data: Settings of the data.
        folder: Where what was counted in the labels is kept for the next division; nothing is kept if None.
        listener: Receives progress where labels are counted, one unit an image.

    Returns:
        Entries, those of one image beside each other, called as it with `#` and the part; and sentences about what
        came out.

    Raises:
        ConfigError: A coordinate reference system is unknown.
        DataError: An image cannot be divided as asked, or a role is left without a pixel.
        LabelError: A label does not fit how classes are listed.
    """
    if data.split.polygons is not None:
        return divide_by_polygons(entries, data.split.polygons)
    blocks = data.split.blocks
    if blocks is None:
        return list(entries), []
    return BlockDivision(blocks, data, folder=folder, listener=listener).divide(entries)
