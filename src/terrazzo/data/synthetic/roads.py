"""Roads: country lanes between parcels, and one main road that crosses everything, rivers by a bridge."""

import numpy as np
from jaxtyping import Bool, Float32

from terrazzo.data.synthetic.fields import Parcels
from terrazzo.data.synthetic.noise import smooth_noise
from terrazzo.data.synthetic.terrain import FIELD, ROAD, WATER, Canvas, jittered

__all__ = ["paint_roads", "road_distance"]

SURFACES = np.array([[0.105, 0.102, 0.098, 0.118], [0.25, 0.205, 0.15, 0.30], [0.29, 0.275, 0.255, 0.31]])
"""Asphalt, gravel, concrete."""
GRASS = np.array([0.070, 0.110, 0.050, 0.36])
LANE_HALF_WIDTH, MAIN_HALF_WIDTH = 5.0, 7.5
VERGE = 2.6
"""Pixels; the verge is a strip of grass on both sides."""


def road_distance(
    parcels: Parcels, wet: Bool[np.ndarray, "y x"], generator: np.random.Generator
) -> tuple[Float32[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Return pixels to the middle of the nearest lane and of the main road; lanes end at the water."""
    height, width = wet.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    start = height * generator.uniform(0.3, 0.7)
    lean = generator.uniform(-0.25, 0.25)
    phase = generator.uniform(0, 2 * np.pi)
    course = start + lean * (x - width / 2) + 55.0 * np.sin(x / 210.0 + phase)
    slope = lean + 55.0 / 210.0 * np.cos(x / 210.0 + phase)
    main = np.abs(y - course) / np.sqrt(1.0 + slope**2)
    lane = np.where(wet, np.float32(1e6), parcels.road)
    return lane.astype(np.float32), main.astype(np.float32)


def paint_roads(
    canvas: Canvas,
    lane: Float32[np.ndarray, "y x"],
    main: Float32[np.ndarray, "y x"],
    *,
    generator: np.random.Generator,
) -> None:
    """Pave lanes and the main road; surfaces change along the way, wheels have polished their tracks.

    Args:
        canvas: Painted on in place.
        lane: Pixels to the middle of the nearest lane.
        main: Pixels to the middle of the main road.
        generator: Source of randomness.
    """
    strip = ((lane < LANE_HALF_WIDTH + VERGE) | (main < MAIN_HALF_WIDTH + VERGE)) & (canvas.label != WATER)
    grass = GRASS[:, None] * (1.0 + 0.15 * smooth_noise(canvas.shape, generator, scale=8.0)[strip])
    canvas.paint(strip, FIELD, grass.astype(np.float32))
    canvas.height[strip] = 0.0
    on_main, on_lane = main < MAIN_HALF_WIDTH, lane < LANE_HALF_WIDTH
    paved = on_main | on_lane
    change = smooth_noise(canvas.shape, generator, scale=160.0)
    lane_kind = np.where(change < -0.25, 0, np.where(change < 0.55, 1, 2))
    kind = np.where(on_main, 0, lane_kind)[paved]
    surface = jittered(SURFACES, generator, brightness=0.03, hue=0.01)[kind].T
    across = np.where(on_main, main / MAIN_HALF_WIDTH, lane / LANE_HALF_WIDTH)[paved]
    wheels = 1.0 + 0.07 * np.cos(across * 2 * np.pi) + 0.05 * smooth_noise(canvas.shape, generator, scale=6.0)[paved]
    surface = surface * np.exp(0.12 * smooth_noise(canvas.shape, generator, scale=70.0)[paved])
    line = (on_main & (main < 0.7))[paved]
    colour = surface * wheels
    colour[:, line] = colour[:, line] * 0.5 + 0.22
    canvas.paint(paved, ROAD, colour.astype(np.float32))
    canvas.height[paved] = 0.0
