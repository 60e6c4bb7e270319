"""The verb `doctor`: what this machine has for Terrazzo, what is wrong, and what to do."""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from terrazzo.diagnosis import Finding, Level
from terrazzo.diagnosis.disk import check_disk
from terrazzo.diagnosis.packages import check_packages
from terrazzo.errors import ConfigError
from terrazzo.phases.doctor_summary import DoctorSummary
from terrazzo.progress import Listener, Progress, silent

if TYPE_CHECKING:
    from terrazzo.config import RunConfig

__all__ = ["doctor"]

# Each module loads what it looks at: where that is broken, the others still speak.
_CHECKS: Mapping[str, Sequence[tuple[str, str]]] = {
    "devices": (
        ("processor", "check_processor"),
        ("accelerators", "check_accelerators"),
        ("precision", "check_precision"),
    ),
    "memory": (("memory", "check_memory"),),
    "formats": (("formats", "check_formats"),),
    "surroundings": (("surroundings", "check_surroundings"),),
}
_FOLDERS: Mapping[str, Path] = {"runs": Path("runs"), "prepared": Path("prepared")}
_STEPS = 8


def doctor(source: str | None = None, overrides: Sequence[str] = (), *, listener: Listener = silent) -> DoctorSummary:
    """Look at versions, devices, precision, memory, disk, formats and surroundings, and say what to do.

    Nothing is changed: small files and tensors are made and removed.

    Args:
        source: A configuration or recipe, whose folders and settings are looked at too; where None is given, the one
            that the working directory or `$TERRAZZO_CONFIG` names, if any.
        overrides: Settings laid over it.
        listener: Receives progress.
    """
    begun = time.perf_counter()
    with Progress("checking", listener=listener, total=_STEPS, unit="checks") as progress:
        findings: dict[str, tuple[Finding, ...]] = {"versions": tuple(check_packages())}
        progress.advance()
        for section, checks in _CHECKS.items():
            found: list[Finding] = []
            for module, name in checks:
                found += _checked(module, name)
                progress.advance()
            findings[section] = tuple(found)
        config, told = _configuration(source, overrides)
        folders = {"runs": config.folder, "prepared": config.prepare.folder} if config else _FOLDERS
        findings["disk"] = tuple(check_disk(folders, needed=config is not None))
        if told is not None or config is not None:
            findings["configuration"] = (*([told] if told else ()), *(_machine(config) if config else ()))
        progress.advance()
    place = str(told.facts.get("file")) if told and told.facts.get("file") else None
    return DoctorSummary(seconds=time.perf_counter() - begun, configuration=place, findings=findings)


def _checked(module: str, name: str) -> list[Finding]:
    """Run one check; a package that cannot be loaded, which is told among the versions, ends that check alone."""
    try:
        check: Callable[[], list[Finding]] = vars(importlib.import_module(f"terrazzo.diagnosis.{module}"))[name]
        return check()
    except (ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
        said = f"could not be looked at, {type(error).__name__}: {error}"
        return [Finding(module, Level.FAULT, said, "See the faults above; mend those first.")]


def _configuration(source: str | None, overrides: Sequence[str]) -> "tuple[RunConfig | None, Finding | None]":
    """Load the configuration that is named or found, and say which; a wrong one is a finding, not the end."""
    try:
        from terrazzo.config import load_config
        from terrazzo.config.files import find_configuration
    except (ImportError, OSError) as error:
        return None, Finding(
            "configuration", Level.FAULT, f"could not be read: {error}", "Mend the faults above first."
        )
    try:
        file = find_configuration(source)
    except ConfigError as error:
        if source is None and not overrides:
            return None, None
        return None, Finding("configuration", Level.WARNING, str(error), "Name a file or a recipe.")
    facts = {"file": str(file)}
    try:
        config = load_config(source, *overrides)
    except ConfigError as error:
        return None, Finding("configuration", Level.WARNING, str(error), "Mend what is named.", facts)
    return config, Finding("configuration", Level.FINE, f"{file} is right", facts=facts)


def _machine(config: "RunConfig") -> list[Finding]:
    """Say whether the machine has what the configuration asks of it."""
    from terrazzo.machine import execution_of

    try:
        execution = execution_of(config.machine)
    except ConfigError as error:
        return [Finding("machine", Level.WARNING, str(error), "Change machine.accelerator or machine.precision.")]
    said = (
        f"{execution.device}, {execution.precision}, {execution.threads} threads, {execution.workers} loader processes"
    )
    return [Finding("machine", Level.FINE, said, facts={"device": execution.device, "precision": execution.precision})]
