"""What a scene will take, before anything is computed: windows, strips, bytes, memory."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError
from terrazzo.geo.bands import Bands
from terrazzo.geo.grid import Grid
from terrazzo.scene.contract import fit_bands
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.strips import Strip, strips_of
from terrazzo.scene.windows import Axis, step_between

__all__ = ["ScenePlan", "plan_scene", "plan_windows"]


@dataclass(frozen=True)
class ScenePlan:
    """How one scene is cut, and what that takes.

    Attributes:
        scene: The scene's file.
        grid: Where its pixels lie.
        bands: Which of its bands the network sees, in order.
        rows: Windows along y.
        columns: Windows along x.
        strips: Runs of rows of windows.
        margin: Context around each window.
        classes: Classes of the map.
        block_shape: Height and width of the blocks that the scene is stored in.
    """

    scene: Path
    grid: Grid
    bands: Bands
    rows: Axis
    columns: Axis
    strips: tuple[Strip, ...]
    margin: int
    classes: int
    block_shape: tuple[int, int]

    @property
    def windows(self) -> int:
        """Windows in all."""
        return len(self.rows) * len(self.columns)

    @property
    def window_shape(self) -> tuple[int, int]:
        """Height and width that the network sees, margin included."""
        return self.rows.size + 2 * self.margin, self.columns.size + 2 * self.margin

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel over all its bands, as the file holds it."""
        return sum(np.dtype(band.dtype).itemsize for band in self.bands)

    @property
    def bytes_read(self) -> int:
        """Bytes of the scene's pixels, uncompressed; each is read once."""
        return self.grid.height * self.grid.width * self.pixel_bytes

    @property
    def cache_bytes(self) -> int:
        """Room for decoded blocks: two rows of the scene's blocks and of the map's, so that none is decoded twice."""
        rows = min(self.block_shape[0], self.grid.height)
        needed = 2 * self.grid.width * (rows * self.pixel_bytes + 512 * 4)
        return int(np.clip(needed, 32 * 2**20, 512 * 2**20))

    def describe(self) -> str:
        """Return one line for a reader."""
        height, width = self.window_shape
        return (
            f"{self.grid.height} x {self.grid.width} pixels in {self.windows} windows of {height} x {width}, "
            f"{len(self.strips)} strips, {self.bytes_read / 2**20:.0f} MiB to read"
        )


def plan_scene(bundle: Bundle, scene: OpenScene, settings: PredictSettings) -> ScenePlan:
    """Check that a scene fits and decide how it is cut.

    Raises:
        ContractError: The scene does not fit the bundle.
        ConfigError: The settings contradict each other or the bundle.
    """
    return plan_windows(
        bundle,
        settings,
        scene=Path(scene.path),
        grid=scene.grid,
        bands=fit_bands(bundle, scene, positions=settings.bands),
        block_shape=scene.block_shape,
    )


def plan_windows(
    bundle: Bundle,
    settings: PredictSettings,
    *,
    scene: Path,
    grid: Grid,
    bands: Bands,
    block_shape: tuple[int, int],
) -> ScenePlan:
    """Decide how pixels that fit are cut.

    Args:
        bundle: What maps them.
        settings: How.
        scene: Where they come from, for messages.
        grid: Where they lie.
        bands: The network's bands, as they are stored.
        block_shape: Height and width of the blocks that they are stored in.

    Raises:
        ConfigError: The settings contradict each other or the bundle.
    """
    window = settings.window or bundle.patch_size
    if bundle.resize is not None and (window != bundle.patch_size or settings.margin):
        raise ConfigError(
            f"The model resizes patches of {bundle.patch_size} pixels to {bundle.resize.height} x "
            f"{bundle.resize.width}; leave predict.window and predict.margin alone, or it would meet another scale."
        )
    stride = step_between(window, overlap=settings.overlap, stride=settings.stride)
    rows = Axis.of(grid.height, window=window, stride=stride)
    return ScenePlan(
        scene=scene,
        grid=grid,
        bands=bands,
        rows=rows,
        columns=Axis.of(grid.width, window=window, stride=stride),
        strips=strips_of(rows, pixels=settings.strip_pixels),
        margin=settings.margin,
        classes=len(bundle.classes),
        block_shape=block_shape,
    )
