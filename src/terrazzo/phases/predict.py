"""The verb `predict`: lay a bundle over scenes of any size."""

import time
from collections.abc import Sequence
from pathlib import Path

from terrazzo.config import RunConfig
from terrazzo.logs import configure_logging
from terrazzo.machine import MachineSettings
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import PredictSummary
from terrazzo.progress import Listener, silent
from terrazzo.report.scene_page import write_scene_page
from terrazzo.scene import Mapped, map_scenes
from terrazzo.scene.settings import PredictSettings
from terrazzo.storage import write_json

__all__ = ["predict"]


def predict(
    model: Path | ModelFiles,
    inputs: Sequence[Path | str],
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
) -> PredictSummary:
    """Map scenes.

    Args:
        model: A bundle, or a run folder, which stands for its best bundle; with its frozen backbone where it leans on
            one that lies elsewhere.
        inputs: Rasters, folders of them, or patterns.
        out: Folder for the maps, or the one map's file (.tif or .png).
        settings: How to map; the run folder's own if None, else the defaults.
        machine: What to compute on; likewise.
        listener: Receives progress.

    Returns:
        Each scene's map, pixels, class shares and time; also `summary.json` in the folder, or `NAME.summary.json`
        beside the one map's file.

    Raises:
        ContractError: A scene's bands do not fit the bundle.
        DataError: A scene cannot be read; nothing is written for it.
    """
    begun = time.monotonic()
    files = ModelFiles.of(model)
    config: RunConfig | None = run_config_of(files.bundle)
    if config is not None:
        configure_logging(config.logging)
    chosen = settings or (config.predict if config else PredictSettings())
    found = map_scenes(
        files.open(chosen.backbone),
        [str(path) for path in inputs],
        out,
        settings=chosen,
        machine=machine or (config.machine if config else MachineSettings()),
        listener=listener,
    )
    if chosen.report:
        for mapped in found:
            _write_page(mapped)
    folder = out.parent if out.suffix else out
    summary = PredictSummary(
        folder=folder, seconds=time.monotonic() - begun, maps=tuple(mapped.summary for mapped in found)
    )
    if out.suffix:
        write_json(out.with_suffix(".summary.json"), summary.as_dict())
    else:
        summary.save()
    return summary


def _write_page(mapped: Mapped) -> None:
    """Write the page of a map's quality beside it."""
    out = mapped.summary.out
    write_scene_page(
        out.with_name(f"{out.stem}_report.html"),
        mapped.summary,
        mapped.quality,
        quick_look=mapped.summary.layers.get("quicklook"),
        provenance=mapped.notes,
    )
