"""Seams that can be seen have an energy above 1; those that cannot have 1; a hard cut is found whatever the step."""

import numpy as np
import pytest

from terrazzo.scene.seam_energy import SeamEnergy, SeamMeter
from terrazzo.scene.windows import Axis


def measured(
    target: np.ndarray,
    rows: Axis,
    columns: Axis,
    *,
    confidence: np.ndarray | None = None,
    step: int = 1,
    chunk: int = 7,
) -> SeamMeter:
    meter = SeamMeter(rows, columns, missing=255, step=step)
    for y in range(0, len(target), chunk):
        part = slice(y, y + chunk)
        meter.look_down(y, target[part], None if confidence is None else confidence[part])
        for row in range(y, min(y + chunk, len(target)), 1):
            if row % step == 0:
                meter.look_across(target[row], None if confidence is None else confidence[row])
    return meter


def by_hand(target: np.ndarray, values: np.ndarray, rows: Axis, columns: Axis) -> list[float]:
    """Return the means outside and inside, pair by pair."""
    found: list[list[float]] = [[], []]
    for y in range(len(target)):
        for x in range(target.shape[1]):
            for down, right, axis, place in ((1, 0, rows, y), (0, 1, columns, x)):
                if y + down < len(target) and x + right < target.shape[1]:
                    if 255 in (target[y, x], target[y + down, x + right]):
                        continue
                    inside = any(fade.start - 1 <= place < fade.stop for fade in axis.fades)
                    found[inside].append(abs(float(values[y + down, x + right]) - float(values[y, x])))
    return [float(np.mean(one)) for one in found]


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_is_the_mean_over_pairs_counted_one_by_one(chunk: int) -> None:
    generator = np.random.default_rng(0)
    rows, columns = Axis(30, 12, 9), Axis(26, 12, 10)
    target = generator.integers(0, 2, (30, 26)).astype(np.uint8)
    target[:9, 5:20] = 255
    confidence = generator.integers(0, 255, (30, 26)).astype(np.uint8)
    meter = measured(target, rows, columns, confidence=confidence, chunk=chunk)
    outside, inside = by_hand(target, target, rows, columns)
    energy = meter.energy("class")
    assert (energy.outside, energy.inside) == (pytest.approx(outside), pytest.approx(inside))
    assert energy.ratio == pytest.approx(inside / outside)
    outside, inside = by_hand(target, confidence, rows, columns)
    energy = meter.energy("confidence")
    assert (energy.outside, energy.inside) == (pytest.approx(outside), pytest.approx(inside))


def test_a_map_without_seams_has_ratio_one() -> None:
    axis = Axis(400, 64, 56)
    target = np.random.default_rng(0).integers(0, 3, (400, 400)).astype(np.uint8)
    ratio = measured(target, axis, axis, step=3).energy("class").ratio
    assert ratio == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("step", [1, 5, 13])
def test_hard_cuts_are_found_whatever_the_step(step: int) -> None:
    axis = Axis(128, 32, 32)
    tiles = np.add.outer(np.arange(128) // 32, np.arange(128) // 32) % 2
    target = tiles.astype(np.uint8)
    meter = measured(target, axis, axis, step=step)
    energy = meter.energy("class")
    assert energy.inside == 1
    assert energy.outside == 0
    assert energy.ratio is None
    profile = meter.profile("class")
    values = dict(zip(profile.offsets, profile.values, strict=True))
    assert values[0] == 1
    assert {value for offset, value in values.items() if offset} <= {0.0, None}


def test_profile_is_symmetric_about_the_middle_of_a_fade() -> None:
    axis = Axis(120, 64, 56)
    (fade,) = axis.fades
    confidence = np.full((120, 120), 200, dtype=np.uint8)
    confidence[:, fade.start : fade.stop] = 100
    confidence[fade.start : fade.stop] = 100
    meter = measured(np.zeros_like(confidence), axis, axis, confidence=confidence)
    profile = meter.profile("confidence")
    steps = [offset for offset, value in zip(profile.offsets, profile.values, strict=True) if value]
    half = (fade.stop - fade.start) // 2
    assert steps == [-half, half]


def test_without_seams_there_is_nothing_inside() -> None:
    axis = Axis(8, 8, 8)
    target = np.arange(64, dtype=np.uint8).reshape(8, 8)
    meter = measured(target, axis, axis)
    assert meter.energy("class") == SeamEnergy(inside=None, outside=1.0)
    assert meter.energy("class").ratio is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_lines_and_single_pixels(shape: tuple[int, int]) -> None:
    rows, columns = (Axis.of(length, window=4, stride=3) for length in shape)
    meter = measured(np.zeros(shape, dtype=np.uint8), rows, columns)
    expected = 0.0 if max(shape) > 1 else None
    assert meter.energy("class").inside == expected
