"""The verb `profile`: what a network costs in parameters, multiplications, time and memory."""

import csv
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import torch

from terrazzo.bundle.bundle import architecture_of
from terrazzo.bundle.file import bundle_file, read_contract
from terrazzo.config import RunConfig
from terrazzo.data.prepare import open_prepared
from terrazzo.data.prepared import PREPARED_FILE
from terrazzo.logs import configure_logging
from terrazzo.machine import MachineSettings
from terrazzo.models.architecture import Architecture
from terrazzo.phases.evaluate import run_config_of
from terrazzo.phases.summary import plain
from terrazzo.profiling import Measurement, Profile, ProfileSettings, measure
from terrazzo.profiling.counting import CONVENTION
from terrazzo.profiling.measuring import Counted
from terrazzo.profiling.timing import MEMORY
from terrazzo.progress import Listener, silent
from terrazzo.storage import write_json

__all__ = ["PROFILE_FILE", "ProfileSummary", "profile"]

PROFILE_FILE = "profile.json"
"""Where a run folder keeps its profile."""
ASSUMED_BANDS = 3
GIGA, MEBI = 1e9, 2**20


@dataclass(frozen=True, kw_only=True)
class ProfileSummary:
    """What a network costs.

    Attributes:
        folder: Run folder that keeps it as `profile.json`; None where no run folder was given.
        seconds: Wall time of measuring.
        model: Name of the architecture.
        bands: Input channels, and who says so.
        classes: Output channels.
        parameters: Trainable, frozen, and the mebibytes of both.
        fused_norms: Batch norms that were taken into convolutions before timing.
        machine: What it was measured on.
        convention: What a multiplication is, and what is counted.
        memory: What a figure of memory means, by device.
        operations: For each size GMAC of one image, by operation and by part.
        steps: For each size what a step costs and what stopping early saves; empty for networks without steps.
        measurements: A row for each combination.
    """

    folder: Path | None
    seconds: float
    model: str
    bands: str
    classes: int
    parameters: Mapping[str, int | float]
    fused_norms: int
    machine: str
    convention: str
    memory: Mapping[str, str]
    operations: tuple[Mapping[str, object], ...]
    steps: tuple[Mapping[str, object], ...]
    measurements: tuple[Mapping[str, object], ...]

    def as_dict(self) -> dict[str, object]:
        """Return all figures as plain data."""
        return {each.name: plain(getattr(self, each.name)) for each in fields(self)}


class _Subject(NamedTuple):
    """What is profiled, and what is known of it."""

    architecture: Architecture
    bands: int
    bands_from: str
    classes: int
    side: int
    machine: MachineSettings
    folder: Path | None


def profile(
    model: Path | RunConfig,
    *,
    settings: ProfileSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
) -> ProfileSummary:
    """Measure a network with random weights: neither multiplications nor time depend on them.

    Args:
        model: A bundle, a run folder, or a configuration, which needs neither data nor training.
        settings: Sizes, batches, steps, precisions, devices.
        machine: Threads and determinism; those of the configuration if None, else the defaults.
        listener: Receives progress.

    Returns:
        Parameters, multiplications, latency, memory and throughput; also `profile.json` in a given run folder.

    Raises:
        BundleError: The bundle is missing or damaged.
        ConfigError: Steps are asked of a network that has none; a device or a precision does not exist here.
        ModelError: The architecture's settings do not fit together.
    """
    begun = time.monotonic()
    asked = settings or ProfileSettings()
    subject = _of_config(model, asked) if isinstance(model, RunConfig) else _of_path(model, asked)
    if not asked.sizes:
        asked = asked.model_copy(update={"sizes": ((subject.side, subject.side),)})
    found = measure(
        subject.architecture,
        bands=subject.bands,
        classes=subject.classes,
        settings=asked,
        machine=machine or subject.machine,
        listener=listener,
    )
    summary = _summarise(subject, found, asked, time.monotonic() - begun)
    if subject.folder is not None:
        write_json(subject.folder / PROFILE_FILE, summary.as_dict())
    return summary


def _of_path(path: Path, settings: ProfileSettings) -> _Subject:
    config = run_config_of(path)
    folder = path if path.is_dir() else None
    if config is not None:
        configure_logging(config.logging)
        if folder is not None and not (folder / "bundle.safetensors").is_file():
            # A run that has not finished its first epoch is still a network.
            return _of_config(config, settings)._replace(folder=folder)
    file = bundle_file(path)
    contract = read_contract(file)
    return _Subject(
        architecture=architecture_of(contract.architecture, file),
        bands=len(contract.bands),
        bands_from="of the bundle",
        classes=len(contract.classes),
        side=contract.patch_size,
        machine=config.machine if config is not None else MachineSettings(),
        folder=folder,
    )


def _of_config(config: RunConfig, settings: ProfileSettings) -> _Subject:
    configure_logging(config.logging)
    if config.data.bands is not None:
        bands, source = len(config.data.bands), "of the configuration"
    elif (config.prepare.folder / PREPARED_FILE).is_file():
        bands, source = len(open_prepared(config.prepare.folder).bands), "of the prepared data"
    elif settings.bands is not None:
        bands, source = settings.bands, "as asked"
    else:
        bands, source = ASSUMED_BANDS, "assumed, since neither the configuration nor prepared data names them"
    return _Subject(
        architecture=config.model,
        bands=bands,
        bands_from=source,
        classes=len(config.data.classes),
        side=config.data.patch.size,
        machine=config.machine,
        folder=None,
    )


def _summarise(subject: _Subject, found: Profile, settings: ProfileSettings, seconds: float) -> ProfileSummary:
    parameters = found.parameters
    mean = settings.mean_steps or _logged_steps(subject.folder)
    return ProfileSummary(
        folder=subject.folder,
        seconds=seconds,
        model=subject.architecture.name,
        bands=f"{subject.bands} ({subject.bands_from})",
        classes=subject.classes,
        parameters={
            "trainable": parameters.trainable,
            "frozen": parameters.frozen,
            "mebibytes": parameters.bytes / MEBI,
        },
        fused_norms=found.fused,
        machine=_machine_words(found),
        convention=CONVENTION,
        memory={device: MEMORY[device] for device in dict.fromkeys(each.case.device for each in found.measurements)},
        operations=tuple(_operations_row(each) for each in found.counted),
        steps=tuple(_steps_row(each, mean) for each in found.counted if each.steps is not None),
        measurements=tuple(_measurement_row(each) for each in found.measurements),
    )


def _machine_words(found: Profile) -> str:
    devices = {each.case.device for each in found.measurements}
    words = [f"torch {torch.__version__}", f"{platform.machine()}, {torch.get_num_threads()} threads"]
    if "cuda" in devices:
        words.append(torch.cuda.get_device_name())
    return ", ".join(words)


def _operations_row(counted: Counted) -> dict[str, object]:
    row: dict[str, object] = {"size": f"{counted.height}x{counted.width}", "gmac": counted.operations.macs / GIGA}
    parts = {f"{name}_gmac": macs / GIGA for name, macs in counted.parts.items()}
    return {**row, **parts, **{name: macs / GIGA for name, macs in counted.operations.kinds.items()}}


def _steps_row(counted: Counted, mean: float | None) -> dict[str, object]:
    """Return the parts of a run, and what it saves to stop after the mean number of steps, or as early as it may."""
    costs = counted.steps
    if costs is None:
        return {}
    row: dict[str, object] = {
        "size": f"{counted.height}x{counted.width}",
        "encoder_gmac": costs.encoder / GIGA,
        "step_gmac": costs.step / GIGA,
        "halting_gmac": costs.halting / GIGA,
        "answer_gmac": costs.answer / GIGA,
        "steps": f"{costs.first} to {costs.last}",
        "encoder_share": costs.encoder_share,
        "largest_saving": costs.saving(costs.first),
    }
    if mean is not None:
        row |= {"mean_steps": mean, "mean_gmac": costs.macs(mean) / GIGA, "saving": costs.saving(mean)}
    return row


def _measurement_row(measured: Measurement) -> dict[str, object]:
    case, latency = measured.case, measured.latency
    row: dict[str, object] = {
        "device": case.device,
        "precision": case.precision,
        "size": f"{case.height}x{case.width}",
        "batch": case.batch,
    }
    if case.steps is not None:
        row["steps"] = case.steps
    return {
        **row,
        "gmac_per_image": measured.macs / GIGA,
        "mean_ms": latency.mean_ms if latency else None,
        "spread_ms": latency.spread_ms if latency else None,
        "p50_ms": latency.p50_ms if latency else None,
        "p95_ms": latency.p95_ms if latency else None,
        "mpx_per_s": measured.megapixels_per_s,
        "memory_mib": None if measured.memory is None else measured.memory / MEBI,
    }


def _logged_steps(folder: Path | None) -> float | None:
    """Return the mean steps of the last validation in a run's log; None where it has none."""
    log = folder / "log.csv" if folder is not None else None
    if log is None or not log.is_file():
        return None
    with log.open(encoding="utf-8", newline="") as file:
        found = [row.get("val_avg_steps") for row in csv.DictReader(file)]
    values = [float(value) for value in found if value]
    return values[-1] if values else None
