"""Photographs and patches in folders, each with a label image of the same size."""

from typing import Literal

from terrazzo.data.sources.pairing import PairedSource

__all__ = ["FolderSource"]


class FolderSource(PairedSource):
    """Images with label images of the same size, in folders or under two patterns."""

    name: Literal["folder"] = "folder"
    """Name of this source."""

    @property
    def georeferenced(self) -> bool:
        """No: a photograph has no coordinates; where image and label both have them, they must agree."""
        return False
