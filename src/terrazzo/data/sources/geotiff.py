"""Georeferenced scenes, each with a label raster on the same grid."""

from typing import Literal

from terrazzo.data.sources.pairing import PairedSource

__all__ = ["GeotiffSource"]


class GeotiffSource(PairedSource):
    """Scenes with label rasters of the same size, transform and coordinate reference system."""

    name: Literal["geotiff"] = "geotiff"
    """Name of this source."""

    @property
    def georeferenced(self) -> bool:
        """Yes: a scene or label without a coordinate reference system is an error."""
        return True
