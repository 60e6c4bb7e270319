"""The story of a run, top to bottom: begin or take up, train an epoch, validate, conclude, save, settle, again.

A stop at any point loses at most what lies after the last checkpoint, and the same call goes on from there to the same
bits: order and augmentation follow from (seed, epoch), dropout from (seed, update), the rate from the count of updates.
"""

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NoReturn, cast

from safetensors.torch import save_file
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from terrazzo.data.dataset import PatchDataset, loader
from terrazzo.data.sample import Batch, PatchKey
from terrazzo.errors import TrainingError
from terrazzo.models.weight_files import weights_sha256
from terrazzo.progress import Listener, Progress, silent
from terrazzo.storage import atomic_path, write_json
from terrazzo.tracking import Entry
from terrazzo.training.checkpoint import read_state
from terrazzo.training.conclusion import (
    conclude,
    described,
    figures,
    is_measured,
    sentence,
    show,
    summary,
    validate,
)
from terrazzo.training.distributed import Processes, start
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob, TrainSummary
from terrazzo.training.objective import seed_step
from terrazzo.training.rates import set_rate
from terrazzo.training.session import Session, begin, opening, save
from terrazzo.training.settling import settle
from terrazzo.training.track import deliver, profiled, write_metadata

__all__ = ["fit", "train_epoch", "update"]

SMALLEST_SCALE = 1.0
"""A float16 run whose loss scale falls below this overflows without any scaling: its gradients are not finite."""


def fit(job: TrainingJob, *, processes: Processes | None = None, listener: Listener = silent) -> TrainSummary:
    """Train a model, or go on with the run that the folder holds.

    Args:
        job: All that decides what is trained.
        processes: Those already started, which did something together before; started here if None.
        listener: Told of progress by the first process.

    Raises:
        TrainingError: A loss or gradient is not finite, or the folder holds another run.
        ConfigError: The machine lacks what was asked for, or the monitored figure is not measured.
        LockedError: Another process trains in the folder.
    """
    processes = processes or start(job.machine)
    told = listener if processes.first else silent
    folder, settings = RunFolder(job.folder), job.settings
    with folder.held() if processes.first else contextlib.nullcontext():
        if processes.first:
            folder.claim(job.described, free=_moved(job, folder))
        processes.wait()
        if folder.last.is_file() and read_state(folder.last).finished:
            return _already_finished(job, folder, processes, told)
        session = begin(job, folder, processes)
        if processes.first:
            write_metadata(folder.metadata, described(session))
        if settings.sanity_batches and not session.resumed:
            validate(session, tuple(session.validation), told, limit=settings.sanity_batches)
        total = session.updates_per_epoch * settings.epochs_to_run
        with session.tracking, Progress("train", listener=told, total=total, unit="updates") as progress:
            progress.done = session.state.step
            progress.note(opening(session))
            while not session.state.finished:
                begun = time.monotonic() - session.state.partial_seconds
                rate = train_epoch(session, progress)
                with session.judged():
                    found = validate(session, session.due(session.state.epoch + 1), told)
                    row = figures(session, found, rate) | {"seconds": round(time.monotonic() - begun, 3)}
                    session.state = conclude(session.state, row, settings, measured=is_measured(session, found))
                    show(session, row, found)
                # The epoch is over once this checkpoint stands, however the process ends; the rest follows from it.
                save(session)
                if processes.first:
                    settle(job, folder, session.state)
                processes.wait()
                progress.note(sentence(row, settings))
        return summary(job, folder, session.state, resumed=session.resumed)


def _moved(job: TrainingJob, folder: RunFolder) -> tuple[str, ...]:
    """Return the setting that names frozen weights, where these are the run's, wherever they lie by now."""
    path = job.architecture.external_path()
    if path is None or not folder.last.is_file():
        return ()
    same = read_state(folder.last).external.get("sha256") == weights_sha256(path)
    return ("model.backbone.weights",) if same else ()


def _already_finished(job: TrainingJob, folder: RunFolder, processes: Processes, listener: Listener) -> TrainSummary:
    """Say that there is nothing to do, after making what a kill may have left unmade."""
    state = read_state(folder.last)
    if state.fingerprint != job.prepared.fingerprint:
        raise TrainingError(
            f"{folder.path} is finished, but was trained on other data than the prepared data in "
            f"{job.prepared.folder}; give the run another name."
        )
    if processes.first:
        settle(job, folder, state)
        deliver(job, state.history)
    processes.wait()
    with Progress("train", listener=listener, total=state.step, unit="updates") as progress:
        progress.done = state.step
        progress.note(f"{folder.path} is finished ({state.epoch} epochs); there is nothing to do.")
    return replace(summary(job, folder, state, resumed=True), already_finished=True)


def train_epoch(session: Session, progress: Progress) -> float:
    """Train one epoch, or what is left of it.

    Args:
        session: Its state is moved on and, between updates, saved as `checkpoint_every_steps` asks.
        progress: Advanced by one at each update.

    Returns:
        The learning rate of the last update.
    """
    job, settings = session.job, session.job.settings
    begun = time.monotonic() - session.state.partial_seconds
    updates = session.updates(session.state.epoch)
    total = len(updates) * settings.epochs_to_run
    remaining = updates[session.state.batch // settings.accumulate :]
    session.network.train()
    rate = 0.0
    with contextlib.ExitStack() as profiling:
        arriving = _arriving(session, [keys for group in remaining for keys in group])
        for position, group in enumerate(remaining):
            if session.state.step == 0 and settings.profile and session.processes.first:
                profiling.enter_context(profiled(session.folder.trace))
            rate = set_rate(
                session.optimizer.optimizer, job.schedule.factor(session.state.updates, total, len(updates))
            )
            loss = update(session, group, arriving)
            step = session.state.step
            if step == settings.profile:
                profiling.close()
            progress.advance(loss=loss, lr=rate)
            if step % settings.log_every == 0:
                session.tracking.add(
                    Entry("update", {"loss": loss, "lr": rate}, epoch=session.state.epoch + 1, update=step)
                )
            every = settings.checkpoint_every_steps
            if every is not None and step % every == 0 and position + 1 < len(remaining):
                session.state = replace(session.state, partial_seconds=time.monotonic() - begun)
                save(session)
    return rate


def update(session: Session, group: list[list[PatchKey]], arriving: Iterator[Batch]) -> float:
    """Update the weights once, from the gradients of several batches.

    Args:
        session: Its state is moved on by one step.
        group: Keys of each batch of this update.
        arriving: The batches themselves.

    Returns:
        Mean loss of the patches.

    Raises:
        TrainingError: The loss or the gradients are not finite; the batch is saved and named.
    """
    fabric, state, seed = session.processes.fabric, session.state, session.job.seed
    patches, summed = sum(len(keys) for keys in group), 0.0
    ignore = session.job.prepared.classes.ignore
    for part in range(len(group)):
        batch = next(arriving)
        seed_step(seed, state.step, part=part, rank=session.processes.rank)
        several = session.processes.world_size > 1
        waits = fabric.no_backward_sync(session.objective, enabled=part + 1 < len(group)) if several else None
        with waits or contextlib.nullcontext():
            loss = session.objective(batch.image, batch.target, batch.ignored(ignore), batch.features)
            value = float(loss.detach())
            if not math.isfinite(value):
                _stop(session, batch, f"the loss is {value}")
            # Each patch of the update weighs the same, in a smaller last batch too.
            fabric.backward(loss * (len(batch) / patches) if len(group) > 1 else loss)
        summed += value * len(batch)
    made = _apply(session, batch)
    if made and session.average is not None:
        session.average.update(state.updates)
    session.optimizer.zero_grad(set_to_none=True)
    session.loss_sum, session.patches = session.loss_sum + summed, session.patches + patches
    session.state = replace(
        state, batch=state.batch + len(group), step=state.step + 1, updates=state.updates + int(made)
    )
    return summed / patches


def _apply(session: Session, batch: Batch) -> bool:
    """Clip the gradients and step the optimiser; return whether a loss scaler let the step pass."""
    processes, clip_norm = session.processes, session.job.settings.clip_norm
    scaler = processes.scaler
    processes.fabric.strategy.precision.unscale_gradients(session.optimizer.optimizer)
    norm = get_total_norm([parameter.grad for parameter in session.parameters if parameter.grad is not None])
    finite = math.isfinite(float(norm))
    if scaler is None and not finite:
        _stop(session, batch, f"the norm of the gradients is {float(norm)}")
    if clip_norm is not None and finite:
        clip_grads_with_norm_(session.parameters, clip_norm, norm)
    before = scaler.get_scale() if scaler is not None else 0.0
    session.optimizer.step()
    if scaler is None:
        return True
    if scaler.get_scale() < SMALLEST_SCALE:
        _stop(session, batch, f"gradients overflow float16 at the loss scale {scaler.get_scale()}")
    return bool(scaler.get_scale() >= before)


def _arriving(session: Session, batches: list[list[PatchKey]]) -> Iterator[Batch]:
    """Return the batches of these keys, augmented, on the device."""
    job, execution = session.job, session.processes.execution
    dataset = PatchDataset(
        job.prepared,
        normalisation=job.input_normalisation,
        augmentation=job.augmentation,
        pad_to=job.prepared.patch_size,
        features=job.features,
    )
    workers = min(execution.workers, len(batches))
    plain = loader(dataset, batches, workers=workers, pin=execution.device == "cuda")
    # Fabric's own sampler would pad the epoch; ours has dealt the batches already.
    moved = session.processes.fabric.setup_dataloaders(plain, use_distributed_sampler=False)
    return iter(cast("Iterable[Batch]", moved))


def _stop(session: Session, batch: Batch, reason: str) -> NoReturn:
    """Save the batch that training cannot go on with, name it and stop."""
    index, step = session.job.prepared.index, session.state.step
    path = session.folder.failure(step, session.processes.rank)
    images = [index.image_id(row) for row in batch.rows]
    facts = {
        "reason": reason,
        "epoch": session.state.epoch + 1,
        "step": step,
        "rows": list(batch.rows),
        "images": images,
        "windows": [dict(index.window(row)._asdict()) for row in batch.rows],
    }
    tensors = {"image": batch.image, "target": batch.target, "valid": batch.valid}
    with atomic_path(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary)
    write_json(path.with_suffix(".json"), facts)
    raise TrainingError(
        f"Training stopped at update {step} of epoch {session.state.epoch + 1}: {reason}. The batch is in {path}, from "
        f"{', '.join(sorted(set(images)))} (windows in {path.with_suffix('.json').name}). "
        "Try a lower optimizer.lr, a warm-up, train.clip_norm or machine.precision=float32, and look at those images."
    )
