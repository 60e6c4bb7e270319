"""The verb `export`: a bundle as a file for other runtimes, verified before it is kept."""

import time
from collections.abc import Sequence
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.bundle.file import bundle_file
from terrazzo.export.exporting import Exported, default_path, export_bundle
from terrazzo.export.patches import compared_sizes
from terrazzo.export.settings import ExportSettings
from terrazzo.export.surroundings import is_calibrated
from terrazzo.logs import configure_logging
from terrazzo.machine import MachineSettings, configure
from terrazzo.models.architecture import ARCHITECTURES
from terrazzo.phases.export_images import ComparedImages, images_to_compare
from terrazzo.phases.export_summary import ExportSummary
from terrazzo.phases.model_files import ModelFiles, run_config_of
from terrazzo.progress import Listener, Progress, silent

__all__ = ["export"]


def export(
    model: Path | ModelFiles,
    out: Path | None = None,
    *,
    settings: ExportSettings | None = None,
    verify_on: Sequence[Path | str] = (),
    listener: Listener = silent,
) -> ExportSummary:
    """Export a bundle; its file appears only after its answers proved to be the bundle's at four sizes.

    Args:
        model: A bundle, or a run folder, which stands for its best bundle; with its frozen backbone where it leans on
            one that lies elsewhere.
        out: The file; beside the bundle if None.
        settings: What goes inside; the defaults if None.
        verify_on: Images to compare answers on; the run's own prepared data if there are none, else made-up ones.
        listener: Receives progress.

    Returns:
        The file and how near its answers came.

    Raises:
        BundleError: The bundle is missing or damaged.
        ConfigError: The settings contradict each other or the file's name.
        ModelError: The network cannot be exported, or the file answered otherwise and was not kept.
    """
    begun = time.monotonic()
    files = ModelFiles.of(model)
    config = run_config_of(files.bundle)
    if config is not None:
        configure_logging(config.logging)
    chosen = settings or ExportSettings()
    bundle = files.open(config.predict.backbone if config is not None else None)
    # One kind of arithmetic on every machine: what is compared is the file, not the device.
    configure(MachineSettings(accelerator="cpu", precision="float32"))
    file = out or default_path(bundle_file(files.bundle), chosen)
    images = images_to_compare(bundle, config, verify_on)
    total = len(compared_sizes(bundle))
    with Progress(f"export {file.name}", listener=listener, total=total, unit="sizes") as progress:
        progress.note(f"{bundle.architecture.name} as {chosen.format}; to be compared on {images.source}")
        found = export_bundle(bundle, file, chosen, images.patches, progress=progress)
    return _summarise(bundle, chosen, images, found, time.monotonic() - begun)


def _summarise(
    bundle: Bundle, settings: ExportSettings, images: ComparedImages, found: Exported, seconds: float
) -> ExportSummary:
    return ExportSummary(
        folder=found.files[0].parent,
        seconds=seconds,
        file=found.files[0],
        beside=found.files[1:],
        format=settings.format,
        inputs=found.inputs,
        outputs=found.outputs,
        preprocessing=_preprocessing(bundle, settings),
        temperature=_temperature(bundle, settings, found),
        stopping=_stopping(bundle, settings),
        fused_norms=found.fused,
        mebibytes=sum(file.stat().st_size for file in found.files) / 2**20,
        compared_on=images.source,
        compared=found.compared,
        fingerprint=found.fingerprint,
        licence=_licence(bundle),
        warnings=_warnings(bundle, settings, images),
    )


def _preprocessing(bundle: Bundle, settings: ExportSettings) -> str:
    if settings.preprocessing == "inside":
        return "inside: give raw values as float32; NaN and nodata are missing pixels"
    return "described: normalise first, as the file's metadata says; 0 in all bands where a pixel is missing"


def _temperature(bundle: Bundle, settings: ExportSettings, found: Exported) -> str:
    if not is_calibrated(bundle):
        return "none: the bundle was not calibrated"
    if "probabilities" not in found.outputs:
        return "described in the file's metadata: the parts answer logits"
    if settings.temperature == "inside":
        return "inside: probabilities are calibrated, logits are not"
    return "described in the file's metadata: probabilities are not calibrated"


def _stopping(bundle: Bundle, settings: ExportSettings) -> str:
    rule = bundle.architecture.halting_rule
    if rule is None:
        return ""
    if settings.steps == "fixed":
        return f"every image runs all {rule.last} steps"
    if rule.first == rule.last:
        return f"in parts; the network has no halting head, so every image runs {rule.last} steps"
    return f"each image of a batch stops by itself after {rule.first} to {rule.last} steps"


def _licence(bundle: Bundle) -> str:
    """Return the licences of what the file holds, the frozen backbone's among them."""
    found = [bundle.licence] if bundle.licence else []
    if bundle.backbone is not None:
        record = bundle.architecture
        pretraining = record.pretraining(bands=len(bundle.bands)) if record.name in ARCHITECTURES else None
        terms = pretraining.licence if pretraining is not None else ""
        if terms and terms not in found:
            found.append(terms)
    return "; ".join(found)


def _warnings(bundle: Bundle, settings: ExportSettings, images: ComparedImages) -> tuple[str, ...]:
    warnings = []
    if images.synthetic:
        warnings.append("the answers were compared on made-up patches; name real images by --verify-on")
    if bundle.backbone is not None:
        warnings.append(
            f"the frozen backbone {bundle.backbone.identifier} is inside: hand the file on only under its terms"
        )
    if bundle.resize is not None:
        size = f"{bundle.resize.height} x {bundle.resize.width}"
        warnings.append(f"the bundle was trained on patches resized to {size}: resize windows to that size first")
    if bundle.calibration is not None and bundle.calibration.decision is not None:
        warnings.append("the bundle's decision threshold is not inside; it stands in the file's metadata")
    if bundle.architecture.halting_rule is not None and settings.steps == "fixed":
        promise = bundle.calibration is not None and bundle.calibration.halting is not None
        if promise:
            warnings.append("all steps are run, so that the calibrated threshold of early stopping says nothing here")
    return tuple(warnings)
