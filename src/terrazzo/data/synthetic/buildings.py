"""Buildings beside the roads: rectangles under gabled or flat roofs, high enough to cast a shadow."""

import numpy as np
from jaxtyping import Bool, Float32

from terrazzo.data.synthetic.terrain import BUILDING, Canvas, jittered

__all__ = ["paint_buildings"]

ROOFS = np.array(
    [
        [0.31, 0.145, 0.090, 0.33],
        [0.150, 0.155, 0.165, 0.17],
        [0.39, 0.39, 0.39, 0.40],
        [0.21, 0.165, 0.125, 0.24],
        [0.090, 0.090, 0.098, 0.105],
    ]
)
"""Red tiles, grey slate, bright sheet metal, brown tiles, tar: red, green, blue, near infrared."""
PIXELS_PER_TRY = 450
"""One attempt to build for so many pixels of land."""


def paint_buildings(
    canvas: Canvas,
    road: Float32[np.ndarray, "y x"],
    free: Bool[np.ndarray, "y x"],
    *,
    angle: float,
    generator: np.random.Generator,
) -> None:
    """Build where there is room.

    Args:
        canvas: Painted on in place.
        road: Pixels to the edge of the nearest road.
        free: Where a building may stand; it stands there with all its pixels.
        angle: Direction of most walls, radians from the x axis.
        generator: Source of randomness.
    """
    height, width = canvas.shape
    taken = ~free
    for _ in range(max(1, height * width // PIXELS_PER_TRY)):
        y, x = generator.uniform(0, height), generator.uniform(0, width)
        size = generator.uniform([15.0, 19.0], [27.0, 46.0]) / 2
        turn = angle + generator.normal(0.0, 0.08) + generator.integers(0, 2) * np.pi / 2
        eaves, ridge = (
            generator.uniform(3.0, 6.5),
            generator.choice([0.0, 1.0], p=[0.25, 0.75]) * generator.uniform(1.5, 3),
        )
        colour = jittered(ROOFS[generator.integers(len(ROOFS))], generator, brightness=0.10, hue=0.04)
        beside = 4.0 < road[int(y), int(x)] - size[0] < 42.0
        reach = int(np.hypot(*size)) + 7
        rows = slice(max(0, int(y) - reach), int(y) + reach)
        columns = slice(max(0, int(x) - reach), int(x) + reach)
        along, across = _local(rows, columns, (y, x), turn=turn, shape=(height, width))
        footprint = (np.abs(across) < size[0]) & (np.abs(along) < size[1])
        yard = (np.abs(across) < size[0] + 5) & (np.abs(along) < size[1] + 5)
        if not beside or not footprint.any() or taken[rows, columns][yard].any():
            continue
        taken[rows, columns] |= yard
        roof = eaves + ridge * (1.0 - np.abs(across) / size[0])
        seams = 1.0 + 0.05 * np.sign(np.sin(along * 2 * np.pi / 5.2)) * (ridge == 0.0)
        canvas.label[rows, columns][footprint] = BUILDING
        canvas.height[rows, columns][footprint] = roof[footprint]
        canvas.reflectance[:, rows, columns][:, footprint] = colour[:, None] * seams[footprint]


def _local(
    rows: slice, columns: slice, centre: tuple[float, float], *, turn: float, shape: tuple[int, int]
) -> tuple[Float32[np.ndarray, "y x"], Float32[np.ndarray, "y x"]]:
    """Coordinates along and across a building for the pixels of a window."""
    y, x = np.mgrid[rows.start : min(rows.stop, shape[0]), columns.start : min(columns.stop, shape[1])]
    down, right = (y - centre[0]).astype(np.float32), (x - centre[1]).astype(np.float32)
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return right * cosine + down * sine, down * cosine - right * sine
