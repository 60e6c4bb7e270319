"""What mapping a scene came to."""

from dataclasses import dataclass
from pathlib import Path

from terrazzo.scene.header import Decisions

__all__ = ["SceneSummary"]


@dataclass(frozen=True)
class SceneSummary:
    """What mapping one scene came to.

    Attributes:
        scene: What was mapped: a file, a folder, an address.
        out: The map.
        layers: Further files by what they hold: confidence, quicklook, polygons and so on.
        height: Rows.
        width: Columns.
        windows: Windows in all.
        skipped_windows: Windows without a valid pixel, which the network never saw.
        strips: Strips in all.
        resumed_strips: Strips that an earlier start had finished.
        class_pixels: Pixels of each class.
        valid_share: Share of pixels that the scene measured, 0..1.
        mean_steps: Mean steps of the windows, for a network that answers in steps; None for others.
        unreadable: y, x, height, width and reason of what could not be read; nodata in the map.
        decisions: Device, precision and batch that the probe chose.
        seconds: Wall time.
        stage_seconds: Wall time of each stage: probe, check, compute, write and so on.
        busy_share: Share of the computing time in which the device worked, 0..1; None where nothing was computed.
        warnings: What the reader of the map should know.
        kept: Whether an earlier start had finished this very map, and nothing was computed.
    """

    scene: str
    out: Path
    layers: dict[str, Path]
    height: int
    width: int
    windows: int
    skipped_windows: int
    strips: int
    resumed_strips: int
    class_pixels: tuple[int, ...]
    valid_share: float
    mean_steps: float | None
    unreadable: tuple[tuple[int, int, int, int, str], ...]
    decisions: Decisions
    seconds: float
    stage_seconds: dict[str, float]
    busy_share: float | None
    warnings: tuple[str, ...]
    kept: bool = False

    @property
    def pixels(self) -> int:
        """Pixels of the scene."""
        return self.height * self.width

    @property
    def pixels_per_second(self) -> float:
        """Pixels mapped in a second of wall time."""
        return self.pixels / max(self.seconds, 1e-9)
