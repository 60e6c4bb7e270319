"""The verb `evaluate`: how well a bundle does on a split, every labelled pixel counted exactly once."""

import csv
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from terrazzo.bundle import Bundle
from terrazzo.config import RunConfig
from terrazzo.data.pictures.picture import write_png
from terrazzo.data.prepare import open_prepared, prepare_data
from terrazzo.data.prepared import PREPARED_FILE, Prepared
from terrazzo.data.settings import DataSettings, PatchSettings, PrepareSettings, SplitSettings
from terrazzo.data.sources.folder import FolderSource
from terrazzo.data.statistics import class_weights
from terrazzo.errors import ConfigError, ContractError
from terrazzo.logs import configure_logging
from terrazzo.losses import Loss
from terrazzo.machine import MachineSettings
from terrazzo.phases.features import features_of_bundle
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import EvaluateSummary, plain
from terrazzo.progress import Listener, silent
from terrazzo.report import write_report
from terrazzo.storage import write_json, write_text
from terrazzo.training.distributed import Processes, start
from terrazzo.training.evaluation import Evaluation, Examination, evaluate_split
from terrazzo.training.objective import MEMORY_FORMAT
from terrazzo.training.samples import sample_panels
from terrazzo.training.settings import EvaluateSettings

__all__ = ["evaluate", "run_config_of"]


def evaluate(
    model: Path | ModelFiles,
    config: RunConfig | None = None,
    *,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    listener: Listener = silent,
) -> EvaluateSummary:
    """Measure a bundle on one split.

    Args:
        model: A bundle, or a run folder, which stands for its best bundle; with its frozen backbone where it leans on
            one that lies elsewhere.
        config: Names the data; the run folder's own configuration if None.
        data: A folder of images and labels, or of prepared data, to judge on instead; all its images count as `test`
            unless its folders or prepared roles say otherwise.
        split: Role to judge on; `test` where the data has it, else `val`.
        out: Folder for the scores; `evaluate/<split>` beside the bundle if None.
        listener: Receives progress.

    Returns:
        Scores and confusion matrix; also `summary.json`, `confusion.csv` and pictures of the worst samples in `out`.

    Raises:
        ConfigError: Nothing names the data, or the split does not exist.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    begun = time.monotonic()
    files = ModelFiles.of(model)
    config = config or run_config_of(files.bundle)
    bundle = files.open(config.predict.backbone if config else None)
    if config is not None:
        configure_logging(config.logging)
    processes = start(config.machine if config else MachineSettings())
    place = files.folder
    prepared = _data(bundle, config, data, place, processes, listener)
    _require_same_contract(bundle, prepared)
    chosen = _split(prepared, split)
    folder = out or place / "evaluate" / chosen
    settings = config.evaluate if config else EvaluateSettings()
    network = bundle.network().to(processes.device).to(memory_format=MEMORY_FORMAT)
    examination = replace(
        _examination(bundle, prepared, config, settings, chosen),
        features=features_of_bundle(bundle, network, prepared, config),
    )
    found = evaluate_split(network, prepared, examination=examination, processes=processes, listener=listener)
    summary = _summarise(prepared, found, chosen, folder, time.monotonic() - begun)
    if processes.first:
        rows = [score.row for score in found.worst]
        pictures = sample_panels(network, prepared, rows=rows, examination=examination, processes=processes)
        # An earlier evaluation may have drawn more; its pictures must not stand among this one's.
        for stale in (folder / "samples").glob("*.png"):
            stale.unlink()
        for position, picture in enumerate(pictures):
            write_png(folder / "samples" / f"{position:02d}.png", picture)
        _write(folder, summary, prepared.classes.names)
        if (place / "log.csv").is_file():
            write_report(place)
    processes.wait()
    return summary


def _data(
    bundle: Bundle,
    config: RunConfig | None,
    data: Path | None,
    place: Path,
    processes: Processes,
    listener: Listener,
) -> Prepared:
    """Return the data to judge on; prepared by the first process, read by the others."""
    if data is not None and (data / PREPARED_FILE).is_file():
        return open_prepared(data)
    if data is not None:
        settings = DataSettings(
            source=FolderSource(folder=data),
            classes=bundle.classes,
            bands=bundle.bands.names,
            patch=PatchSettings(size=bundle.patch_size),
            split=SplitSettings(fractions={"test": 1.0}),
        )
        prepare = PrepareSettings(folder=place / "evaluate" / f"prepared-{data.resolve().name}")
    elif config is not None:
        settings, prepare = config.data, config.prepare
    else:
        raise ConfigError(f"{place} is no run folder, so nothing says what to judge on; give CONFIG or --data FOLDER.")
    if processes.first:
        prepared = prepare_data(settings, prepare, listener=listener)
    processes.wait()
    return prepared if processes.first else open_prepared(prepare.folder)


def _require_same_contract(bundle: Bundle, prepared: Prepared) -> None:
    """Refuse data whose channels or classes mean something else than the network's."""
    if bundle.bands.names != prepared.bands.names:
        raise ContractError(
            f"{prepared.folder} has the bands {', '.join(prepared.bands.names)}, but the bundle was trained on "
            f"{', '.join(bundle.bands.names)}; name them under `data.bands`."
        )
    for band, expected in zip(prepared.bands, bundle.bands, strict=True):
        if band.dtype != expected.dtype:
            raise ContractError(
                f'{prepared.folder}: band "{band.name}" is {band.dtype}, but the bundle was trained on '
                f"{expected.dtype}; convert the imagery to the scale of training."
            )
    if bundle.classes.names != prepared.classes.names:
        raise ContractError(
            f"{prepared.folder} has the classes {', '.join(prepared.classes.names)}, but the bundle answers "
            f"{', '.join(bundle.classes.names)}."
        )


def _split(prepared: Prepared, asked: str | None) -> str:
    present = prepared.catalog.splits
    if asked is not None:
        if asked not in present:
            raise ConfigError(f'The data has no split "{asked}"; it has {", ".join(present)}.')
        return asked
    for split in ("test", "val"):
        if split in present:
            return split
    raise ConfigError(f"The data has neither a test nor a val split, only {', '.join(present)}; name one with --split.")


def _examination(
    bundle: Bundle, prepared: Prepared, config: RunConfig | None, settings: EvaluateSettings, split: str
) -> Examination:
    loss: Loss | None = None
    weights = None
    if config is not None:
        loss = config.loss
        kind = config.train.class_weights
        if kind != "none" and "train" in prepared.pixel_counts:
            weights = torch.tensor(class_weights(prepared.pixel_counts["train"], kind))
    return Examination(
        split=split,
        normalisation=bundle.normalisation,
        batch_size=settings.batch_size,
        loss=loss,
        class_weights=weights,
        resize=bundle.resize,
        worst=settings.worst_samples,
        halting_rule=bundle.architecture.halting_rule,
    )


def _summarise(prepared: Prepared, found: Evaluation, split: str, folder: Path, seconds: float) -> EvaluateSummary:
    scores = found.confusion.scores(prepared.classes.names)
    by_class = scores.as_dict()
    colours = [item.colour for item in prepared.classes.items]
    by_class["classes"] = [
        {**row, "colour": list(colour)} for row, colour in zip(by_class["classes"], colours, strict=True)
    ]
    return EvaluateSummary(
        folder=folder,
        seconds=seconds,
        split=split,
        images=len(prepared.catalog.entries(split)),
        pixels=int(found.confusion.counts.sum()),
        miou=scores.miou,
        scores=by_class,
        confusion=found.confusion.counts.tolist(),
        loss=found.loss,
        miou_by_step=tuple(step.scores(prepared.classes.names).miou for step in found.steps),
        avg_steps=found.average_steps,
    )


def _write(folder: Path, summary: EvaluateSummary, names: tuple[str, ...]) -> None:
    """Write the scores for programs (JSON) and for tables (CSV)."""
    scores = {key: value for key, value in summary.scores.items() if key != "miou"}
    write_json(folder / "summary.json", plain({**summary.as_dict(), **scores}))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label \\ prediction", *names])
    writer.writerows([name, *row] for name, row in zip(names, np.asarray(summary.confusion).tolist(), strict=True))
    write_text(folder / "confusion.csv", text.getvalue())
