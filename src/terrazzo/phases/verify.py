"""The verb `verify`: look at every file of the data, tell what is wrong and what to do, and set broken files aside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from terrazzo.config import RunConfig
from terrazzo.data.features.check import FeatureFinding, check_features, remove_features
from terrazzo.data.prepare import prepare_data
from terrazzo.data.store.store import StoreFinding, check_store, remove_tiles
from terrazzo.data.verify.audit import Audit, Inventory, processes, take_inventory, verify_pairs
from terrazzo.data.verify.finding import Finding, Severity, accepted, ordered
from terrazzo.data.verify.results import VERIFY_FILE, Verified, inputs_of, load_verified, save_verified
from terrazzo.data.verify.set_aside import Move, set_aside
from terrazzo.errors import TerrazzoError
from terrazzo.logs import configure_logging
from terrazzo.phases.features import features_before_training
from terrazzo.phases.summary import Summary
from terrazzo.progress import Listener, Progress, silent

__all__ = ["VerifySummary", "verify"]


@dataclass(frozen=True, kw_only=True)
class VerifySummary(Summary):
    """What `verify` found.

    Attributes:
        images: Images by split.
        errors: Findings that make training wrong or impossible.
        warnings: Findings that may.
        hints: Findings that are worth a look.
        findings: All of them, the worst first.
        moved: Files that were set aside.
        unchanged: Whether this is what an earlier call found in the same data.
    """

    images: dict[str, int]
    errors: int
    warnings: int
    hints: int
    findings: tuple[Finding, ...]
    moved: tuple[Move, ...] = ()
    unchanged: bool = False


@dataclass(frozen=True)
class _Written:
    """What is wrong with what `prepare` wrote."""

    tiles: list[StoreFinding] = field(default_factory=list)
    features: list[FeatureFinding] = field(default_factory=list)


def verify(config: RunConfig, *, fix: bool = False, reuse: bool = False, listener: Listener = silent) -> VerifySummary:
    """Verify the data of a configuration: every image and label is decoded whole, and images are compared.

    Args:
        config: The configuration; `config.verify` says what to look for.
        fix: Move pairs that cannot be read into a hidden folder of the data, drop damaged tiles of the patch store and
            damaged features, and prepare again; of the data nothing is deleted.
        reuse: Return what an earlier call found where neither settings nor files have changed since.
        listener: Receives progress.

    Returns:
        All findings with what to do; also `verify.json` in `prepare.folder`.

    Raises:
        StorageError: Results cannot be written, or a file cannot be set aside.
        ConfigError: Settings of splits or validation sets are wrong.
    """
    configure_logging(config.logging)
    begun = time.monotonic()
    inventory = take_inventory(config.data)
    inputs = inputs_of(inventory, config.data, config.verify)
    path = config.prepare.folder / VERIFY_FILE
    if reuse and not fix and (known := load_verified(path)) is not None and known.inputs == inputs:
        return _summary(config, known, begun, unchanged=True)
    verified, audit, written = _look(config, inventory, inputs, listener)
    moved: list[Move] = []
    if fix:
        moved = set_aside(audit.broken, audit.sound, config.data.source)
        remove_tiles(written.tiles)
        remove_features(written.features)
        _prepare_again(config, listener)
        if moved or written.tiles or written.features:
            inventory = take_inventory(config.data)
            inputs = inputs_of(inventory, config.data, config.verify)
            verified, _, _ = _look(config, inventory, inputs, listener)
    return _summary(config, verified, begun, moved=moved)


def _look(config: RunConfig, inventory: Inventory, inputs: str, listener: Listener) -> tuple[Verified, Audit, _Written]:
    """Look at everything, what `prepare` wrote too where there is some, and write down what was found."""
    settings, folder = config.verify, config.prepare.folder
    audit = verify_pairs(inventory, config.data, settings, listener=listener)
    written = _Written()
    threads = processes(settings)
    if "store" in settings.checks:
        written.tiles.extend(check_store(folder, workers=threads, listener=listener))
    if "features" in settings.checks:
        written.features.extend(check_features(folder, workers=threads, listener=listener))
    told = [*map(_told, written.tiles), *map(_told, written.features)]
    audit = replace(audit, findings=tuple(ordered([*audit.findings, *accepted(told, settings.accept)])))
    verified = save_verified(folder / VERIFY_FILE, audit, inputs=inputs, classes=config.data.classes.names)
    return verified, audit, written


def _told(finding: StoreFinding | FeatureFinding) -> Finding:
    """Return a fault of what `prepare` wrote; damaged files would be learned from, missing ones are not read."""
    severity: Severity = "hint" if finding.kind in ("unused", "unfinished") else "warning"
    if finding.kind == "damaged":
        severity = "error"
    if isinstance(finding, StoreFinding):
        to_do = "write the store again: terrazzo verify --fix"
        return Finding(str(finding.path), severity, "store", finding.what, to_do)
    unfinished = "finish them with their model (terrazzo prepare), or delete the folder"
    to_do = unfinished if finding.kind == "unfinished" else "compute what is needed again: terrazzo verify --fix"
    return Finding(str(finding.path), severity, "features", finding.what, to_do)


def _prepare_again(config: RunConfig, listener: Listener) -> None:
    """Rebuild the index and compute missing features; what still hinders that is told above, so it is only noted."""
    try:
        prepared = prepare_data(config.data, config.prepare, listener=listener)
        features_before_training(config, prepared, listener=listener)
    except TerrazzoError as error:
        with Progress("rebuild the index", listener=listener) as progress:
            progress.note(f"not yet possible: {error}")


def _summary(
    config: RunConfig, verified: Verified, begun: float, *, moved: Sequence[Move] = (), unchanged: bool = False
) -> VerifySummary:
    return VerifySummary(
        folder=config.prepare.folder,
        seconds=time.monotonic() - begun,
        images=verified.images,
        errors=verified.count("error"),
        warnings=verified.count("warning"),
        hints=verified.count("hint"),
        findings=verified.findings,
        moved=tuple(moved),
        unchanged=unchanged,
    )
