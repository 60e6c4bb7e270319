"""The whole landscape: layers painted one over the other, lit, seen through haze, and labelled by hand."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8, UInt16

from terrazzo.data.synthetic.buildings import paint_buildings
from terrazzo.data.synthetic.fields import SOILS, Parcels, cut_parcels, paint_fields
from terrazzo.data.synthetic.forest import paint_forest
from terrazzo.data.synthetic.noise import fractal_noise
from terrazzo.data.synthetic.roads import LANE_HALF_WIDTH, MAIN_HALF_WIDTH, paint_roads, road_distance
from terrazzo.data.synthetic.sensor import NODATA, draw_labels, record, swath
from terrazzo.data.synthetic.terrain import BARE_SOIL, FIELD, Canvas, lit
from terrazzo.data.synthetic.water import paint_water, water_level
from terrazzo.errors import DataError

__all__ = ["BAND_NAMES", "IGNORE", "Landscape", "landscape"]

BAND_NAMES = ("red", "green", "blue", "nir")
IGNORE = 255
"""Label of a pixel that the sensor did not see."""


@dataclass(frozen=True)
class Landscape:
    """One scene.

    Attributes:
        image: Digital numbers of red, green, blue and near infrared; 0 where not seen.
        label: Class of each pixel as drawn by hand, borders about a pixel off; 255 where not seen.
        truth: Class of each pixel as it is, seen or not.
        valid: Where the sensor looked.
    """

    image: UInt16[np.ndarray, "4 y x"]
    label: UInt8[np.ndarray, "y x"]
    truth: UInt8[np.ndarray, "y x"]
    valid: Bool[np.ndarray, "y x"]


def landscape(height: int, width: int, *, seed: int) -> Landscape:
    """Return a synthetic scene of farmland, 0.5 m a pixel, in six classes that overlap in colour.

    Forest is as green as crops, ploughed fields and roofs are as brown as bare soil, water as dark as asphalt and
    shadow; rows, crowns, straight edges, cast shadows and shores tell them apart.

    Args:
        height: Pixels, at least 1; a scene below about 300 may lack classes.
        width: Pixels, at least 1.
        seed: Same seed and size, same scene.

    Raises:
        DataError: A side is below 1.

    >>> scene = landscape(40, 60, seed=3)
    >>> scene.image.shape, scene.image.dtype, bool((scene.label[~scene.valid] == 255).all())
    ((4, 40, 60), dtype('uint16'), True)
    """
    if height < 1 or width < 1:
        raise DataError(f"A landscape of {height} x {width} pixels was asked for; both must be at least 1.")
    shape = (height, width)
    layers = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(8)]
    canvas = Canvas.empty(height, width)
    parcels = cut_parcels(shape, layers[0])
    paint_fields(canvas, parcels, layers[1])
    _paint_soil(canvas, layers[2])
    level = water_level(shape, layers[3])
    lane, main = road_distance(parcels, level > 0, layers[4])
    edge = np.minimum(lane - np.float32(LANE_HALF_WIDTH), main - np.float32(MAIN_HALF_WIDTH))
    paint_forest(canvas, _stands(parcels, shape, layers[5]) & (edge > 4) & (level < -6), layers[5])
    paint_water(canvas, level, layers[3])
    paint_roads(canvas, lane, main, generator=layers[4])
    open_land = ((canvas.label == FIELD) | (canvas.label == BARE_SOIL)) & (level < -8)
    paint_buildings(canvas, edge, open_land, angle=parcels.angle, generator=layers[6])
    valid = swath(shape, layers[7])
    image = record(lit(canvas), layers[7])
    image[:, ~valid] = NODATA
    label = draw_labels(canvas.label, layers[7])
    label[~valid] = IGNORE
    return Landscape(image, label, canvas.label, valid)


def _paint_soil(canvas: Canvas, generator: np.random.Generator) -> None:
    """Lay open the ground in blots of no straight edge: quarries, building sites, worn grass."""
    blots = fractal_noise(canvas.shape, generator, scale=75.0)
    open_ground = blots > 1.0
    kind = fractal_noise(canvas.shape, generator, scale=120.0, octaves=1)
    chosen = np.where(kind < -0.4, 1, np.where(kind < 0.5, 0, 2))[open_ground]
    mottle = fractal_noise(canvas.shape, generator, scale=11.0, octaves=4)[open_ground]
    canvas.paint(open_ground, BARE_SOIL, (1.25 * SOILS[chosen].T * np.exp(0.19 * mottle)).astype(np.float32))


def _stands(parcels: Parcels, shape: tuple[int, int], generator: np.random.Generator) -> Bool[np.ndarray, "y x"]:
    """Woods of any shape, and parcels that were planted with trees."""
    wood = fractal_noise(shape, generator, scale=110.0) > 0.75
    planted = generator.uniform(size=parcels.count) < 0.12
    return np.asarray(wood | (planted[parcels.number] & (parcels.border > 3)))
