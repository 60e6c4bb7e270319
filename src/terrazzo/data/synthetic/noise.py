"""Smooth random fields of unit variance, from which shapes and mottling are made."""

import numpy as np
from jaxtyping import Float32, Float64

__all__ = ["fractal_noise", "smooth_noise"]

SPREAD = 0.6
"""Standard deviation of the kernel in grid steps: smooth, without visible lattice."""


def smooth_noise(shape: tuple[int, int], generator: np.random.Generator, *, scale: float) -> Float32[np.ndarray, "y x"]:
    """Return Gaussian noise that varies over about `scale` pixels.

    Args:
        shape: Height and width.
        generator: Source of randomness.
        scale: Pixels between two knots, above 0.

    Returns:
        Mean 0 and variance 1 at every pixel.
    """
    along_y, along_x = _weights(shape[0], scale), _weights(shape[1], scale)
    knots = generator.standard_normal((along_y.shape[1], along_x.shape[1]))
    return np.asarray(along_y @ knots @ along_x.T, dtype=np.float32)


def _weights(length: int, scale: float) -> Float64[np.ndarray, "pixel knot"]:
    """Kernel weights of the knots for each pixel of one axis; their squares sum to 1, which keeps the variance."""
    knots = np.arange(-2, int(np.ceil(length / scale)) + 3)
    distance = np.arange(length)[:, None] / scale - knots[None, :]
    weights = np.exp(-0.5 * (distance / SPREAD) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum(axis=1, keepdims=True)))


def fractal_noise(
    shape: tuple[int, int], generator: np.random.Generator, *, scale: float, octaves: int = 4
) -> Float32[np.ndarray, "y x"]:
    """Return noise with detail: octaves of half the scale and 0.55 of the weight each, of variance 1 in sum."""
    total = np.zeros(shape, dtype=np.float32)
    weights = 0.55 ** np.arange(octaves)
    for octave, weight in enumerate(weights):
        total += np.float32(weight) * smooth_noise(shape, generator, scale=max(scale / 2**octave, 1.0))
    return total / np.float32(np.sqrt((weights**2).sum()))
