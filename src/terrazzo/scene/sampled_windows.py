"""A few windows of a scene, from all over it: what the probe runs the network on."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch

from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import DataError
from terrazzo.geo.grid import Window
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.window_group import WindowGroup
from terrazzo.scene.windows import mirrored

__all__ = ["noise_windows", "sampled_windows"]

# Windows that are looked at before a scene counts as empty where it was looked at.
_TRIES = 64

_GOLDEN = 0.6180339887498949


def sampled_windows(
    plan: ScenePlan, scene: OpenScene, normalisation: Normalisation, *, count: int
) -> WindowGroup | None:
    """Return windows that hold measured pixels, always the same ones; None where none was found.

    They are spread over the scene; of a scene that is decoded from its top they are the first. What cannot be read is
    left out.

    Args:
        plan: How the scene is cut.
        scene: Its pixels.
        normalisation: From raw values to what the network sees.
        count: Most windows.
    """
    found: list[tuple[tuple[int, int], torch.Tensor, torch.Tensor]] = []
    for place in itertools.islice(_places(plan, in_order=scene.sequential), _TRIES):
        try:
            values, valid = _window(plan, scene, place)
        except DataError:
            # Whether the scene may have unreadable parts is decided where it is mapped.
            continue
        if bool(valid.any()):
            found.append((place, values, valid))
        if len(found) == count:
            break
    if not found:
        return None
    return WindowGroup(
        torch.stack([values for _, values, _ in found]),
        torch.stack([valid for _, _, valid in found]),
        tuple(place for place, _, _ in found),
        normalisation,
    )


def noise_windows(plan: ScenePlan, *, count: int) -> WindowGroup:
    """Return windows of noise as a normalisation leaves it, everywhere measured, always the same.

    Args:
        plan: How the scene is cut.
        count: Windows.
    """
    shape = (count, len(plan.bands), *plan.window_shape)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return WindowGroup(noise, torch.ones(count, *plan.window_shape, dtype=torch.bool), ((0, 0),) * count)


def _places(plan: ScenePlan, *, in_order: bool) -> Iterator[tuple[int, int]]:
    """Yield the places of windows, each once: in raster order, or so that the first few lie far from each other."""
    rows, columns = len(plan.rows), len(plan.columns)
    numbers = range(rows * columns) if in_order else _spread(rows * columns)
    return (divmod(number, columns) for number in numbers)


def _spread(count: int) -> Iterator[int]:
    """Yield 0..count - 1, each once, by steps of the golden section, which fill a line evenly.

    >>> list(_spread(5))
    [2, 0, 3, 1, 4]
    """
    taken = set[int]()
    for number in range(count):
        place = int(count * ((0.5 + number * _GOLDEN) % 1.0))
        while place in taken:
            place = (place + 1) % count
        taken.add(place)
        yield place


def _window(plan: ScenePlan, scene: OpenScene, place: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a window, and where it was measured."""
    starts = plan.rows.starts[place[0]] - plan.margin, plan.columns.starts[place[1]] - plan.margin
    lengths = plan.grid.height, plan.grid.width
    begins = [max(start, 0) for start in starts]
    ends = [min(start + size, length) for start, size, length in zip(starts, plan.window_shape, lengths, strict=True)]
    raster = scene.read(Window(begins[0], begins[1], ends[0] - begins[0], ends[1] - begins[1]), plan.bands)
    rows, columns = (
        np.arange(length)[mirrored(start, start + size, length)] - begin
        for start, size, length, begin in zip(starts, plan.window_shape, lengths, begins, strict=True)
    )
    valid = raster.valid[rows][:, columns]
    values = raster.values[:, rows][:, :, columns]
    return torch.from_numpy(np.ascontiguousarray(values)), torch.from_numpy(np.ascontiguousarray(valid))
