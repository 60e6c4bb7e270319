"""Polygons of the areas of a class map of any size."""

from terrazzo.scene.polygons.bands import BandLimits
from terrazzo.scene.polygons.writer import PolygonWriter

__all__ = ["BandLimits", "PolygonWriter"]
