"""A label that lies beside its image is found to the pixel or so; labels that lie right raise no alarm."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from terrazzo.data.verify.reduction import Reduced, Reduction
from terrazzo.data.verify.shift import find_shift

IGNORE = 255


def reduced(image: np.ndarray, target: np.ndarray) -> Reduced:
    reduction = Reduction(*target.shape)
    reduction.add(0, image, np.ones(target.shape, dtype=bool))
    reduction.add_label(0, target, IGNORE)
    return reduction.result()


def moved(target: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move a label; what comes in from outside is ignored."""
    height, width = target.shape
    result = np.full_like(target, IGNORE)
    result[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = target[
        max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return result


def scene(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of four kinds of land with grain and slow shading, and its label."""
    generator = np.random.default_rng(seed)
    ground = gaussian_filter(generator.normal(size=(side, side)), side / 40)
    target = np.digitize(ground, np.quantile(ground, [0.25, 0.5, 0.75])).astype(np.uint8)
    shading = 30 * gaussian_filter(generator.normal(size=(side, side)), side / 8) * side / 8
    image = 60 + 30 * target + shading + generator.normal(0, 8, (3, side, side))
    return np.clip(image, 0, 255).astype(np.uint8), target


@pytest.mark.parametrize(("side", "down", "right"), [(300, 6, -4), (700, -9, 7), (1200, 15, 12)])
def test_a_moved_label_is_found(side: int, down: int, right: int) -> None:
    image, target = scene(side, seed=side)
    shift = find_shift(reduced(image, moved(target, down, right)))
    assert shift is not None
    assert shift.significant
    # The label should go back by what it was moved.
    assert shift.down_px == pytest.approx(-down, abs=1.5)
    assert shift.right_px == pytest.approx(-right, abs=1.5)


@pytest.mark.parametrize("seed", range(8))
def test_a_label_that_lies_right_raises_no_alarm(seed: int) -> None:
    image, target = scene(300, seed)
    shift = find_shift(reduced(image, target))
    assert shift is None or not shift.significant or shift.length_px < 1.5


@pytest.mark.parametrize("seed", range(8))
def test_a_label_of_another_image_raises_no_alarm(seed: int) -> None:
    image, _ = scene(300, seed)
    _, target = scene(300, seed + 100)
    shift = find_shift(reduced(image, target))
    assert shift is None or not shift.significant


def test_too_little_to_tell() -> None:
    image, target = scene(64, 0)
    assert find_shift(reduced(image, np.zeros_like(target))) is None
    assert find_shift(reduced(np.zeros_like(image), target)) is None
    assert find_shift(reduced(image[:, :1, :1], target[:1, :1])) is None


def test_real_labels_raise_no_alarm_and_moved_ones_are_found(real_data: Path) -> None:
    found = 0
    for path in sorted((real_data / "dubai" / "Tile 1" / "images").glob("*.jpg")):
        image = np.asarray(Image.open(path)).transpose(2, 0, 1)
        mask = np.asarray(Image.open(path.parents[1] / "masks" / f"{path.stem}.png").convert("RGB")).astype(np.int64)
        colours, target = np.unique(mask @ [65536, 256, 1], return_inverse=True)
        target = target.reshape(mask.shape[:2]).astype(np.uint8)
        target[np.isin(mask @ [65536, 256, 1], [0x9B9B9B, 0])] = IGNORE
        assert len(colours) > 1
        shift = find_shift(reduced(image, target))
        assert shift is None or not shift.significant, path
        shift = find_shift(reduced(image, moved(target, 8, -6)))
        if shift is not None and shift.significant:
            assert (shift.down_px, shift.right_px) == (pytest.approx(-8, abs=2), pytest.approx(6, abs=2))
            found += 1
    assert found >= 5
