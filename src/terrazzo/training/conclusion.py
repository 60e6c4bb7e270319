"""What is made of a trained epoch: its figures, which epochs are best, whether to stop, what to show and to say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from terrazzo.data.pictures.picture import write_png
from terrazzo.errors import TrainingError
from terrazzo.progress import Listener, silent
from terrazzo.tracking.confusion_figure import confusion_figure
from terrazzo.tracking.entry import Entry
from terrazzo.tracking.tracking import epoch_entry
from terrazzo.training.checkpoint import Best, RunState
from terrazzo.training.evaluation import Evaluation, evaluate_split
from terrazzo.training.figures import MEAN_FIGURE, split_figures, split_values, steps_figure
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob, TrainSummary
from terrazzo.training.samples import sample_panels
from terrazzo.training.session import Session
from terrazzo.training.settings import TrainSettings

__all__ = ["Row", "conclude", "described", "figures", "is_measured", "sentence", "show", "summary", "validate"]

Row = dict[str, float | int | None]
"""An epoch's figures, as in log.csv; None where one does not exist."""


def validate(
    session: Session, splits: Sequence[str], listener: Listener = silent, *, limit: int | None = None
) -> dict[str, Evaluation]:
    """Measure the network on validation splits.

    Args:
        session: All its processes must call this.
        splits: `val`, or `val_<name>` of a named validation set.
        listener: Told of progress.
        limit: Batches to look at in each; None for all.
    """
    return {
        split: evaluate_split(
            session.network,
            session.job.prepared,
            examination=session.examination(limit, split=split),
            processes=session.processes,
            listener=listener,
        )
        for split in splits
    }


def figures(session: Session, evaluations: Mapping[str, Evaluation], rate: float) -> Row:
    """Return the row of the epoch that was just trained.

    Args:
        session: All its processes must call this.
        evaluations: On the splits that were due.
        rate: Learning rate of the last update.
    """
    own = torch.tensor([session.loss_sum, session.patches], dtype=torch.float64)
    total, patches = session.processes.each(own).sum(dim=0).tolist()
    row: Row = {"epoch": session.state.epoch + 1, "lr": rate, "train_loss": total / patches}
    row |= dict.fromkeys(("val_loss", "val_miou", "val_avg_steps", "val_bf1", "seconds"))
    names, tolerances = session.job.prepared.classes.names, session.job.settings.boundary_tolerances
    for split in session.validation:
        # Splits that were not due have their columns too: a log begins with all of them.
        row |= dict.fromkeys(split_figures(split, names, tolerances))
        if session.job.architecture.halting_rule is not None:
            row |= {steps_figure(split): None}
    for split, found in evaluations.items():
        boundaries = None if found.boundaries is None else found.boundaries.scores(names)
        row |= split_values(split, found.confusion.scores(names), found.loss, boundaries)
        if found.average_steps is not None:
            row |= {steps_figure(split): found.average_steps}
    if tolerances:
        # The column that every log has says the boundary F1 at the first tolerance that was asked for.
        row["val_bf1"] = row.get(f"val_bf1_{tolerances[0]}")
    if len(session.validation) > 1:
        values = [found.confusion.scores(names).miou for found in evaluations.values()]
        row[MEAN_FIGURE] = sum(values) / len(values) if len(values) == len(session.validation) else None
    return {name: None if value is None or not math.isfinite(value) else value for name, value in row.items()}


def is_measured(session: Session, evaluations: Mapping[str, Evaluation]) -> bool:
    """Return whether the monitored figure was due in this epoch, with every split that it needs."""
    settings, names = session.job.settings, session.job.prepared.classes.names
    figure, tolerances = settings.monitor.figure, settings.boundary_tolerances
    if figure == MEAN_FIGURE:
        return len(evaluations) == len(session.validation)
    owner = [split for split in session.validation if figure in split_figures(split, names, tolerances)]
    return all(split in evaluations for split in owner)


def conclude(
    state: RunState, row: Mapping[str, float | int | None], settings: TrainSettings, *, measured: bool = True
) -> RunState:
    """Return the state after an epoch: history, the best epochs, and whether the run is over.

    Args:
        state: Before.
        row: The epoch's figures.
        settings: Monitor, checkpoints to keep, epochs.
        measured: Whether the monitored figure was due; an epoch without it is compared with no other.

    Raises:
        TrainingError: The monitored figure does not exist.
    """
    monitor, epoch = settings.monitor, state.epoch + 1
    value = row.get(monitor.figure)
    over = replace(
        state,
        epoch=epoch,
        batch=0,
        partial=(),
        partial_seconds=0.0,
        seconds=state.seconds + float(row.get("seconds") or 0.0),
        history=(*state.history, dict(row)),
        finished=epoch >= settings.epochs_to_run,
    )
    if not measured:
        return over
    if value is None:
        raise TrainingError(
            f"{monitor.figure} does not exist in epoch {epoch} (no labelled pixel of the validation split counts for "
            "it), so no epoch can be called best; set train.monitor to another figure."
        )
    best = sorted((*state.best, Best(epoch, float(value))), key=lambda one: (-monitor.sign * one.value, one.epoch))
    better = state.reference is None or monitor.sign * (value - state.reference) > monitor.min_delta
    stale = 0 if better else state.stale + 1
    stops = monitor.patience is not None and stale >= monitor.patience
    return replace(
        over,
        best=tuple(best[: settings.keep.best]),
        reference=float(value) if better else state.reference,
        stale=stale,
        finished=over.finished or stops,
        stopped_early=stops and not over.finished,
    )


def show(session: Session, row: Row, evaluations: Mapping[str, Evaluation]) -> None:
    """Tell the trackers of an epoch: its figures, confusion matrices and worst validation samples.

    The samples also go into `samples/`. After the last epoch the trackers learn what the run came to.
    """
    session.loss_sum, session.patches = 0.0, 0
    if not session.processes.first:
        return
    state, tracking = session.state, session.tracking
    tracking.add(epoch_entry(row, update=state.step))
    for split, evaluation in evaluations.items():
        tracking.add(_confusion(session, split, evaluation))
        if not evaluation.worst:
            continue
        pictures = sample_panels(
            session.network,
            session.job.prepared,
            rows=[score.row for score in evaluation.worst],
            examination=session.examination(split=split),
            processes=session.processes,
        )
        name = "worst" if split == "val" else f"worst-{split}"
        tracking.add(Entry("pictures", {}, name, state.epoch, state.step, pictures=pictures))
        for number, picture in enumerate(pictures, start=1):
            write_png(session.folder.samples / f"{name}-{number}.png", picture)
    if state.finished:
        tracking.add(Entry("summary", _outcome(state, session.job.settings), "", state.epoch, state.step))


def _confusion(session: Session, split: str, evaluation: Evaluation) -> Entry:
    """Return the confusion matrix of a split, drawn where a tracker shows pictures."""
    names, counts = list(session.job.prepared.classes.names), evaluation.confusion.counts.tolist()
    title = f"{split}, epoch {session.state.epoch}"
    pictures = [confusion_figure(title, names, counts)] if session.tracking.shows_pictures else []
    values = {"classes": names, "counts": counts}
    return Entry("confusion", values, split, session.state.epoch, session.state.step, pictures=pictures)


def _outcome(state: RunState, settings: TrainSettings) -> dict[str, Any]:
    """Return what a finished training came to."""
    return {
        "epochs": state.epoch,
        "updates": state.updates,
        "best_epoch": state.best[0].epoch,
        f"best_{settings.monitor.figure}": state.best[0].value,
        "stopped_early": state.stopped_early,
        "seconds": state.seconds,
    }


def sentence(row: Row, settings: TrainSettings) -> str:
    """Return one line about an epoch.

    >>> sentence({"epoch": 1, "lr": 0.1, "train_loss": 0.5, "val_miou": None}, TrainSettings(epochs=3))
    'epoch 1 of 3: train_loss 0.5000'
    """
    means = [name for name in row if name.startswith("val_") and name.endswith("_miou")]
    names = dict.fromkeys(("train_loss", "val_loss", *means, settings.monitor.figure))
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
