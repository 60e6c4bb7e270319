"""A winding river and lakes: smooth and dark or full of silt, with pale shallows and sandy shores."""

import numpy as np
from jaxtyping import Bool, Float32
from scipy.ndimage import distance_transform_edt

from terrazzo.data.synthetic.noise import fractal_noise, smooth_noise
from terrazzo.data.synthetic.terrain import BARE_SOIL, WATER, Canvas, jittered

__all__ = ["paint_water", "water_level"]

DEEP = np.array([0.028, 0.042, 0.050, 0.022])
SILT = np.array([0.120, 0.112, 0.085, 0.105])
ALGAE = np.array([0.045, 0.072, 0.040, 0.110])
SAND = np.array([0.30, 0.25, 0.18, 0.36])


def water_level(shape: tuple[int, int], generator: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Return pixels of distance into the water, positive inside: one river from north to south, and lakes."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    course = width * generator.uniform(0.25, 0.75) + generator.uniform(-0.2, 0.2) * (y - height / 2)
    phase = generator.uniform(0, 2 * np.pi, 2)
    course = course + 42.0 * np.sin(y / 95.0 + phase[0]) + 17.0 * np.sin(y / 38.0 + phase[1])
    half_width = 17.0 + 6.0 * smooth_noise(shape, generator, scale=130.0)
    river = half_width - np.abs(x - course) * 0.85
    lakes = 42.0 * (fractal_noise(shape, generator, scale=120.0, octaves=2) - 1.35)
    wobble = 2.2 * fractal_noise(shape, generator, scale=14.0, octaves=2)
    return np.asarray(np.maximum(river, lakes) + wobble, dtype=np.float32)


def paint_water(canvas: Canvas, level: Float32[np.ndarray, "y x"], generator: np.random.Generator) -> None:
    """Fill what lies under the level and put sand on parts of the shore.

    Args:
        canvas: Painted on in place.
        level: What `water_level` gave.
        generator: Source of randomness.
    """
    wet = level > 0
    if not wet.any():
        return
    _paint_shore(canvas, wet, generator)
    depth = distance_transform_edt(wet)[wet]
    mixture = smooth_noise(canvas.shape, generator, scale=150.0)[wet]
    algae = np.clip(smooth_noise(canvas.shape, generator, scale=90.0)[wet] - 0.5, 0.0, 1.0)
    silt = np.clip(0.45 + 0.55 * mixture, 0.0, 1.0)
    shallow = np.exp(-depth / 5.0)
    clear, murky, green = (jittered(one, generator, brightness=0.04, hue=0.02)[:, None] for one in (DEEP, SILT, ALGAE))
    colour = clear * (1 - silt) + murky * silt
    colour = colour * (1 - algae) + green * algae
    colour = colour * (1 - 0.35 * shallow) + SAND[:, None] * 0.35 * shallow
    ripples = 1.0 + 0.03 * smooth_noise(canvas.shape, generator, scale=2.5)[wet]
    canvas.paint(wet, WATER, (colour * ripples).astype(np.float32))
    canvas.height[wet] = 0.0


def _paint_shore(canvas: Canvas, wet: Bool[np.ndarray, "y x"], generator: np.random.Generator) -> None:
    """Sand up to a varying distance from the water, in places none."""
    away = distance_transform_edt(~wet)
    reach = 5.0 + 5.0 * smooth_noise(canvas.shape, generator, scale=60.0)
    beach = ~wet & (away < reach)
    grain = fractal_noise(canvas.shape, generator, scale=9.0)[beach]
    damp = 0.72 + 0.28 * np.clip(away[beach] / 6.0, 0.0, 1.0)
    canvas.paint(beach, BARE_SOIL, (SAND[:, None] * damp * np.exp(0.16 * grain)).astype(np.float32))
