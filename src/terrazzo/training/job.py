"""What a training needs, and what it gives back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.data.augment.sets import Augmentation
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.prepared import Prepared
from terrazzo.losses import Loss
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import Architecture
from terrazzo.record import Record
from terrazzo.tracking import TensorBoard, Tracker
from terrazzo.training.optim import Optimizer
from terrazzo.training.schedule import Schedule
from terrazzo.training.settings import TrainSettings

__all__ = ["TrainSummary", "TrainingJob"]


@dataclass(frozen=True)
class TrainingJob:
    """All that decides what is trained.

    Attributes:
        name: Of the run.
        folder: The run folder; a run that it holds is taken up again.
        prepared: The data.
        architecture: The network.
        loss: What it minimises.
        optimizer: How it moves.
        schedule: How fast it moves at which step.
        augmentation: What happens to training samples.
        settings: Epochs, batches, checkpoints and so on.
        machine: What to compute on.
        seed: Of initial weights, order, augmentation and dropout.
        config: The resolved configuration as plain data, environment references kept; compared with the run folder's.
        normalisation: What the network is to see, such as that of pretrained weights; None for that of the data.
        licence: Of the weights that come out.
        validation: Epochs from one measurement to the next of each named validation set, by its name; the data has a
            split `val_<name>` for it.
        features: Whole cache of the network's frozen features; None where it computes its own.
        trackers: Where figures and pictures go besides the run folder's own files.
    """

    name: str
    folder: Path
    prepared: Prepared
    architecture: Architecture
    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    augmentation: Augmentation
    settings: TrainSettings
    machine: MachineSettings
    seed: int = 0
    config: Mapping[str, Any] = field(default_factory=dict)
    normalisation: Normalisation | None = None
    licence: str = ""
    validation: Mapping[str, int] = field(default_factory=dict)
    features: FeatureCache | None = None
    trackers: Sequence[Tracker] = (TensorBoard(),)

    @property
    def described(self) -> dict[str, Any]:
        """The configuration to compare a run folder's with: the one given, else the job's own records."""
        if self.config:
            return dict(self.config)
        records: dict[str, Record] = {"model": self.architecture, "loss": self.loss, "optimizer": self.optimizer}
        records |= {"schedule": self.schedule, "augment": self.augmentation}
        records |= {"train": self.settings, "machine": self.machine}
        return {"name": self.name, "seed": self.seed} | {key: item.model_dump() for key, item in records.items()}

    @property
    def input_normalisation(self) -> Normalisation:
        """What the network sees: the job's own, else that of the data."""
        return self.normalisation or self.prepared.normalisation


@dataclass(frozen=True)
class TrainSummary:
    """What a training came to.

    Attributes:
        folder: The run folder.
        epochs: Epochs trained, earlier calls included.
        steps: Updates of the weights, earlier calls included.
        monitor: The monitored figure.
        best_epoch: Counted from 1.
        best_value: The figure's value there.
        bundle: The best epoch as a model file.
        seconds: Spent on all epochs, earlier calls included.
        resumed: This call took up a run that had begun before.
        already_finished: The run was finished before this call, which did nothing.
        stopped_early: The figure had not become better for `monitor.patience` epochs.
        final: Figures of the last epoch, as in log.csv.
    """

    folder: Path
    epochs: int
    steps: int
    monitor: str
    best_epoch: int
    best_value: float
    bundle: Path
    seconds: float
    resumed: bool
    already_finished: bool
    stopped_early: bool
    final: Mapping[str, float | int | None]
