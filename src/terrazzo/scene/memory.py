"""What mapping a scene takes of the machine: memory of the host and of the device, before anything is computed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products

__all__ = ["Memory", "device_memory_bytes", "memory_bytes", "memory_of"]

Device = Literal["cpu", "cuda", "mps"]

_FLOAT = 4
# What waits between the reader, the network and the disk; `work` has these lengths.
_GROUPS_WAITING = 5
# Rows of windows whose products are held: the one that fills and the one that is being written.
_ROWS_OF_PRODUCTS = 2
# Rows that are decoded at once beside those held, as values, validity and a temporary of each.
_DECODED_ROWS = 128
# Rows that a writer of maps gathers before it hands them to GDAL, and their copy.
_WRITER_ROWS = 2 * 512


@dataclass(frozen=True)
class Memory:
    """Bytes of the host's memory that a job takes above the process that has loaded the network.

    Attributes:
        held: Raw pixels of one row of windows over the scene's whole width, and what is being decoded.
        waiting: Groups of windows on their way to the network, and their answers.
        network: Forward passes side by side.
        blending: Scores that wait for a neighbour, and a strip's edges on their way to the disk.
        products: Rows of the map that fill or are being written.
        cache: Decoded blocks that GDAL keeps.
        assembling: What joining the strips and writing the map takes, after computing.
    """

    held: int
    waiting: int
    network: int
    blending: int
    products: int
    cache: int
    assembling: int

    @property
    def computing(self) -> int:
        """All of it while windows are computed."""
        return self.held + self.waiting + self.network + self.blending + self.products + self.cache

    @property
    def peak(self) -> int:
        """The most at any time: joining begins when computing has ended."""
        return max(self.computing, self.assembling)


def memory_bytes(
    plan: ScenePlan,
    products: Products,
    *,
    batch_size: int,
    group_size: int,
    lanes: int,
    network_bytes: int,
    device: Device = "cpu",
) -> int:
    """Return the bytes of the host's memory that one worker takes above its process with the network loaded.

    Args:
        plan: How the scene is cut.
        products: What is decided.
        batch_size: Windows that the network sees at once.
        group_size: Windows that are dealt together.
        lanes: Forward passes side by side.
        network_bytes: Most that a forward pass takes for each window of its batch, answer included.
        device: Where the network and the blending lie; on another than the processor they take none of the host's.
    """
    return memory_of(
        plan,
        products,
        batch_size=batch_size,
        group_size=group_size,
        lanes=lanes,
        network_bytes=network_bytes,
        device=device,
    ).peak


def memory_of(
    plan: ScenePlan,
    products: Products,
    *,
    batch_size: int,
    group_size: int,
    lanes: int,
    network_bytes: int,
    device: Device = "cpu",
) -> Memory:
    """Return the same part by part; arguments as for `memory_bytes`."""
    here = device == "cpu"
    width, channels = plan.grid.width, products.channels
    height = min(plan.window_shape[0], plan.grid.height)
    value = max(np.dtype(band.dtype).itemsize for band in plan.bands)
    raw_row = width * (len(plan.bands) * value + 1)
    group = group_size * _window_bytes(plan)
    answer = group_size * channels * plan.rows.size * plan.columns.size * _FLOAT
    fade_row = channels * width * _FLOAT
    fade, step = _deepest_fade(plan), min(plan.rows.stride, plan.rows.size)
    seams = len(plan.strips) > 1
    return Memory(
        held=(height + 2 * min(_DECODED_ROWS, plan.grid.height)) * raw_row + 3 * plan.rows.size * width,
        waiting=(_GROUPS_WAITING + lanes) * group + (lanes + 1) * answer * here,
        network=lanes * batch_size * network_bytes * here,
        blending=_blender_bytes(plan, products) * here + 2 * fade * fade_row * seams,
        products=_ROWS_OF_PRODUCTS * step * width * products.pixel_bytes,
        cache=_cache_bytes(plan),
        assembling=plan.cache_bytes
        + (step + _WRITER_ROWS) * width * products.pixel_bytes
        + 3 * fade * fade_row * seams,
    )


def device_memory_bytes(
    plan: ScenePlan, products: Products, *, batch_size: int, group_size: int, lanes: int, network_bytes: int
) -> int:
    """Return the bytes of the device's memory that one worker takes beside the weights.

    Args:
        plan: How the scene is cut.
        products: What is decided.
        batch_size: Windows that the network sees at once.
        group_size: Windows that are dealt together.
        lanes: Forward passes side by side.
        network_bytes: Most that a forward pass takes for each window of its batch, answer included.
    """
    window = plan.rows.size * plan.columns.size
    answers = (lanes + 1) * group_size * products.channels * window * _FLOAT
    groups = (lanes + 1) * group_size * _window_bytes(plan)
    return lanes * batch_size * network_bytes + answers + groups + _blender_bytes(plan, products)


def _window_bytes(plan: ScenePlan) -> int:
    """Return the bytes of a window as the network sees it, and of where it was measured."""
    height, width = plan.window_shape
    return height * width * (len(plan.bands) * _FLOAT + 1)


def _deepest_fade(plan: ScenePlan) -> int:
    return max((fade.stop - fade.start for fade in plan.rows.fades), default=0)


def _blender_bytes(plan: ScenePlan, products: Products) -> int:
    """Return what `StripBlender` holds: two rows of fades over the whole width, and its work on a window."""
    window = plan.rows.size * plan.columns.size
    return (2 * _deepest_fade(plan) * plan.grid.width + 2 * window) * products.channels * _FLOAT


def _cache_bytes(plan: ScenePlan) -> int:
    """Return how much of GDAL's cache the scene's decoded blocks can fill."""
    return min(plan.cache_bytes, plan.bytes_read)
