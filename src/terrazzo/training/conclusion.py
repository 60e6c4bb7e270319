"""What is made of a trained epoch: its figures, which epochs are best, whether to stop, what to show and to say."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from terrazzo.data.picture import write_png
from terrazzo.errors import TrainingError
from terrazzo.progress import Listener, silent
from terrazzo.training.checkpoint import Best, RunState
from terrazzo.training.evaluation import Evaluation, evaluate_split
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob, TrainSummary
from terrazzo.training.samples import sample_panels
from terrazzo.training.session import Session
from terrazzo.training.settings import TrainSettings

__all__ = ["Row", "conclude", "described", "figures", "sentence", "show", "summary", "validate"]

Row = dict[str, float | int | None]
"""An epoch's figures, as in log.csv; None where one does not exist."""


def validate(session: Session, listener: Listener = silent, *, limit: int | None = None) -> Evaluation:
    """Measure the network on the validation split.

    Args:
        session: All its processes must call this.
        listener: Told of progress.
        limit: Batches to look at; None for all.
    """
    return evaluate_split(
        session.network,
        session.job.prepared,
        examination=session.examination(limit),
        processes=session.processes,
        listener=listener,
    )


def figures(session: Session, evaluation: Evaluation | None, rate: float) -> Row:
    """Return the row of the epoch that was just trained.

    Args:
        session: All its processes must call this.
        evaluation: On the validation split; None where the data has none.
        rate: Learning rate of the last update.
    """
    own = torch.tensor([session.loss_sum, session.patches], dtype=torch.float64)
    total, patches = session.processes.each(own).sum(dim=0).tolist()
    row: Row = {"epoch": session.state.epoch + 1, "lr": rate, "train_loss": total / patches}
    row |= dict.fromkeys(("val_loss", "val_miou", "val_avg_steps", "val_bf1", "seconds"))
    if evaluation is None:
        return row
    scores = evaluation.confusion.scores(session.job.prepared.classes.names)
    row |= {"val_loss": evaluation.loss, "val_miou": scores.miou, "val_accuracy": scores.accuracy}
    row |= {"val_mean_accuracy": scores.mean_accuracy, "val_frequency_weighted_iou": scores.frequency_weighted_iou}
    row |= {"val_foreground_iou": scores.foreground_iou} if len(scores.classes) == 2 else {}
    row |= {f"val_iou_{one.name}": one.iou for one in scores.classes}
    return {name: None if value is None or not math.isfinite(value) else value for name, value in row.items()}


def conclude(state: RunState, row: Mapping[str, float | int | None], settings: TrainSettings) -> RunState:
    """Return the state after an epoch: history, the best epochs, and whether the run is over.

    Args:
        state: Before.
        row: The epoch's figures.
        settings: Monitor, checkpoints to keep, epochs.

    Raises:
        TrainingError: The monitored figure does not exist.
    """
    monitor, epoch = settings.monitor, state.epoch + 1
    value = row.get(monitor.figure)
    if value is None:
        raise TrainingError(
            f"{monitor.figure} does not exist in epoch {epoch} (no labelled pixel of the validation split counts for "
            "it), so no epoch can be called best; set train.monitor to another figure."
        )
    best = sorted((*state.best, Best(epoch, float(value))), key=lambda one: (-monitor.sign * one.value, one.epoch))
    better = state.reference is None or monitor.sign * (value - state.reference) > monitor.min_delta
    stale = 0 if better else state.stale + 1
    stops = monitor.patience is not None and stale >= monitor.patience
    last = epoch >= settings.epochs_to_run
    return replace(
        state,
        epoch=epoch,
        batch=0,
        partial=(),
        partial_seconds=0.0,
        seconds=state.seconds + float(row.get("seconds") or 0.0),
        history=(*state.history, dict(row)),
        best=tuple(best[: settings.keep.best]),
        reference=float(value) if better else state.reference,
        stale=stale,
        finished=last or stops,
        stopped_early=stops and not last,
    )


def show(session: Session, row: Row, evaluation: Evaluation | None) -> None:
    """Put an epoch's figures and its worst validation samples into TensorBoard, and the samples into `samples/`.

    Wall times stay out, so that the curves of equal runs are equal.
    """
    session.loss_sum, session.patches = 0.0, 0
    if session.events is None:
        return
    shown = {f"epoch/{name}": value for name, value in row.items() if name not in ("epoch", "seconds")}
    session.events.scalars(shown, int(row["epoch"] or 0))
    if evaluation is None or not evaluation.worst:
        return
    pictures = sample_panels(
        session.network,
        session.job.prepared,
        rows=[score.row for score in evaluation.worst],
        examination=session.examination(),
        processes=session.processes,
    )
    session.events.pictures("worst", pictures, int(row["epoch"] or 0))
    for number, picture in enumerate(pictures, start=1):
        write_png(session.folder.samples / f"worst-{number}.png", picture)


def sentence(row: Row, settings: TrainSettings) -> str:
    """Return one line about an epoch.

    >>> sentence({"epoch": 1, "lr": 0.1, "train_loss": 0.5, "val_miou": None}, TrainSettings(epochs=3))
    'epoch 1 of 3: train_loss 0.5000'
    """
    names = dict.fromkeys(("train_loss", "val_loss", "val_miou", settings.monitor.figure))
    parts = [f"{name} {value:.4f}" for name in names if (value := row.get(name)) is not None]
    return f"epoch {row['epoch']} of {settings.epochs_to_run}: {', '.join(parts)}"


def described(session: Session) -> dict[str, Any]:
    """Return the facts of a run that metadata.json holds beside the environment."""
    execution, prepared = session.processes.execution, session.job.prepared
    return {
        "run": session.job.name,
        "seed": session.job.seed,
        "config": dict(session.job.described),
        "data": {
            "folder": str(prepared.folder),
            "fingerprint": prepared.fingerprint,
            "training_patches": len(session.rows),
        },
        "device": execution.device,
        "precision": execution.precision,
        "threads": execution.threads,
        "processes": session.processes.world_size,
        "parameters": sum(parameter.numel() for parameter in session.parameters),
    }


def summary(job: TrainingJob, folder: RunFolder, state: RunState, *, resumed: bool) -> TrainSummary:
    """Return what a finished run came to."""
    return TrainSummary(
        folder=folder.path,
        epochs=state.epoch,
        steps=state.updates,
        monitor=job.settings.monitor.figure,
        best_epoch=state.best[0].epoch,
        best_value=state.best[0].value,
        bundle=folder.bundle,
        seconds=state.seconds,
        resumed=resumed,
        already_finished=False,
        stopped_early=state.stopped_early,
        final=state.history[-1],
    )
