"""The verb `verify`: look at every file of the data, tell what is wrong and what to do, and set broken files aside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from terrazzo.config import RunConfig
from terrazzo.data.prepare import prepare_data
from terrazzo.data.store.store import StoreFinding, check_store, remove_tiles
from terrazzo.data.verify.audit import Audit, Inventory, processes, take_inventory, verify_pairs
from terrazzo.data.verify.finding import Finding, Severity, accepted, ordered
from terrazzo.data.verify.results import VERIFY_FILE, Verified, inputs_of, load_verified, save_verified
from terrazzo.data.verify.set_aside import Move, set_aside
from terrazzo.errors import TerrazzoError
from terrazzo.logs import configure_logging
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


def verify(config: RunConfig, *, fix: bool = False, reuse: bool = False, listener: Listener = silent) -> VerifySummary:
    """Verify the data of a configuration: every image and label is decoded whole, and images are compared.

    Args:
        config: The configuration; `config.verify` says what to look for.
        fix: Move pairs that cannot be read into a hidden folder of the data, drop damaged tiles of the patch store, and
            prepare again; of the data nothing is deleted.
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
    verified, audit, store = _look(config, inventory, inputs, listener)
    moved: list[Move] = []
    if fix:
        moved = set_aside(audit.broken, audit.sound, config.data.source)
        remove_tiles(store)
        _prepare_again(config, listener)
        if moved or store:
            inventory = take_inventory(config.data)
            inputs = inputs_of(inventory, config.data, config.verify)
            verified, _, _ = _look(config, inventory, inputs, listener)
    return _summary(config, verified, begun, moved=moved)


def _look(
    config: RunConfig, inventory: Inventory, inputs: str, listener: Listener
) -> tuple[Verified, Audit, list[StoreFinding]]:
    """Look at everything, the patch store too where there is one, and write down what was found."""
    settings, folder = config.verify, config.prepare.folder
    audit = verify_pairs(inventory, config.data, settings, listener=listener)
    store: list[StoreFinding] = []
    if "store" in settings.checks:
        store = check_store(folder, workers=processes(settings), listener=listener)
        told = accepted([_told(finding) for finding in store], settings.accept)
        audit = replace(audit, findings=tuple(ordered([*audit.findings, *told])))
    verified = save_verified(folder / VERIFY_FILE, audit, inputs=inputs, classes=config.data.classes.names)
    return verified, audit, store


def _told(finding: StoreFinding) -> Finding:
    """Return a fault of the patch store; damaged tiles would be learned from, missing ones are not read."""
    severity: Severity = "hint" if finding.kind == "unused" else "warning"
    if finding.kind == "damaged":
        severity = "error"
    to_do = "write the store again: terrazzo verify --fix"
    return Finding(str(finding.path), severity, "store", finding.what, to_do)


def _prepare_again(config: RunConfig, listener: Listener) -> None:
    """Rebuild the index; what still hinders that is among the findings, so it is only noted here."""
    try:
        prepare_data(config.data, config.prepare, listener=listener)
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
