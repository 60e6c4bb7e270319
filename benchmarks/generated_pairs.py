"""Photographs of 2448 x 2448 pixels with colour masks, generated: fields of one class each, speckled with others."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 2448
COLOURS = {
    "urban": (0, 255, 255),
    "agriculture": (255, 255, 0),
    "rangeland": (255, 0, 255),
    "forest": (0, 255, 0),
    "water": (0, 0, 255),
    "barren": (255, 255, 255),
}
UNKNOWN = (0, 0, 0)
PALETTE = np.array([*COLOURS.values(), UNKNOWN], dtype=np.uint8)
SPECKLED = 0.1


@dataclass(frozen=True)
class GeneratedPair:
    """A photograph and its mask."""

    image: Path
    mask: Path


def generate(folder: Path, count: int) -> list[GeneratedPair]:
    """Write the pairs `images/0000.jpg`, `masks/0000.png`, ..., on all cores."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    pairs = [
        GeneratedPair(folder / "images" / f"{number:04d}.jpg", folder / "masks" / f"{number:04d}.png")
        for number in range(count)
    ]
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write, range(count), pairs))
    return pairs


def _write(number: int, pair: GeneratedPair) -> None:
    draw = np.random.default_rng(number)
    fields = draw.integers(0, len(PALETTE), (SIDE // 64 + 1, SIDE // 64 + 1), dtype=np.uint8)
    label = fields.repeat(64, axis=0).repeat(64, axis=1)[:SIDE, :SIDE].copy()
    speckled = draw.random(label.shape) < SPECKLED
    label[speckled] = draw.integers(0, len(PALETTE), int(speckled.sum()), dtype=np.uint8)
    colours = PALETTE[label]
    photograph = colours // 2 + draw.integers(0, 60, colours.shape, dtype=np.uint8)
    Image.fromarray(photograph).save(pair.image, quality=90)
    Image.fromarray(colours).save(pair.mask)
