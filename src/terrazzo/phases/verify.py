"""The verb `verify`: look at every file of the data, tell what is wrong and what to do, and set broken files aside."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from terrazzo.config import RunConfig
from terrazzo.data.prepare import prepare_data
from terrazzo.data.verify.audit import Audit, Inventory, take_inventory, verify_pairs
from terrazzo.data.verify.finding import Finding
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
        fix: Move pairs that cannot be read into a hidden folder of the data, and prepare again; nothing is deleted.
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
    verified, audit = _look(config, inventory, inputs, listener)
    moved: list[Move] = []
    if fix:
        moved = set_aside(audit.broken, audit.sound, config.data.source)
        if moved:
            inventory = take_inventory(config.data)
            verified, _ = _look(config, inventory, inputs_of(inventory, config.data, config.verify), listener)
        _prepare_again(config, listener)
    return _summary(config, verified, begun, moved=moved)


def _look(config: RunConfig, inventory: Inventory, inputs: str, listener: Listener) -> tuple[Verified, Audit]:
    """Look at everything and write down what was found."""
    audit = verify_pairs(inventory, config.data, config.verify, listener=listener)
    path = config.prepare.folder / VERIFY_FILE
    return save_verified(path, audit, inputs=inputs, classes=config.data.classes.names), audit


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
