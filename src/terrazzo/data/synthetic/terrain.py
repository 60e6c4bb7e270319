"""What the landscape is painted on: reflectance, class and height of each pixel, and the light that falls on it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

__all__ = ["BARE_SOIL", "BUILDING", "FIELD", "FOREST", "PIXEL_SIZE_M", "ROAD", "WATER", "Canvas", "jittered", "lit"]

FIELD, FOREST, WATER, ROAD, BUILDING, BARE_SOIL = range(6)

PIXEL_SIZE_M = 0.5
SUN = (0.87, 0.5)
"""Step towards the sun (y, x): it stands in the south-south-east, so that shadows fall to the north."""
SUN_ELEVATION = np.deg2rad(44.0)
LONGEST_SHADOW = 26
"""Pixels; nothing stands higher than this casts."""
SHADOW_LIGHT = np.array([0.30, 0.33, 0.40, 0.27], dtype=np.float32)
"""Share of light in full shadow: the sky is blue."""


@dataclass(frozen=True)
class Canvas:
    """A landscape in the making; the layers paint on its arrays in place.

    Attributes:
        reflectance: Red, green, blue, near infrared; share of light reflected, 0..1.
        label: True class of each pixel.
        height: Metres above the ground of roofs and tree crowns.
    """

    reflectance: Float32[np.ndarray, "4 y x"]
    label: UInt8[np.ndarray, "y x"]
    height: Float32[np.ndarray, "y x"]

    @classmethod
    def empty(cls, height: int, width: int) -> "Canvas":
        """Return a canvas of bare fields."""
        return cls(
            np.zeros((4, height, width), dtype=np.float32),
            np.full((height, width), FIELD, dtype=np.uint8),
            np.zeros((height, width), dtype=np.float32),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.label.shape
        return height, width

    def paint(self, where: Bool[np.ndarray, "y x"], kind: int, reflectance: Float32[np.ndarray, "4 pixel"]) -> None:
        """Set class and reflectance of the pixels chosen, in raster order."""
        self.label[where] = kind
        self.reflectance[:, where] = reflectance


def jittered(
    spectrum: Shaped[np.ndarray, "*rest 4"], generator: np.random.Generator, *, brightness: float, hue: float
) -> Float32[np.ndarray, "*rest 4"]:
    """Return spectra varied as one stand, field or roof differs from the next: in brightness, and less in each band."""
    together = generator.normal(0.0, brightness, (*spectrum.shape[:-1], 1))
    apart = generator.normal(0.0, hue, spectrum.shape)
    return np.asarray(spectrum * np.exp(together + apart), dtype=np.float32)


def lit(canvas: Canvas) -> Float32[np.ndarray, "4 y x"]:
    """Return the reflectance under the sun: slopes towards it brighter, and shadows cast by whatever stands high."""
    slope_y, slope_x = _slopes(canvas.height)
    towards = (slope_y * SUN[0] + slope_x * SUN[1]) * np.cos(SUN_ELEVATION) / np.sin(SUN_ELEVATION)
    shade = np.clip((1.0 - towards) / np.sqrt(1.0 + slope_y**2 + slope_x**2), 0.25, 1.45)
    dark = _shadow(canvas.height)
    share = 1.0 - dark[None] * (1.0 - SHADOW_LIGHT[:, None, None])
    return np.asarray(canvas.reflectance * shade[None] * share, dtype=np.float32)


def _slopes(height: Float32[np.ndarray, "y x"]) -> tuple[Float32[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Rise per metre along y and x; walls are no slopes, so the steepest counts as 50 degrees."""
    slopes = []
    for axis in (0, 1):
        padded = np.pad(height, [(1, 1) if axis == other else (0, 0) for other in (0, 1)], mode="edge")
        rise = np.diff(padded, n=1, axis=axis)
        before, after = (np.delete(rise, index, axis=axis) for index in (-1, 0))
        # The gentler side: a pixel beside a wall takes the slope of its own roof.
        gentler = np.where(np.abs(before) < np.abs(after), before, after)
        slopes.append(np.clip(gentler / PIXEL_SIZE_M, -1.2, 1.2).astype(np.float32))
    return slopes[0], slopes[1]


def _shadow(height: Float32[np.ndarray, "y x"]) -> Float32[np.ndarray, "y x"]:
    """Share of shadow, 0..1: how far something towards the sun stands above the ray that would light the pixel."""
    rows, columns = height.shape
    deepest = np.zeros_like(height)
    rise = PIXEL_SIZE_M * np.tan(SUN_ELEVATION)
    for step in range(1, LONGEST_SHADOW):
        y, x = round(step * SUN[0]), round(step * SUN[1])
        if y >= rows or x >= columns:
            break
        blocker = height[y:, x:] - np.float32(step * rise)
        here = deepest[: rows - y, : columns - x]
        np.maximum(here, blocker - height[: rows - y, : columns - x], out=here)
    return np.clip(deepest / 0.5, 0.0, 1.0)
