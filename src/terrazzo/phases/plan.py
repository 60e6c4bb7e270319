"""The plan of maps: what `predict` would do and take, without doing it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.machine import MachineSettings
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import plain
from terrazzo.progress import Listener, Progress, silent
from terrazzo.scene.planning import PlannedScene, plan_scenes
from terrazzo.scene.settings import PredictSettings

__all__ = ["PlanSummary", "plan_maps"]


@dataclass(frozen=True)
class PlanSummary:
    """What mapping scenes would take.

    Attributes:
        seconds: What planning took.
        scenes: Each scene.
    """

    seconds: float
    scenes: tuple[PlannedScene, ...]

    @property
    def fits(self) -> bool:
        """Whether every scene can be mapped as asked."""
        return not any(scene.refusals for scene in self.scenes)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain data."""
        scenes = [
            {field: plain(value) for field, value in vars(scene).items() if field != "rows"}
            | {"plan": dict(scene.rows)}
            for scene in self.scenes
        ]
        return {"fits": self.fits, "scenes": scenes, "seconds": self.seconds}


def plan_maps(
    model: Path | ModelFiles,
    inputs: Sequence[Path | str],
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
) -> PlanSummary:
    """Plan what `predict` would do with the same arguments; nothing is written.

    Args:
        model: A bundle, or a run folder, which stands for its best bundle.
        inputs: Rasters, folders of them, or patterns.
        out: Folder for the maps, or the one map's file.
        settings: How to map; the run folder's own if None, else the defaults.
        machine: What to compute on; likewise.
        listener: Receives progress.

    Raises:
        ContractError: A scene's bands do not fit the bundle.
        DataError: A scene cannot be read.
    """
    begun = time.monotonic()
    files = ModelFiles.of(model)
    config = run_config_of(files.bundle)
    chosen = settings or (config.predict if config else PredictSettings())
    with Progress("plan", listener=listener):
        found = plan_scenes(
            files.open(chosen.backbone),
            [str(path) for path in inputs],
            out,
            settings=chosen,
            machine=machine or (config.machine if config else MachineSettings()),
        )
    return PlanSummary(seconds=time.monotonic() - begun, scenes=tuple(found))
