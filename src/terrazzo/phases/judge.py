"""A bundle set before images: whole ones through the engine of maps, or the patches of training."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from terrazzo.assessment.boundary_intervals import boundary_intervals
from terrazzo.assessment.confusion_file import ImageConfusions
from terrazzo.assessment.findings import (
    confusions,
    image_rows,
    joined_boundary,
    mean_confidence,
    mean_steps,
    region_rows,
    trust_report,
)
from terrazzo.assessment.judged_rows import Answering
from terrazzo.assessment.judged_split import Drawn, JudgedSplit, judge_split
from terrazzo.assessment.judging import Measures
from terrazzo.bundle import Bundle
from terrazzo.calibration.exact_sum import FRACTION_BITS
from terrazzo.calibration.record import Origin
from terrazzo.calibration.reliability import Reliability
from terrazzo.config import RunConfig
from terrazzo.data.catalog import ImageEntry
from terrazzo.data.pictures.mask_files import file_names
from terrazzo.data.pictures.picture import write_png
from terrazzo.data.prepared import Prepared
from terrazzo.data.statistics import class_weights
from terrazzo.errors import ConfigError
from terrazzo.logs import configure_logging
from terrazzo.losses import Loss
from terrazzo.machine import MachineSettings
from terrazzo.metrics import Confusion
from terrazzo.metrics.intervals import confusion_intervals
from terrazzo.models.architecture import Network
from terrazzo.phases.calibration_origin import entry_hash, joined_hash
from terrazzo.phases.evaluated_data import image_called, splits_of
from terrazzo.phases.evaluation_files import clear_samples, write_evaluation
from terrazzo.phases.features import features_of_bundle
from terrazzo.phases.model_data import data_for
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import EvaluateSummary
from terrazzo.progress import Listener
from terrazzo.report import write_report
from terrazzo.scene.promise import promise_warnings
from terrazzo.scene.settings import PredictSettings
from terrazzo.training.distributed import Processes, start
from terrazzo.training.evaluation import Examination, evaluate_split
from terrazzo.training.objective import MEMORY_FORMAT
from terrazzo.training.samples import sample_panels
from terrazzo.training.settings import EvaluateSettings

__all__ = ["SHOWN_FOLDER", "Judge"]

SHOWN_FOLDER = "shown"
"""Folder of images that were asked for by name."""


@dataclass(frozen=True)
class Judge:
    """A bundle and the data that it is judged on."""

    bundle: Bundle
    config: RunConfig | None
    settings: EvaluateSettings
    prepared: Prepared
    processes: Processes
    place: Path
    listener: Listener

    @classmethod
    def begin(
        cls,
        model: Path | ModelFiles,
        config: RunConfig | None,
        *,
        data: Path | None,
        settings: EvaluateSettings | None,
        listener: Listener,
    ) -> "Judge":
        """Open the bundle, start the processes and find the data; arguments and errors are those of `evaluate`."""
        files = ModelFiles.of(model)
        config = config or run_config_of(files.bundle)
        bundle = files.open(config.predict.backbone if config else None)
        if config is not None:
            configure_logging(config.logging)
        processes = start(config.machine if config else MachineSettings())
        prepared = data_for(
            bundle,
            config,
            data,
            role="test",
            place=files.folder / "evaluate",
            listener=listener,
            processes=processes,
        )
        chosen = settings or (config.evaluate if config else EvaluateSettings())
        return cls(bundle, config, chosen, prepared, processes, files.folder, listener)

    @property
    def predicting(self) -> PredictSettings:
        """How images are cut and blended: as maps are."""
        return self.config.predict if self.config else PredictSettings()

    @property
    def machine(self) -> MachineSettings:
        """What is computed on."""
        return self.config.machine if self.config else MachineSettings()

    def judge(self, split: str, folder: Path) -> EvaluateSummary:
        """Judge a split, write what was found, and return it."""
        every = self.prepared.catalog.entries(split)
        entries = self._labelled(split) if self.settings.scores else every[: self.settings.limit]
        summary = (
            self.judge_images(split, entries, folder)
            if self.settings.on == "images"
            else self.judge_patches(split, entries, folder)
        )
        if self.processes.first and self.settings.scores and (self.place / "log.csv").is_file():
            write_report(self.place)
        self.processes.wait()
        return summary

    def show(self, word: str, split: str | None, out: Path | None) -> EvaluateSummary:
        """Draw a single image."""
        splits = None if split is None else splits_of(self.prepared, split)
        entry = image_called(self.prepared.catalog, word, splits)
        folder = out or self.place / "evaluate" / SHOWN_FOLDER
        drawing = self.settings.model_copy(update={"on": "images", "scores": False, "plots": True})
        return replace(self, settings=drawing).judge_images(entry.split or "", [entry], folder)

    def judge_images(self, split: str, entries: Sequence[ImageEntry], folder: Path) -> EvaluateSummary:
        """Judge whole images of a split.

        Args:
            split: Their role.
            entries: At least one image.
            folder: Where to write.
        """
        begun = time.monotonic()
        settings = self.settings
        measures = Measures(
            tolerances=settings.tolerances if settings.boundaries and settings.scores else None,
            reliability=settings.reliability and settings.scores,
        )
        answering = self._answering(calibrated=self.predicting.calibrated)
        judged = judge_split(
            answering,
            entries,
            measures,
            self._drawn(entries, folder),
            processes=self.processes,
            before=self._answering(calibrated=False) if settings.scores and self._takes_another_pass() else None,
            title=f"evaluate {split}",
            listener=self.listener,
        )
        summary = self._summary(split, judged, folder, in_steps=answering.in_steps)
        by_step = self._by_step(split, entries)
        summary = replace(summary, miou_by_step=by_step, seconds=time.monotonic() - begun)
        if self.processes.first and settings.scores:
            names = self.prepared.classes.names
            write_evaluation(
                folder,
                summary,
                names,
                images=image_rows(judged, names, in_steps=answering.in_steps),
                counts=confusions(judged.records),
                trust=self._trust(split, judged) if measures.reliability else None,
            )
        return summary

    def counts(self, split: str) -> ImageConfusions:
        """Return the counts of each labelled image of a split; nothing is written.

        Raises:
            ConfigError: No image of the split has a label.
        """
        entries = self._labelled(split)
        judged = judge_split(
            self._answering(calibrated=self.predicting.calibrated),
            entries,
            Measures(),
            Drawn(names=tuple(file_names(entries))),
            processes=self.processes,
            title=f"evaluate {split}",
            listener=self.listener,
        )
        names = tuple(entry.image_id for entry in entries)
        return ImageConfusions(names, tuple(self.prepared.classes.names), confusions(judged.records), split)

    def _labelled(self, split: str) -> list[ImageEntry]:
        entries = [entry for entry in self.prepared.catalog.entries(split) if entry.label is not None]
        if not entries:
            raise ConfigError(f'No image of the split "{split}" of {self.prepared.folder} has a label.')
        return entries[: self.settings.limit]

    def _answering(self, *, calibrated: bool) -> Answering:
        return Answering(
            self.bundle,
            self.predicting.model_copy(update={"calibrated": calibrated}),
            self.machine,
            bands=self.prepared.bands,
            classes=self.prepared.classes,
            threshold=self.settings.threshold,
        )

    def _takes_another_pass(self) -> bool:
        """Return whether the calibration changes what windows answer, and not only what is made of blended scores."""
        calibration = self.bundle.calibration
        if calibration is None or not self.predicting.calibrated:
            return False
        stops = calibration.halting is not None and self.predicting.tau is None
        return calibration.window_temperature is not None or stops

    def _drawn(self, entries: Sequence[ImageEntry], folder: Path) -> Drawn:
        settings = self.settings
        return Drawn(
            names=tuple(file_names(entries)),
            plots=folder / "plots" if settings.plots else None,
            masks=folder / "masks" if settings.masks else None,
            probabilities=folder / "probabilities" if settings.probabilities else None,
            samples=folder / "samples" if settings.scores else None,
            worst=settings.worst_samples,
            plot_pixels=settings.plot_pixels,
            threshold=self._grey_below(),
        )

    def _grey_below(self) -> float:
        """Return the threshold below which outputs are drawn in grey."""
        if self.settings.threshold is not None:
            return self.settings.threshold
        calibration = self.bundle.calibration if self.predicting.calibrated else None
        if calibration is not None and calibration.decision is not None:
            return calibration.decision.threshold
        if calibration is not None and calibration.abstention is not None and len(self.bundle.classes) > 2:
            return calibration.abstention.least_confidence
        return 0.5

    def _summary(self, split: str, judged: JudgedSplit, folder: Path, *, in_steps: bool) -> EvaluateSummary:
        names = self.prepared.classes.names
        counts = confusions(judged.records)
        settings = self.settings
        drawn = self._drawn(judged.entries, folder)
        suffixed = [f"{name}.png" for name in drawn.names]
        return EvaluateSummary(
            folder=folder,
            seconds=judged.seconds,
            split=split,
            on="images",
            images=len(judged.entries),
            loss=None,
            **self._scores(Confusion(torch.from_numpy(counts.sum(axis=0)))),
            # One image says nothing of others.
            intervals=confusion_intervals(counts, names).as_dict() if settings.scores and len(counts) > 1 else {},
            boundary=_boundary(judged, names),
            reliability=_reliability(judged),
            confidence=mean_confidence(judged.records),
            regions=tuple(region_rows(judged, names, in_steps=in_steps)) if settings.scores else (),
            avg_steps=mean_steps(judged.records) if in_steps else None,
            calibrated=self.bundle.calibration is not None and self.predicting.calibrated,
            without_calibration=self._without_calibration(judged, in_steps=in_steps),
            warnings=self._warnings(split, judged),
            plots=tuple(folder / "plots" / name for name in suffixed) if settings.plots else (),
            masks=drawn.masks,
            probabilities=drawn.probabilities,
        )

    def _scores(self, confusion: Confusion) -> dict[str, Any]:
        """Return what follows from the counts of a split."""
        scores = confusion.scores(self.prepared.classes.names)
        by_class = scores.as_dict()
        colours = [item.colour for item in self.prepared.classes.items]
        by_class["classes"] = [
            {**row, "colour": list(colour)} for row, colour in zip(by_class["classes"], colours, strict=True)
        ]
        return {
            "pixels": int(confusion.counts.sum()),
            "miou": scores.miou,
            "scores": by_class,
            "confusion": confusion.counts.tolist(),
        }

    def _by_step(self, split: str, entries: Sequence[ImageEntry]) -> tuple[float, ...]:
        """Return the mIoU of each step's answer, on patches: windows of a map stop where they are done."""
        settings = self.settings
        if self.bundle.architecture.halting_rule is None or not (settings.by_step and settings.scores):
            return ()
        quick = self.examination(split, entries, worst=0, with_loss=False)
        found = evaluate_split(
            self.network(), self.prepared, examination=quick, processes=self.processes, listener=self.listener
        )
        return tuple(step.scores(self.prepared.classes.names).miou for step in found.steps)

    def judge_patches(self, split: str, entries: Sequence[ImageEntry], folder: Path) -> EvaluateSummary:
        """Judge the patches of a split one by one.

        Args:
            split: Role of the images.
            entries: At least one image.
            folder: Where to write.
        """
        begun = time.monotonic()
        network = self.network()
        examination = replace(
            self.examination(split, entries, worst=self.settings.worst_samples, with_loss=True),
            features=features_of_bundle(self.bundle, network, self.prepared, self.config),
        )
        found = evaluate_split(
            network, self.prepared, examination=examination, processes=self.processes, listener=self.listener
        )
        names = self.prepared.classes.names
        summary = EvaluateSummary(
            folder=folder,
            seconds=time.monotonic() - begun,
            split=split,
            on="patches",
            images=len(entries),
            **self._scores(found.confusion),
            loss=found.loss,
            miou_by_step=tuple(step.scores(names).miou for step in found.steps),
            avg_steps=found.average_steps,
        )
        if self.processes.first:
            rows = [score.row for score in found.worst]
            pictures = sample_panels(
                network, self.prepared, rows=rows, examination=examination, processes=self.processes
            )
            clear_samples(folder)
            for position, picture in enumerate(pictures):
                write_png(folder / "samples" / f"{position:02d}.png", picture)
            write_evaluation(folder, summary, names)
        return summary

    def network(self) -> Network:
        """Return the bundle's network on this process's device."""
        return self.bundle.network().to(self.processes.device).to(memory_format=MEMORY_FORMAT)

    def examination(self, split: str, entries: Sequence[ImageEntry], *, worst: int, with_loss: bool) -> Examination:
        """Return how patches are judged.

        Args:
            split: Role of the images.
            entries: The images.
            worst: How many of the worst patches to name.
            with_loss: Whether the configuration's loss is measured.
        """
        loss: Loss | None = None
        weights = None
        if self.config is not None and with_loss:
            loss = self.config.loss
            kind = self.config.train.class_weights
            if kind != "none" and "train" in self.prepared.pixel_counts:
                weights = torch.tensor(class_weights(self.prepared.pixel_counts["train"], kind))
        return Examination(
            split=split,
            normalisation=self.bundle.normalisation,
            batch_size=self.settings.batch_size,
            loss=loss,
            class_weights=weights,
            resize=self.bundle.resize,
            worst=worst,
            images=None if self.settings.limit is None else frozenset(entry.image_id for entry in entries),
            halting_rule=self.bundle.architecture.halting_rule,
        )

    def _without_calibration(self, judged: JudgedSplit, *, in_steps: bool) -> dict[str, float | None]:
        """Return the main figures without the bundle's calibration; nothing where it has none."""
        records = judged.records
        counts = [record.confusion_before for record in records if record.confusion_before is not None]
        if len(counts) < len(records):
            return {}
        scores = Confusion(torch.stack(counts).sum(0)).scores(self.prepared.classes.names)
        found: dict[str, float | None] = {"miou": scores.miou, "accuracy": scores.accuracy}
        if in_steps and self._takes_another_pass():
            steps = sum(record.step_units_before for record in records) / 2**FRACTION_BITS
            found["avg_steps"] = steps / scores.pixels if scores.pixels else None
        if judged.before:
            found |= _main(judged.before[""].everywhere)
        return found

    def _trust(self, split: str, judged: JudgedSplit) -> dict[str, Any]:
        fitted_here = self._fitted_on(split, judged.entries) is not None
        return trust_report(judged, self.prepared.classes, fitted_on_these=fitted_here)

    def _warnings(self, split: str, judged: JudgedSplit) -> tuple[str, ...]:
        """Return what a reader of the figures should know."""
        if not self.settings.scores:
            return ()
        warnings = list(promise_warnings(self.bundle, self.predicting))
        fitted = self._fitted_on(split, judged.entries)
        if fitted is not None:
            warnings.append(
                f"the bundle's temperature was fitted on images of the split {fitted.split}, which are judged here, so "
                "that its confidence looks better than it is; judge on images that it has not seen"
            )
        left = [entry for entry in self.prepared.catalog.entries(split) if entry.label is None]
        if left:
            warnings.append(f"{len(left)} images of the split {split} have no label and are left out")
        return tuple(warnings)

    def _fitted_on(self, split: str, entries: Sequence[ImageEntry]) -> Origin | None:
        """Return what the applied temperatures were fitted on, where that is this split or these very images."""
        calibration = self.bundle.calibration if self.predicting.calibrated else None
        fitted = None if calibration is None else calibration.fitted
        if fitted is None or fitted.split == split:
            return fitted
        if fitted.images != len(entries):
            return None
        bands, classes = self.prepared.bands, self.prepared.classes
        here = joined_hash(entry_hash(entry, bands, classes) for entry in entries)
        return fitted if here == fitted.split_hash else None


def _boundary(judged: JudgedSplit, names: Sequence[str]) -> dict[str, Any]:
    """Return boundary scores with their intervals; nothing where they were not measured."""
    boundary = joined_boundary(judged.records)
    if boundary is None:
        return {}
    images = [record.boundary for record in judged.records if record.boundary is not None]
    return {**boundary.scores(names).as_dict(), "intervals": boundary_intervals(images)}


def _reliability(judged: JudgedSplit) -> dict[str, float | None]:
    """Return the main figures of reliability; nothing where it was not measured."""
    if not judged.regions:
        return {}
    near = judged.regions[""].band.scores().ece
    return {**_main(judged.regions[""].everywhere), "ece_near_borders": near}


def _main(reliability: Reliability) -> dict[str, float | None]:
    found = reliability.scores()
    return {name: getattr(found, name) for name in ("ece", "classwise_ece", "ace", "brier", "nll")}
