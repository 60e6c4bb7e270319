"""The verb `train`: prepare what has changed, train or go on, and leave a run folder with its best bundle."""

import time

from terrazzo.config import RunConfig
from terrazzo.data.features.cache import FeatureCache
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import Prepared
from terrazzo.data.splitting.validation_sets import validation_sets
from terrazzo.log_progress import logged
from terrazzo.logs import configure_logging
from terrazzo.phases.features import cached_features
from terrazzo.phases.normalisation import expected_normalisation
from terrazzo.phases.prepare import describe
from terrazzo.phases.summary import TrainingSummary
from terrazzo.progress import Listener, silent
from terrazzo.report import write_report
from terrazzo.storage import write_json
from terrazzo.tracking import require_trackers
from terrazzo.training.distributed import Processes, start
from terrazzo.training.job import TrainingJob, TrainSummary
from terrazzo.training.loop import fit

__all__ = ["DATA_FILE", "train"]

DATA_FILE = "data.json"
"""What the report says about the data, in the run folder."""


def train(config: RunConfig, *, listener: Listener = silent) -> TrainingSummary:
    """Train the model of a configuration, or go on where the run folder stopped.

    The data is prepared first where it is new or has changed. The same call after a stop at any point goes on to the
    same bits; a finished run is left as it is.

    Args:
        config: The configuration; `config.folder` is the run folder.
        listener: Receives progress, from the first process.

    Returns:
        Epochs, best value, bundle and report; also `summary.json` in the run folder.

    Raises:
        DataError: The data is not fit to train on.
        TrainingError: A loss is not finite, or the folder holds another run.
    """
    require_trackers(config.track)
    configure_logging(config.logging, config.folder)
    listener = logged(listener)
    begun = time.monotonic()
    processes = start(config.machine)
    prepared = _prepared_once(config, processes, listener if processes.first else silent)
    features = cached_features(config, prepared, processes=processes, listener=listener)
    result = fit(_job(config, prepared, features), processes=processes, listener=listener)
    return _summarise(config, prepared, processes, result, time.monotonic() - begun)


def _prepared_once(config: RunConfig, processes: Processes, listener: Listener) -> Prepared:
    """Prepare on the first process; the others wait and read."""
    if processes.first:
        prepared = prepare_data(config.data, config.prepare, listener=listener)
    processes.wait()
    return prepared if processes.first else open_prepared(config.prepare.folder)


def _job(config: RunConfig, prepared: Prepared, features: FeatureCache | None) -> TrainingJob:
    pretraining = config.model.pretraining(bands=len(prepared.bands))
    return TrainingJob(
        name=config.name,
        folder=config.folder,
        prepared=prepared,
        architecture=config.model,
        loss=config.loss,
        optimizer=config.optimizer,
        schedule=config.schedule,
        augmentation=config.augment,
        settings=config.train,
        machine=config.machine,
        seed=config.seed,
        config=config.as_dict(),
        normalisation=expected_normalisation(config.model, prepared),
        licence=pretraining.licence if pretraining is not None else "",
        validation={name: one.every for name, one in validation_sets(config.data).items()},
        features=features,
        trackers=config.track,
    )


def _summarise(
    config: RunConfig, prepared: Prepared, processes: Processes, result: TrainSummary, seconds: float
) -> TrainingSummary:
    summary = TrainingSummary(
        folder=config.folder,
        seconds=seconds,
        epochs=result.epochs,
        steps=result.steps,
        monitor=result.monitor,
        best_epoch=result.best_epoch,
        best_value=result.best_value,
        bundle=result.bundle,
        report=config.folder / "report.html",
    )
    if processes.first:
        write_json(config.folder / DATA_FILE, describe(prepared))
        summary.save()
        write_report(config.folder)
    return summary
