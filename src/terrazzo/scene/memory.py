"""The memory that computing a scene's strips and joining them take, counted from what is held at once."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from terrazzo.scene.plan import ScenePlan
from terrazzo.scene.products import Products
from terrazzo.scene.read_ahead import ReadAhead

__all__ = ["Memory", "device_memory_bytes", "memory_bytes", "memory_of"]

Device = Literal["cpu", "cuda", "mps"]

_FLOAT = 4
# Groups between the reader and the network: three that wait, one that is being made and one that is handed over.
_GROUPS_WAITING = 5
# Rows of windows whose products are held: the one that fills, two that wait, and the one that is being written.
_ROWS_OF_PRODUCTS = 4
# Rows of windows of which is held where the scene was measured: as they are read, as they wait, as they are decided.
_ROWS_OF_VALIDITY = 3
# What a writer of GeoTIFFs gathers: rows of blocks, but no more bytes than these; as much again for all overviews, and
# once more as the file is read back.
_WRITER_ROWS, _WRITER_BYTES, _WRITER_COPIES = 512, 2**26, 3


@dataclass(frozen=True)
class Memory:
    """Bytes of the host's memory that a job takes above the process that has loaded the network.

    Attributes:
        held: Raw pixels of one row of windows over the scene's whole width, and where they were measured.
        decoding: Rows that are decoded ahead.
        waiting: Groups of windows on their way to the network, and their answers.
        network: Forward passes side by side.
        blending: Scores that wait for a neighbour, and a strip's edges on their way to the disk.
        products: Rows of the map that fill or are being written.
        cache: Decoded blocks that GDAL keeps.
        joining: What joining finished strips and writing the map takes, while others are computed.
    """

    held: int
    decoding: int
    waiting: int
    network: int
    blending: int
    products: int
    cache: int
    joining: int

    @property
    def computing(self) -> int:
        """All that computing strips takes."""
        scene = self.held + self.decoding + self.cache
        return scene + self.waiting + self.network + self.blending + self.products

    @property
    def peak(self) -> int:
        """The most at any time, in a process that computes strips and joins them."""
        return self.computing + self.joining


def memory_bytes(
    plan: ScenePlan,
    products: Products,
    *,
    batch_size: int,
    group_size: int,
    lanes: int,
    network_bytes: int,
    device: Device = "cpu",
    readers: int = 1,
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
        readers: Threads that decode the scene.
    """
    return memory_of(
        plan,
        products,
        batch_size=batch_size,
        group_size=group_size,
        lanes=lanes,
        network_bytes=network_bytes,
        device=device,
        readers=readers,
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
    readers: int = 1,
) -> Memory:
    """Return the same part by part; arguments as for `memory_bytes`."""
    width = plan.grid.width
    height = min(plan.window_shape[0], plan.grid.height)
    value = max(np.dtype(band.dtype).itemsize for band in plan.bands)
    ahead = ReadAhead.of(plan.grid, plan.block_shape, pixel_bytes=plan.pixel_bytes, readers=readers)
    pixels = plan.window_shape[0] * plan.window_shape[1]
    groups = (_GROUPS_WAITING + lanes) * group_size * pixels * (len(plan.bands) * value + 1)
    edge = _fade_bytes(plan, products) if len(plan.strips) > 1 else 0
    step = min(plan.rows.stride, plan.rows.size)
    if device == "cpu":
        # Windows are raw until a pass takes them.
        answers = lanes * group_size * _window_bytes(plan) + (lanes + 1) * group_size * _answer_bytes(plan, products)
        network, blending = lanes * batch_size * network_bytes, _blender_bytes(plan, products)
    else:
        answers = network = blending = 0
    return Memory(
        held=width * (height * (len(plan.bands) * value + 1) + _ROWS_OF_VALIDITY * plan.rows.size),
        decoding=ahead.memory_bytes,
        waiting=groups + answers,
        network=network,
        # A strip's shares of the rows above and below it are copied for the disk.
        blending=blending + 2 * edge,
        products=_ROWS_OF_PRODUCTS * step * width * products.pixel_bytes,
        cache=min(plan.cache_bytes, plan.bytes_read),
        joining=step * width * products.pixel_bytes + _writer_bytes(plan, products) + 2 * edge,
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
    waiting = (lanes + 1) * group_size * (_answer_bytes(plan, products) + _window_bytes(plan))
    # A row of windows fills while the one before is copied to the host.
    rows = 2 * min(plan.rows.stride, plan.rows.size) * plan.grid.width * products.pixel_bytes
    return lanes * batch_size * network_bytes + waiting + _blender_bytes(plan, products) + rows


def _window_bytes(plan: ScenePlan) -> int:
    """Return the bytes of a window as the network sees it, and of where it was measured."""
    height, width = plan.window_shape
    return height * width * (len(plan.bands) * _FLOAT + 1)


def _answer_bytes(plan: ScenePlan, products: Products) -> int:
    """Return the bytes of a window's scores."""
    return plan.rows.size * plan.columns.size * products.channels * _FLOAT


def _fade_bytes(plan: ScenePlan, products: Products) -> int:
    """Return the bytes of the scores over which two rows of windows fade into each other."""
    deepest = max((fade.stop - fade.start for fade in plan.rows.fades), default=0)
    return deepest * plan.grid.width * products.channels * _FLOAT


def _blender_bytes(plan: ScenePlan, products: Products) -> int:
    """Return what `StripBlender` holds: two fades over the whole width, and its work on a window."""
    return 2 * _fade_bytes(plan, products) + 2 * _answer_bytes(plan, products)


def _writer_bytes(plan: ScenePlan, products: Products) -> int:
    """Return what the writers of all layers gather; half precision is written as single precision."""
    rows = min(_WRITER_ROWS, plan.grid.height)
    sizes = (
        product.channels * max(product.dtype.itemsize, _FLOAT * (product.dtype.kind == "f")) for product in products
    )
    return _WRITER_COPIES * sum(min(rows * plan.grid.width * size, _WRITER_BYTES) for size in sizes)
