"""What stands at one pixel: where it lies, its class, how sure that is, and what the image holds there."""

from typing import Any

import numpy as np
import pyproj
from pyproj.exceptions import ProjError

from terrazzo.geo.grid import Grid, Window
from terrazzo.record import Record
from terrazzo.serve.facts import legend_of
from terrazzo.serve.kept_answers import KeptAnswers
from terrazzo.serve.placement import place_image
from terrazzo.serve.rasters import Pixels, ViewedRaster, open_viewed
from terrazzo.serve.viewed_scene import ViewedScene

__all__ = ["PixelFacts", "pixel_facts"]


class Position(Record):
    """Where the centre of a pixel lies on earth."""

    x: float
    """First coordinate in the scene's own system: easting or longitude."""
    y: float
    """Second coordinate: northing or latitude."""
    crs: str
    """That system."""
    longitude: float | None
    """Degrees east; None where the system does not say."""
    latitude: float | None
    """Degrees north; likewise."""


class LayerValue(Record):
    """What a further layer says of a pixel."""

    name: str
    """The layer."""
    value: float
    """Its value, in the unit of its ramp; of marks 1 or 0."""
    classes: tuple[int, ...] = ()
    """Of a set of classes: their positions."""


class BandValue(Record):
    """What a band of the image holds."""

    band: str
    """Its name."""
    value: float | None
    """As it is stored; None where nothing was measured."""


class PixelFacts(Record):
    """What stands at a pixel."""

    x: int
    """Column, from 0."""
    y: int
    """Row, from 0."""
    position: Position | None
    """Where it lies; None where the scene does not say."""
    class_position: int | None
    """Position of its class among the classes; None where it has none."""
    layers: tuple[LayerValue, ...]
    """Further layers that have a value there."""
    probabilities: tuple[float, ...]
    """Probability of each class; none where they were not written."""
    bands: tuple[BandValue, ...]
    """Bands of the image."""


def pixel_facts(scene: ViewedScene, *, x: int, y: int, kept: KeptAnswers) -> PixelFacts | None:
    """Return what stands at a pixel of a scene; None for one outside it.

    Args:
        scene: The scene.
        x: Column of the map, or of the image where there is no map, from 0.
        y: Row, from 0.
        kept: Where the legend is kept.

    Raises:
        DataError: A raster cannot be read.
    """
    main = scene.map or scene.image
    if main is None:
        return None
    class_position: int | None = None
    with open_viewed(main) as raster:
        grid = raster.grid
        if not (0 <= y < grid.height and 0 <= x < grid.width):
            return None
        if scene.map is not None:
            legend = legend_of(scene, kept)
            found = _at(raster, x, y, (1, 2, 3) if legend.coloured else (1,))
            position = int(legend.positions(found.values, found.valid)[0, 0])
            class_position = None if position < 0 else position
    return PixelFacts(
        x=x,
        y=y,
        position=_position(grid, x, y),
        class_position=class_position,
        layers=tuple(value for name in scene.layers if (value := _layer_value(scene, name, x, y)) is not None),
        probabilities=_probabilities(scene, x, y),
        bands=_bands(scene, grid, x, y),
    )


def _at(raster: ViewedRaster, x: int, y: int, bands: tuple[int, ...]) -> Pixels:
    return raster.read(Window(y, x, 1, 1), bands)


def _position(grid: Grid, x: int, y: int) -> Position | None:
    if grid.crs is None:
        return None
    way = grid.transform
    column, row = x + 0.5, y + 0.5
    east, north = way.a * column + way.b * row + way.c, way.d * column + way.e * row + way.f
    longitude: float | None
    latitude: float | None
    try:
        to_degrees = pyproj.Transformer.from_crs(grid.crs.to_wkt(), "EPSG:4326", always_xy=True)
        longitude, latitude = (float(part) for part in to_degrees.transform(east, north))
    except ProjError:
        longitude = latitude = None
    if longitude is None or latitude is None or not np.isfinite([longitude, latitude]).all():
        longitude = latitude = None
    return Position(x=east, y=north, crs=grid.crs.to_string(), longitude=longitude, latitude=latitude)


def _layer_value(scene: ViewedScene, name: str, x: int, y: int) -> LayerValue | None:
    if name == "probabilities":
        return None
    with open_viewed(scene.layers[name]) as raster:
        if not (y < raster.grid.height and x < raster.grid.width):
            return None
        found = _at(raster, x, y, (1,))
        scale = float(raster.source.scales[0])
    if not found.valid[0, 0]:
        return None
    stored = found.values[0, 0, 0].item()
    if name == "abstain":
        return LayerValue(name=name, value=float(stored))
    if name == "sets":
        members = tuple(position for position in range(16) if int(stored) >> position & 1)
        return LayerValue(name=name, value=float(len(members)), classes=members)
    return LayerValue(name=name, value=float(stored) * scale)


def _probabilities(scene: ViewedScene, x: int, y: int) -> tuple[float, ...]:
    path = scene.layers.get("probabilities")
    if path is None:
        return ()
    with open_viewed(path) as raster:
        if not (y < raster.grid.height and x < raster.grid.width):
            return ()
        found = _at(raster, x, y, tuple(range(1, raster.source.count + 1)))
        scales: tuple[Any, ...] = raster.source.scales
    if not found.valid[0, 0]:
        return ()
    return tuple(float(value) * float(scale) for value, scale in zip(found.values[:, 0, 0], scales, strict=True))


def _bands(scene: ViewedScene, grid: Grid, x: int, y: int) -> tuple[BandValue, ...]:
    if scene.image is None:
        return ()
    with open_viewed(scene.image) as raster:
        place = place_image(raster.grid, grid)
        if place is None:
            return ()
        column, row = int((x + 0.5 - place.x) // place.scale), int((y + 0.5 - place.y) // place.scale)
        if not (0 <= row < raster.grid.height and 0 <= column < raster.grid.width):
            return ()
        found = _at(raster, column, row, raster.numbers)
        names = raster.names
    measured = bool(found.valid[0, 0])
    return tuple(
        BandValue(band=name, value=float(value) if measured and np.isfinite(value) else None)
        for name, value in zip(names, found.values[:, 0, 0], strict=True)
    )
