"""The verb `calibrate`: a new bundle that says how far it can be believed, and when its network may stop early."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from terrazzo.assessment.temperatures import fit_temperatures
from terrazzo.assessment.thresholds import choose_decision, measure_thresholds
from terrazzo.bundle import Bundle
from terrazzo.bundle.file import best_file
from terrazzo.calibration.record import Calibration, Origin
from terrazzo.calibration.settings import CalibrateSettings, FittedTemperature
from terrazzo.calibration.words import abstention_words, halting_words, is_selected, sets_words
from terrazzo.config import RunConfig
from terrazzo.data.catalog import Catalog, ImageEntry
from terrazzo.data.classes import Classes
from terrazzo.errors import ConfigError
from terrazzo.geo.bands import Bands
from terrazzo.logs import configure_logging
from terrazzo.machine import MachineSettings
from terrazzo.phases.calibration_halting import Halted, can_halt, choose_halting, scenes_to_halt
from terrazzo.phases.calibration_judging import Comparison, compare, worse_words
from terrazzo.phases.calibration_origin import day, entry_hash, origin_of, scene_hash
from terrazzo.phases.calibration_outputs import Q_STATISTICS_FILE, RELIABILITY_FILE, SWEEP_FILE, write_table
from terrazzo.phases.calibration_parts import Needs, Parts, divide, images_of, reporting_images
from terrazzo.phases.model_data import data_for
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.phases.summary import CalibrateSummary, plain
from terrazzo.progress import Listener, silent
from terrazzo.report import write_report
from terrazzo.scene.settings import PredictSettings
from terrazzo.storage import write_json

__all__ = ["calibrate"]


def calibrate(
    model: Path | ModelFiles,
    config: RunConfig | None = None,
    *,
    data: Path | None = None,
    split: str | None = None,
    out: Path | None = None,
    settings: CalibrateSettings | None = None,
    listener: Listener = silent,
) -> CalibrateSummary:
    """Write a new bundle with temperatures and thresholds, and with what is promised of them; the old one stays.

    Args:
        model: A bundle, or a run folder, which here stands for its best bundle as training left it.
        config: Names the data, and how scenes will be mapped; the run folder's own configuration if None.
        data: A folder of images and labels, or of prepared data, to calibrate on instead; all its images count as
            `calibrate` unless its folders or prepared roles say otherwise.
        split: Role to calibrate on, instead of the settings'.
        out: The new bundle's file; `NAME-calibrated.safetensors` beside the old one if None.
        settings: What is calibrated, and how; the configuration's own if None, else the defaults.
        listener: Receives progress.

    Returns:
        What was found and promised, and figures before and after on images that took no part; also `summary.json`,
        `tau_sweep.csv`, `q_statistics.csv` and `reliability.json` in `calibrate/<split>` beside the old bundle.

    Raises:
        ConfigError: Nothing names the data; it has no images to calibrate on, too few of them, or only those that
            trained or chose the model; or the new bundle would replace the old one.
        ContractError: Bands or classes of the data are not those of the bundle.
    """
    begun = time.monotonic()
    files = ModelFiles.of(model)
    config = config or run_config_of(files.bundle)
    if config is not None:
        configure_logging(config.logging)
    chosen = settings or (config.calibrate if config else CalibrateSettings())
    if split is not None:
        chosen = chosen.model_copy(update={"split": split})
    old = best_file(files.bundle)
    new = out or calibrated_path(old)
    _require_another(old, new)
    bundle = ModelFiles(old, files.backbone).open(config.predict.backbone if config else None)
    name = "unlabelled" if chosen.unlabelled else chosen.split
    folder = files.folder / "calibrate" / name
    mapping = (config.predict if config else PredictSettings()).model_copy(
        update={"layers": (), "tau": None, "calibrated": True}
    )
    job = _Job(
        bundle, bundle.bands, bundle.classes, chosen, mapping, config.machine if config else MachineSettings(), listener
    )
    if chosen.unlabelled:
        found = job.by_scenes()
    else:
        needs = job.needs()
        prepared = data_for(bundle, config, data, role="calibrate", place=folder.parent, listener=listener)
        found = replace(job, bands=prepared.bands, classes=prepared.classes).by_images(prepared.catalog, needs)
    if config is not None and config.predict.tau is not None and found.calibration.halting is not None:
        found.warnings.append(
            f"predict.tau is {config.predict.tau:g} in the configuration, which overrides the calibrated threshold in "
            "maps; take it out to map with the calibrated one"
        )
    calibrated = replace(bundle, calibration=found.calibration)
    calibrated.save(new)
    summary = _summarise(found, name, folder, new, time.monotonic() - begun)
    _write(found, summary)
    if (files.folder / "log.csv").is_file():
        write_report(files.folder)
    return summary


def calibrated_path(bundle: Path) -> Path:
    """Return where a bundle's calibrated successor lies by default: beside it.

    >>> calibrated_path(Path("runs/fields/bundle.safetensors")).name
    'bundle-calibrated.safetensors'
    >>> calibrated_path(Path("fields.onnx")).name
    'fields-calibrated.safetensors'
    """
    stem = bundle.stem.removesuffix("-calibrated")
    return bundle.with_name(f"{stem}-calibrated.safetensors")


def _require_another(old: Path, new: Path) -> None:
    """Refuse to replace what is calibrated: with it would go the only bundle as training left it."""
    if new.suffix != ".safetensors":
        raise ConfigError(f"The new bundle {new} must end in .safetensors; name it by --out.")
    if new.resolve() == old.resolve():
        raise ConfigError(f"The new bundle would replace {old}, which is calibrated; name another file by --out.")


@dataclass
class _Found:
    """What calibrating came to.

    Attributes:
        calibration: What the new bundle keeps.
        parts: Images by what they were for.
        halted: How the halting threshold was chosen.
        report_split: Role of the images before and after are of.
        comparison: Before and after.
        warnings: What a person should know.
    """

    calibration: Calibration
    parts: dict[str, int]
    halted: Halted | None = None
    report_split: str | None = None
    comparison: Comparison | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """A bundle on its way to be calibrated.

    Attributes:
        bundle: The old one.
        bands: The images' bands, in the network's order.
        classes: How their labels name classes.
        settings: What is calibrated, and how.
        mapping: How scenes will be mapped.
        machine: What is computed on.
        listener: Hears of the progress.
    """

    bundle: Bundle
    bands: Bands
    classes: Classes
    settings: CalibrateSettings
    mapping: PredictSettings
    machine: MachineSettings
    listener: Listener

    def needs(self) -> Needs:
        """Return what is to be calibrated on labelled images.

        Raises:
            ConfigError: Nothing is, or not of this network.
        """
        settings = self.settings
        if settings.decision is not None and len(self.bundle.classes) != 2:
            raise ConfigError(
                "A decision threshold (calibrate.decision) tells two classes apart, but the bundle has "
                f"{len(self.bundle.classes)}: leave it out."
            )
        if self._temperature() == "step" and self.bundle.architecture.halting_rule is None:
            raise ConfigError(
                f"calibrate.temperature is step, but {self.bundle.architecture.name} answers at once; use scalar."
            )
        needs = Needs(
            fitted=self._temperature() != "none" or settings.decision is not None,
            halting=settings.halting is not None and can_halt(self.bundle),
            further=settings.abstain is not None or settings.sets is not None,
        )
        if not (needs.fitted or needs.halting or needs.further):
            raise ConfigError(
                "There is nothing to calibrate: calibrate.temperature is none, and neither halting nor decision, "
                "abstain or sets applies."
            )
        return needs

    def by_images(self, catalog: Catalog, needs: Needs) -> _Found:
        """Calibrate anew on labelled images, whatever the bundle held before."""
        settings = self.settings
        plain_bundle = replace(self.bundle, calibration=None)
        images = images_of(catalog, settings)
        report_split, reported = reporting_images(catalog, settings)
        parts = divide(images, reported, needs, settings)
        found = _Found(Calibration(source=plain_bundle.fingerprint), parts.counts(), report_split=report_split)
        if is_selected(settings.split):
            found.warnings.append(
                f"the images of {settings.split} trained or chose the model: they make it look better than it is, and "
                "nothing is promised"
            )
        if is_selected(report_split):
            found.warnings.append(
                f"before and after are measured on images of {report_split}, which trained or chose the model"
            )
        self._fit(found, plain_bundle, parts)
        if needs.halting:
            self._halt(found, replace(plain_bundle, calibration=found.calibration), parts)
        if needs.further:
            self._further(found, replace(plain_bundle, calibration=found.calibration), parts)
        found.comparison = compare(
            plain_bundle,
            replace(plain_bundle, calibration=found.calibration),
            parts.report,
            bands=self.bands,
            classes=self.classes,
            settings=self.mapping,
            machine=self.machine,
            listener=self.listener,
        )
        if worse := worse_words(found.comparison, report_split):
            found.warnings.append(worse)
        return found

    def by_scenes(self) -> _Found:
        """Choose the halting threshold on scenes without labels; what else the bundle holds stays."""
        if not can_halt(self.bundle):
            raise ConfigError(
                f"{self.bundle.architecture.name} cannot stop early, and that is all that scenes without labels can "
                "calibrate; leave --unlabelled out."
            )
        before = self.bundle.calibration or Calibration(source=self.bundle.fingerprint)
        base = replace(self.bundle, calibration=before.model_copy(update={"halting": None}))
        scenes = scenes_to_halt(base, self.settings.unlabelled, self.mapping)
        found = _Found(before.model_copy(update={"halting": None}), {"halting": len(scenes)})
        judged = self._choose(found, base, scenes)
        hashes = [scene_hash(entry, base.bands) for entry in scenes if entry.image_id in set(judged.images)]
        self._keep(found, judged, self._origin("unlabelled", hashes))
        if before.abstention is not None or before.sets is not None:
            found.warnings.append(
                "abstention and class sets were calibrated with another halting threshold, so that their promises need "
                "not hold with this one; calibrate them again on images with labels"
            )
        return found

    def _temperature(self) -> FittedTemperature:
        """Return the kind of temperature: by whether the network answers in steps where it is not said."""
        if self.settings.temperature != "auto":
            return self.settings.temperature
        return "scalar" if self.bundle.architecture.halting_rule is None else "step"

    def _origin(self, split: str, hashes: Sequence[str]) -> Origin:
        return origin_of(split, hashes, self.bundle, self.mapping, day(self.settings.date))

    def _origin_of(self, entries: Sequence[ImageEntry]) -> Origin:
        hashes = [entry_hash(entry, self.bands, self.classes) for entry in entries]
        return self._origin(self.settings.split, hashes)

    def _fit(self, found: _Found, bundle: Bundle, parts: Parts) -> None:
        """Fit the temperature, then the decision threshold to what it makes of the probabilities."""
        settings, kind = self.settings, self._temperature()
        if not parts.fit:
            return
        origin = self._origin_of(parts.fit)
        if kind != "none":
            fitted = fit_temperatures(
                bundle,
                parts.fit,
                kind=kind,
                bands=self.bands,
                classes=self.classes,
                settings=self.mapping,
                machine=self.machine,
                pixels_per_image=settings.pixels_per_image,
                listener=self.listener,
            )
            found.calibration = found.calibration.model_copy(
                update={
                    "window_temperature": fitted.window_temperature,
                    "temperature": fitted.temperature,
                    "fitted": origin,
                }
            )
        if settings.decision is not None:
            decision = choose_decision(
                replace(bundle, calibration=found.calibration),
                parts.fit,
                bands=self.bands,
                classes=self.classes,
                figure=settings.decision,
                origin=origin,
                settings=self.mapping,
                machine=self.machine,
                listener=self.listener,
            )
            found.calibration = found.calibration.model_copy(update={"decision": decision})

    def _halt(self, found: _Found, bundle: Bundle, parts: Parts) -> None:
        """Choose the halting threshold of the network as it answers now."""
        halted = self._choose(found, bundle, parts.halting)
        judged = [entry for entry in parts.halting if entry.image_id in set(halted.images)]
        self._keep(found, halted, self._origin_of(judged))

    def _choose(self, found: _Found, bundle: Bundle, entries: Sequence[ImageEntry]) -> Halted:
        halted = choose_halting(
            bundle,
            entries,
            bands=self.bands,
            classes=self.classes,
            settings=self.settings,
            mapping=self.mapping,
            machine=self.machine,
            listener=self.listener,
        )
        if halted.left_out:
            found.warnings.append(
                f"nothing is measured or labelled in {len(halted.left_out)} images, which tell nothing of the halting "
                f"threshold: {', '.join(halted.left_out[:5])}{' ...' if len(halted.left_out) > 5 else ''}"
            )
        if halted.advice is not None:
            found.warnings.append(halted.advice)
        return halted

    def _keep(self, found: _Found, halted: Halted, origin: Origin) -> None:
        found.halted = halted
        promise = halted.promise(self.settings, origin)
        found.calibration = found.calibration.model_copy(update={"halting": promise})

    def _further(self, found: _Found, bundle: Bundle, parts: Parts) -> None:
        """Choose where maps abstain, and class sets, of maps as they are made by now."""
        settings = self.settings
        losses = measure_thresholds(
            bundle,
            parts.further,
            bands=self.bands,
            classes=self.classes,
            settings=self.mapping,
            machine=self.machine,
            listener=self.listener,
        )
        origin = self._origin_of([entry for entry in parts.further if entry.image_id in set(losses.images)])
        changes: dict[str, object] = {}
        if settings.abstain is not None:
            asked = settings.abstain
            chosen = losses.abstention.choose(method=asked.method, epsilon=asked.epsilon, delta=asked.delta)
            changes["abstention"] = losses.abstention.promise(chosen, origin)
            if chosen.advice is not None:
                found.warnings.append(f"abstention: {chosen.advice}")
        if settings.sets is not None:
            picked = losses.sets.choose(alpha=settings.sets)
            changes["sets"] = losses.sets.sets(picked, origin)
            if picked.advice is not None:
                found.warnings.append(f"class sets: {picked.advice}")
        found.calibration = found.calibration.model_copy(update=changes)


def _promises(calibration: Calibration) -> tuple[str, ...]:
    """Return what is promised, in words."""
    found = []
    if calibration.halting is not None:
        found.append(halting_words(calibration.halting))
    if calibration.abstention is not None:
        found.append(abstention_words(calibration.abstention))
    if calibration.sets is not None:
        found.append(sets_words(calibration.sets))
    return tuple(found)


def _summarise(found: _Found, name: str, folder: Path, bundle: Path, seconds: float) -> CalibrateSummary:
    comparison = found.comparison
    halting = None
    if found.halted is not None:
        halting = {**found.halted.told(), **(comparison.early if comparison is not None else {})}
    return CalibrateSummary(
        folder=folder,
        seconds=seconds,
        bundle=bundle,
        split=name,
        parts=found.parts,
        calibration=found.calibration.model_dump(mode="json"),
        promises=_promises(found.calibration),
        halting=halting,
        report_split=found.report_split,
        before={} if comparison is None else comparison.before.figures(),
        after={} if comparison is None else comparison.after.figures(),
        warnings=tuple(found.warnings),
    )


def _write(found: _Found, summary: CalibrateSummary) -> None:
    """Write the tables and figures; of an earlier calibration nothing stays that this one does not have."""
    folder = summary.folder
    summary.save()
    if found.halted is not None:
        write_table(folder / SWEEP_FILE, found.halted.sweep)
        write_table(folder / Q_STATISTICS_FILE, found.halted.statistics)
    else:
        for name in (SWEEP_FILE, Q_STATISTICS_FILE):
            (folder / name).unlink(missing_ok=True)
    if found.comparison is not None:
        content = {"before": found.comparison.before.reliability, "after": found.comparison.after.reliability}
        write_json(folder / RELIABILITY_FILE, {key: plain(value.as_dict()) for key, value in content.items()})
    else:
        (folder / RELIABILITY_FILE).unlink(missing_ok=True)
