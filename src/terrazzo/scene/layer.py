"""What a raster to write holds and where it lies: values, their meaning, and a scene's georeference."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import UInt8
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC

__all__ = ["NOWHERE", "Georeference", "Layer", "LegendEntry", "read_georeference"]


@dataclass(frozen=True)
class Georeference:
    """How a scene says where it lies, beside its grid.

    Attributes:
        gcps: Ground control points.
        gcps_crs: Coordinate reference system of these.
        rpcs: Rational polynomial coefficients of the sensor.
        present: Whether the scene says in any way where it lies.
    """

    gcps: tuple[GroundControlPoint, ...]
    gcps_crs: CRS | None
    rpcs: RPC | None
    present: bool


NOWHERE = Georeference((), None, None, present=False)
"""A picture that does not say where it lies."""


def read_georeference(scene: Path) -> Georeference:
    """Return how a scene says where it lies."""
    # That there is none is an answer here.
    with rasterio.open(scene) as source:
        gcps, gcps_crs = source.gcps
        said = bool(source.crs or gcps or source.rpcs or source.transform != Affine.identity())
        return Georeference(tuple(gcps), gcps_crs, source.rpcs, said)


@dataclass(frozen=True)
class LegendEntry:
    """What one value of a map of classes stands for.

    Attributes:
        value: As the file holds it.
        name: The class.
        colour: Red, green, blue, 0..255.
    """

    value: int
    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Layer:
    """One raster to write, and what its values mean.

    Attributes:
        name: What it shows, such as "class".
        dtype: numpy type of the values.
        channels: 1, 4 for red, green, blue, alpha of a colour map, or one a class.
        nodata: Value of missing pixels; None where alpha says it.
        palette: Red, green, blue, alpha of each of 256 values; None for plain numbers.
        scale: Factor from value to meaning.
        tags: Notes kept in the file.
        band_names: What each band shows; the layer's name if empty.
        colours: Whether the four channels are red, green, blue and alpha.
        legend: What the values stand for, where they are classes.
    """

    name: str
    dtype: np.dtype[Any]
    channels: int = 1
    nodata: int | float | None = None
    palette: UInt8[np.ndarray, "256 4"] | None = None
    scale: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)
    band_names: tuple[str, ...] = ()
    colours: bool = False
    legend: tuple[LegendEntry, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether values are classes or their colours, between which there is no mean."""
        return self.colours or bool(self.legend)
