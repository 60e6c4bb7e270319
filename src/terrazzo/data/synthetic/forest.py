"""Stands of trees: crowns that touch, each a lit dome of its own colour."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.ndimage import binary_closing
from scipy.spatial import cKDTree

from terrazzo.data.synthetic.terrain import FOREST, Canvas, jittered

__all__ = ["paint_forest"]

SPACING = 8.5
"""Pixels between crowns."""
GAP = 4
"""Pixels: a gap between crowns up to twice as wide belongs to the stand; it shows dark ground."""
FLOOR = np.array([0.022, 0.028, 0.018, 0.12], dtype=np.float32)
LEAVES = np.array([[0.042, 0.075, 0.038, 0.40], [0.030, 0.050, 0.030, 0.27], [0.085, 0.105, 0.045, 0.36]])
"""Broad leaves, needles, leaves in autumn: red, green, blue, near infrared."""


def paint_forest(canvas: Canvas, where: Bool[np.ndarray, "y x"], generator: np.random.Generator) -> None:
    """Grow trees where asked; a crown stands or falls as a whole, so that the edge of a stand is ragged.

    Args:
        canvas: Painted on in place.
        where: Roughly where the stands are.
        generator: Source of randomness.
    """
    height, width = canvas.shape
    grid = np.mgrid[-1 : height / SPACING + 1, -1 : width / SPACING + 1].reshape(2, -1).T * SPACING
    centres = grid + generator.uniform(-0.36, 0.36, grid.shape) * SPACING
    inside = np.clip(np.rint(centres).astype(int), 0, [height - 1, width - 1])
    centres = centres[where[inside[:, 0], inside[:, 1]]]
    if len(centres) == 0:
        return
    radius = generator.uniform(0.62, 0.86, len(centres)) * SPACING
    pixels = np.argwhere(_near(where))
    distance, crown = cKDTree(centres).query(pixels, workers=1)
    covered = distance < radius[crown]
    y, x = pixels[covered].T
    crown, distance = crown[covered], distance[covered]
    kind = _stands(centres, generator)
    colour = jittered(LEAVES[kind], generator, brightness=0.17, hue=0.05)[crown]
    dome = np.sqrt(np.clip(1.0 - (distance / radius[crown]) ** 2, 0.0, 1.0))
    crowns = np.zeros(canvas.shape, dtype=bool)
    crowns[y, x] = True
    gaps = binary_closing(np.pad(crowns, GAP, mode="edge"), iterations=GAP)[GAP:-GAP, GAP:-GAP] & ~crowns
    canvas.paint(gaps, FOREST, np.repeat(FLOOR[:, None], int(gaps.sum()), axis=1))
    canvas.label[y, x] = FOREST
    canvas.reflectance[:, y, x] = (colour * (0.62 + 0.45 * dome)[:, None]).T
    top = generator.uniform(6.5, 9.5, len(centres))
    canvas.height[y, x] = top[crown] - 2.2 * (1.0 - dome)


def _near(where: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    """Grow a mask by about one crown."""
    reach = int(SPACING) + 1
    near = where.copy()
    for axis in (0, 1):
        padded = np.pad(near, [(reach, reach) if axis == other else (0, 0) for other in (0, 1)])
        sums = np.cumsum(padded, axis=axis, dtype=np.int32)
        length = near.shape[axis]
        after = np.take(sums, np.arange(length) + 2 * reach, axis=axis)
        before = np.take(sums, np.arange(length), axis=axis)
        near = (after - before + np.take(padded, np.arange(length), axis=axis)) > 0
    return near


def _stands(centres: Float64[np.ndarray, "tree 2"], generator: np.random.Generator) -> Int64[np.ndarray, " tree"]:
    """Kind of each tree: like its neighbours, with a fifth of strangers."""
    seeds = generator.uniform(centres.min(axis=0) - 1, centres.max(axis=0) + 1, (max(3, len(centres) // 150), 2))
    kinds = generator.integers(0, len(LEAVES), len(seeds))[cKDTree(seeds).query(centres)[1]]
    strange = generator.uniform(size=len(centres)) < 0.2
    return np.where(strange, generator.integers(0, len(LEAVES), len(centres)), kinds)
