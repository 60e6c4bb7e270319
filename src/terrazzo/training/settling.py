"""What follows from a saved epoch: log.csv, the checkpoints that stay, and the bundle of the best epoch."""

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from terrazzo.bundle import METADATA_KEY, Bundle, FrozenBackbone
from terrazzo.storage import atomic_path
from terrazzo.training.checkpoint import RunState, load_checkpoint
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob
from terrazzo.training.track import package_versions, write_log

__all__ = ["settle"]


def settle(job: TrainingJob, folder: RunFolder, state: RunState) -> None:
    """Make what follows from a saved state: log.csv, kept checkpoints, the bundle. Doing it again changes nothing.

    A run that was killed between saving and settling settles when it is taken up again.
    """
    write_log(folder.log, state.history)
    at_epoch_end = state.batch == 0 and state.epoch > 0
    names = {best.epoch: folder.best(best.epoch) for best in state.best}
    every = job.settings.keep.every
    if at_epoch_end and state.epoch in names:
        _link(folder.last, names[state.epoch])
    if at_epoch_end and every is not None and state.epoch % every == 0:
        _link(folder.last, folder.kept(state.epoch))
    for path in folder.checkpoints.glob("best-*.safetensors"):
        if path not in names.values():
            path.unlink()
    if state.best:
        _write_bundle(job, folder, state)


def _link(source: Path, goal: Path) -> None:
    """Give a file a second name; a copy where the file system knows no links."""
    if goal.exists() and goal.samefile(source):
        return
    with atomic_path(goal) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            with contextlib.suppress(shutil.SameFileError):
                shutil.copyfile(source, temporary)


def _write_bundle(job: TrainingJob, folder: RunFolder, state: RunState) -> None:
    """Write the best epoch as a model file, unless that is what the file holds."""
    best, prepared = state.best[0], job.prepared
    row: dict[str, float | int | None] = next((row for row in state.history if row["epoch"] == best.epoch), {})
    training = {
        "run": job.name,
        "epoch": best.epoch,
        "monitor": job.settings.monitor.figure,
        "value": best.value,
        # Wall time would make files of equal trainings differ.
        "figures": {name: value for name, value in row.items() if name != "seconds"},
        "seed": job.seed,
        "data": prepared.fingerprint,
    }
    if _holds(folder.bundle, training):
        return
    Bundle(
        architecture=job.architecture.without_pretraining(),
        bands=prepared.bands,
        classes=prepared.classes,
        normalisation=job.input_normalisation,
        patch_size=prepared.patch_size,
        resolution_m=prepared.resolution_m,
        weights=load_checkpoint(folder.best(best.epoch)).evaluated,
        training=training,
        versions=package_versions(),
        licence=job.licence,
        resize=job.augmentation.resize,
        backbone=FrozenBackbone(**state.external) if state.external else None,
        distribution=prepared.distribution,
    ).save(folder.bundle)


def _holds(path: Path, training: dict[str, Any]) -> bool:
    """Whether a bundle came from this very epoch; a file that cannot be read is written again."""
    try:
        with safe_open(path, framework="pt") as file:
            contract = json.loads((file.metadata() or {})[METADATA_KEY])
        return bool(contract["training"] == training)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return False
