"""A training under way: what it is made of, how it is taken up again and saved."""

import contextlib
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from terrazzo.data.dataset import prestart_workers
from terrazzo.data.sample import PatchKey
from terrazzo.data.sampler import balanced_weights, training_batches
from terrazzo.data.statistics import class_weights
from terrazzo.errors import ConfigError, ModelError, TrainingError
from terrazzo.models.architecture import Network
from terrazzo.models.external import identity, load_own_state, own_state, require_identity
from terrazzo.tracking import Tracking
from terrazzo.training.average import Average
from terrazzo.training.cached_network import require_own_features
from terrazzo.training.checkpoint import (
    Checkpoint,
    RunState,
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from terrazzo.training.distributed import Processes
from terrazzo.training.evaluation import Examination
from terrazzo.training.fabric import FabricModule, FabricOptimizer
from terrazzo.training.figures import MEAN_FIGURE, split_figures
from terrazzo.training.folder import RunFolder
from terrazzo.training.job import TrainingJob
from terrazzo.training.objective import MEMORY_FORMAT, Objective
from terrazzo.training.settling import settle
from terrazzo.training.track import open_tracking

__all__ = ["Session", "begin", "opening", "save"]

DEBUG_UPDATES, DEBUG_BATCHES = 4, 2
"""Updates of an epoch and batches of a validation in a debug-size run."""


@dataclass
class Session:
    """A training under way.

    Attributes:
        job: What was asked for.
        folder: Where it is kept.
        processes: Who takes part.
        network: Trained in place, on the device.
        objective: The network and its loss, set up by Fabric.
        optimizer: Set up by Fabric.
        class_weights: In the loss; None for equal ones.
        rows: Training patches.
        chances: How likely each of them is drawn; None where each comes once an epoch.
        state: Where the run stands.
        tracking: The trackers, in the first process; in others one that does nothing.
        resumed: Whether it went on from a checkpoint.
        loss_sum: Of this process in the epoch under way: loss times patches.
        patches: Of this process in the epoch under way.
        parameters: Those that are trained.
        average: Running mean of the weights; None without one.
    """

    job: TrainingJob
    folder: RunFolder
    processes: Processes
    network: Network
    objective: FabricModule
    optimizer: FabricOptimizer
    class_weights: torch.Tensor | None
    rows: list[int]
    chances: list[float] | None
    state: RunState
    tracking: Tracking = field(default_factory=Tracking)
    resumed: bool = False
    loss_sum: float = 0.0
    patches: int = 0
    parameters: list[torch.nn.Parameter] = field(default_factory=list)
    average: Average | None = None

    def updates(self, epoch: int) -> list[list[list[PatchKey]]]:
        """Return this process's epoch: for each update its batches, for each batch its patches."""
        settings = self.job.settings
        batches = training_batches(
            self.rows,
            weights=self.chances,
            seed=self.job.seed,
            epoch=epoch,
            batch_size=settings.batch_size,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
        )
        groups = [batches[first : first + settings.accumulate] for first in range(0, len(batches), settings.accumulate)]
        return groups[:DEBUG_UPDATES] if settings.debug else groups

    @property
    def updates_per_epoch(self) -> int:
        """Updates of every epoch."""
        return len(self.updates(0))

    @cached_property
    def validation(self) -> dict[str, int]:
        """Splits to validate on, `val` first, each with the epochs from one measurement to the next."""
        job, chosen = self.job, self.job.settings.validate_on
        splits = {"val": 1} if chosen != "named" else {}
        if chosen != "val":
            splits |= {f"val_{name}": every for name, every in job.validation.items()}
        return {split: every for split, every in splits.items() if job.prepared.index.rows(split)}

    def judged(self) -> contextlib.AbstractContextManager[None]:
        """Let the network have, inside, the weights that are evaluated: the running mean where there is one."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def due(self, epoch: int) -> tuple[str, ...]:
        """Return the splits that are measured after an epoch, counted from 1; all are after the last."""
        last = epoch >= self.job.settings.epochs_to_run
        return tuple(split for split, every in self.validation.items() if last or epoch % every == 0)

    def examination(self, limit: int | None = None, *, split: str = "val") -> Examination:
        """Return what validation measures on a split."""
        job, settings = self.job, self.job.settings
        return Examination(
            split=split,
            normalisation=job.input_normalisation,
            batch_size=settings.evaluation_batch_size or settings.batch_size,
            loss=job.loss,
            class_weights=self.class_weights,
            resize=job.augmentation.resize,
            features=job.features,
            worst=settings.worst_samples,
            limit=DEBUG_BATCHES if settings.debug and limit is None else limit,
            halting_rule=job.architecture.halting_rule,
            boundary_tolerances=settings.boundary_tolerances,
        )


def begin(job: TrainingJob, folder: RunFolder, processes: Processes) -> Session:
    """Build everything from the job, and put the newest checkpoint into it where there is one.

    Raises:
        ConfigError: The monitored figure is not measured.
        TrainingError: The checkpoint is damaged, or belongs to other data or another number of processes.
    """
    prepared, settings = job.prepared, job.settings
    rows = prepared.training_rows()
    if settings.sampling == "balanced":
        chances: list[float] | None = balanced_weights(prepared.index, rows).tolist()
    else:
        chances = None
    if processes.execution.workers:
        # The server of loader processes imports torch meanwhile.
        prestart_workers()
    torch.manual_seed(job.seed)
    network = job.architecture.build(bands=len(prepared.bands), classes=len(prepared.classes))
    network.to(memory_format=MEMORY_FORMAT)
    if settings.gradient_checkpointing:
        network.checkpoint_gradients()
    if job.features is not None:
        require_own_features(network, job.features)
    weights = _class_weights(job)
    optimizer = job.optimizer.build(network)
    objective, optimizer = processes.fabric.setup(
        Objective(network, job.loss, weights, compiled=settings.compile), optimizer
    )
    state = RunState(prepared.fingerprint, processes.world_size, external=identity(network))
    session = Session(job, folder, processes, network, objective, optimizer, weights, rows, chances, state)
    session.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    session.average = None if settings.ema is None else Average(network, settings.ema)
    _check_monitor(session)
    if folder.last.is_file():
        _resume(session, load_checkpoint(folder.last))
    if processes.first:
        session.tracking = open_tracking(job, session.state.events, session.state.history)
        if session.resumed:
            settle(job, folder, session.state)
    return session


def opening(session: Session) -> str:
    """Say what a training is about to do, on what, and where it goes on from."""
    job, execution, state = session.job, session.processes.execution, session.state
    parameters = sum(parameter.numel() for parameter in session.parameters)
    begun = f"goes on from update {state.step}" if session.resumed else "from the beginning"
    special = job.optimizer.explain(session.network)
    return (
        f"{job.architecture.name} with {parameters:,} parameters, {len(session.rows):,} patches in "
        f"{session.updates_per_epoch:,} updates an epoch, {job.settings.epochs_to_run} epochs, {execution.precision} "
        f"on {session.processes.world_size} x {execution.device} with {execution.threads} threads, {begun}, into "
        f"{session.folder.path}{f'; {special}' if special else ''}"
    )


def _class_weights(job: TrainingJob) -> torch.Tensor | None:
    if job.settings.class_weights == "none":
        return None
    counts = job.prepared.pixel_counts["train"]
    return torch.as_tensor(class_weights(counts, job.settings.class_weights), dtype=torch.float32)


def _check_monitor(session: Session) -> None:
    """Refuse, before any work, a figure that will not be measured."""
    classes, tolerances = session.job.prepared.classes.names, session.job.settings.boundary_tolerances
    names = ["train_loss"]
    names += [name for split in session.validation for name in split_figures(split, classes, tolerances)]
    names += [MEAN_FIGURE] if len(session.validation) > 1 else []
    figure = session.job.settings.monitor.figure
    if figure not in names:
        reason = "" if session.validation else " The data has no validation patches."
        raise ConfigError(
            f"train.monitor is {figure!r}, which is not measured.{reason} Choose from {', '.join(names)}."
        )


def _resume(session: Session, checkpoint: Checkpoint) -> None:
    """Put a checkpoint into a freshly built session."""
    state, processes = checkpoint.state, session.processes
    if state.fingerprint != session.job.prepared.fingerprint:
        raise TrainingError(
            f"{session.folder.path} was trained on data with the fingerprint {state.fingerprint[:12]}, but the "
            f"prepared data in {session.job.prepared.folder} has {session.job.prepared.fingerprint[:12]}; give the run "
            "another name, or prepare the data as it was."
        )
    if state.world_size != processes.world_size:
        raise TrainingError(
            f"{session.folder.path} was begun by {state.world_size} processes and is now taken up by "
            f"{processes.world_size}; the same number is needed for the same result."
        )
    try:
        require_identity(session.network, state.external)
        load_own_state(session.network, checkpoint.weights)
        if session.average is not None:
            session.average.load(checkpoint.average)
    except ModelError as error:
        raise TrainingError(f"{session.folder.last} does not fit the network: {error}") from error
    restore_optimizer(session.optimizer.optimizer, checkpoint)
    if processes.scaler is not None and state.scaler:
        processes.scaler.load_state_dict(dict(state.scaler))
    if state.batch:
        total, patches = state.partial[processes.rank]
        session.loss_sum, session.patches = total, int(patches)
    session.state, session.resumed = state, True


def save(session: Session) -> None:
    """Write the newest checkpoint; the first process does, all must call."""
    processes = session.processes
    partial = processes.each(torch.tensor([session.loss_sum, session.patches], dtype=torch.float64))
    if processes.first:
        tensors, numbers = flatten_optimizer(session.optimizer.optimizer)
        session.state = replace(
            session.state,
            partial=tuple((float(total), float(patches)) for total, patches in partial.tolist()),
            events=session.tracking.sizes(),
            scaler=processes.scaler.state_dict() if processes.scaler is not None else {},
            numbers=numbers,
        )
        average = {} if session.average is None else session.average.state()
        save_checkpoint(session.folder.last, Checkpoint(session.state, own_state(session.network), tensors, average))
    processes.wait()
