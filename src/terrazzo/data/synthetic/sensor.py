"""What lies between the ground and the file: haze, the blur of the optics, noise, and an edge of the swath."""

import numpy as np
from jaxtyping import Bool, Float32, UInt8, UInt16
from scipy.ndimage import gaussian_filter, map_coordinates

from terrazzo.data.synthetic.noise import smooth_noise

__all__ = ["NODATA", "SCALE", "draw_labels", "record", "swath"]

NODATA = 0
"""Digital number of a pixel that was not seen."""
SCALE = 1e-4
"""Reflectance of one digital number."""
AIRLIGHT = np.array([0.20, 0.24, 0.30, 0.13], dtype=np.float32)
"""What fully hazy air reflects: red, green, blue, near infrared."""


def record(reflectance: Float32[np.ndarray, "4 y x"], generator: np.random.Generator) -> UInt16[np.ndarray, "4 y x"]:
    """Return the digital numbers that a sensor above haze would write, 1..65535.

    Args:
        reflectance: Share of light reflected at the ground.
        generator: Source of randomness.
    """
    shape = (reflectance.shape[1], reflectance.shape[2])
    haze = np.clip(0.10 + 0.035 * smooth_noise(shape, generator, scale=220.0), 0.02, 0.32)
    numbers = np.empty(reflectance.shape, dtype=np.uint16)
    for band, ground in enumerate(reflectance):
        seen = gaussian_filter(ground, 0.65, mode="nearest")
        seen = seen * (1.0 - haze) + AIRLIGHT[band] * haze
        noise = generator.standard_normal(shape, dtype=np.float32)
        seen = seen + noise * np.sqrt(0.006**2 + 0.0003 * np.clip(seen, 0.0, None))
        numbers[band] = np.clip(np.rint(seen / SCALE), 1, 65535)
    return numbers


def swath(shape: tuple[int, int], generator: np.random.Generator) -> Bool[np.ndarray, "y x"]:
    """Return where the sensor looked: all but a slanted corner in the north-east, about 4 % of the scene."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    corner = generator.uniform(0.18, 0.30)
    return np.asarray((width - 1 - x) / (width * corner) + y / (height * 0.09 / corner) >= 1.0)


def draw_labels(
    label: UInt8[np.ndarray, "y x"], generator: np.random.Generator, *, error: float = 0.4
) -> UInt8[np.ndarray, "y x"]:
    """Return labels as a hand would draw them: borders wander by about a pixel, areas stay as they are.

    Args:
        label: True classes.
        generator: Source of randomness.
        error: Standard deviation of a border's displacement along each axis, pixels.
    """
    shape = (label.shape[0], label.shape[1])
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    moved = [axis + error * smooth_noise(shape, generator, scale=5.0) for axis in (y, x)]
    return np.asarray(map_coordinates(label, moved, order=0, mode="nearest"), dtype=np.uint8)
