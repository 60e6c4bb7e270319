"""Parcels of land cut by straight borders, and the crops that stand on them in rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from terrazzo.data.synthetic.noise import fractal_noise, smooth_noise
from terrazzo.data.synthetic.terrain import FIELD, Canvas, jittered

__all__ = ["Parcels", "cut_parcels", "paint_fields"]

SMALLEST_SIDE, LARGEST_SIDE = 56.0, 130.0
"""Pixels: no parcel is cut below the first, and every one is cut above the second."""
ROAD_SIDE = 270.0
"""Pixels: a border that cuts a block this long carries a road."""

PLANTS = np.array(
    [[0.045, 0.085, 0.040, 0.42], [0.070, 0.110, 0.050, 0.36], [0.035, 0.060, 0.032, 0.30], [0.26, 0.22, 0.12, 0.36]]
)
"""Dense crop, meadow, dark beet leaves, ripe grain: red, green, blue, near infrared."""
SOILS = np.array([[0.29, 0.23, 0.16, 0.35], [0.15, 0.11, 0.08, 0.20], [0.26, 0.16, 0.10, 0.32]])
"""Dry light earth, moist humus, red loam; the bare-soil class has the same three."""
TILLED = 0.89
"""Brightness of worked land beside the open ground of the bare-soil class: it is damper."""
COVERS = np.array([0.85, 0.75, 0.45, 0.30, 0.0])
"""Share of ground that plants hide: full crop, meadow, half-grown, young, ploughed."""
COVER_SHARES = np.array([0.27, 0.17, 0.20, 0.14, 0.22])


@dataclass(frozen=True)
class Parcels:
    """Land cut into blocks.

    Attributes:
        number: Parcel of each pixel, 0..count-1.
        count: How many there are.
        angle: Direction of the borders, radians from the x axis.
        border: Distance to the nearest border, pixels.
        road: Distance to the nearest border that carries a road, pixels.
    """

    number: Int32[np.ndarray, "y x"]
    count: int
    angle: float
    border: Float32[np.ndarray, "y x"]
    road: Float32[np.ndarray, "y x"]


def cut_parcels(shape: tuple[int, int], generator: np.random.Generator) -> Parcels:
    """Cut land in two again and again, across its longer side, in a frame that is turned and gently bent."""
    angle = float(generator.uniform(0.15, 0.55))
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    bend = 9.0
    frame = np.stack(
        [
            (y * np.cos(angle) - x * np.sin(angle) + bend * smooth_noise(shape, generator, scale=170.0)).ravel(),
            (x * np.cos(angle) + y * np.sin(angle) + bend * smooth_noise(shape, generator, scale=170.0)).ravel(),
        ]
    )
    number = np.zeros(frame.shape[1], dtype=np.int32)
    border = np.full(frame.shape[1], 1e6, dtype=np.float32)
    road = border.copy()
    waiting = [np.arange(frame.shape[1])]
    count = 0
    while waiting:
        block = waiting.pop()
        low, high = frame[:, block].min(axis=1), frame[:, block].max(axis=1)
        sides = high - low
        axis = int(np.argmax(sides))
        enough = generator.uniform(2 * SMALLEST_SIDE, 2 * LARGEST_SIDE)
        if sides[axis] < max(enough, 2 * SMALLEST_SIDE):
            number[block] = count
            count += 1
            continue
        position = low[axis] + sides[axis] * generator.uniform(0.38, 0.62)
        away = frame[axis, block] - position
        border[block] = np.minimum(border[block], np.abs(away))
        if sides[axis] > ROAD_SIDE:
            road[block] = np.minimum(road[block], np.abs(away))
        waiting += [block[away < 0], block[away >= 0]]
    return Parcels(number.reshape(shape), count, angle, border.reshape(shape), road.reshape(shape))


def paint_fields(canvas: Canvas, parcels: Parcels, generator: np.random.Generator) -> None:
    """Paint every parcel: plants in rows over earth, each parcel with its own crop, row width and direction."""
    count, number = parcels.count, parcels.number
    cover = generator.choice(COVERS, size=count, p=COVER_SHARES)
    plant = jittered(PLANTS[generator.integers(len(PLANTS), size=count)], generator, brightness=0.16, hue=0.05)
    soil = jittered(SOILS[generator.integers(len(SOILS), size=count)], generator, brightness=0.16, hue=0.04)
    rows = _rows(parcels, generator)
    mottle = fractal_noise(canvas.shape, generator, scale=28.0)
    amplitude = np.where(cover > 0.7, 0.20, np.where(cover > 0.0, 0.36, 0.0))
    share = np.clip(cover[number] + amplitude[number] * rows + 0.05 * mottle * (cover > 0)[number], 0.0, 1.0)
    # Furrows cast light and shade; full-grown plants hide most of them.
    relief = TILLED + 0.26 * rows * np.where(cover < 0.5, 1.0, 0.45)[number] + 0.07 * mottle
    for band in range(4):
        mixed = soil[number, band] * (1.0 - share) + plant[number, band] * share
        canvas.reflectance[band] = mixed * relief
    verge = parcels.border < 1.6
    canvas.reflectance[:, verge] = PLANTS[1].astype(np.float32)[:, None] * (1.0 + 0.12 * mottle[verge])
    canvas.label[:] = FIELD


def _rows(parcels: Parcels, generator: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Waves of -1..1 along each parcel's rows, with the double tracks of the tractor."""
    number, count, shape = parcels.number, parcels.count, parcels.number.shape
    turned = generator.integers(0, 2, count) * (np.pi / 2) + generator.normal(0.0, 0.06, count)
    angle = parcels.angle + turned
    period = generator.uniform(5.2, 8.8, count)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    wander = 0.9 * smooth_noise((shape[0], shape[1]), generator, scale=40.0)
    across = y * np.cos(angle)[number] - x * np.sin(angle)[number] + wander
    waves = np.sin(across * (2 * np.pi / period)[number])
    track = np.abs((across % (period * 7)[number]) - period[number] * 2) < 1.1
    return np.where(track, -1.0, waves).astype(np.float32)
