"""Versions: Terrazzo, Python, the packages that it needs, and the extras that are there."""

import importlib
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from terrazzo.diagnosis.finding import Finding, Level

__all__ = ["EXTRAS", "check_packages"]

EXTRAS: Mapping[str, str] = {
    "comet": "the tracker comet",
    "dinov3": "backbones dinov3_vit and dinov3_convnext from a folder of a model hub",
    "mlflow": "the tracker mlflow",
    "onnx": "terrazzo export, and ONNX files in place of bundles",
    "optuna": "sweeps that search by Optuna",
    "ray": "mapping and sweeps on a Ray cluster",
    "serve": "terrazzo serve and terrazzo view",
    "wandb": "the tracker wandb",
}
"""What each extra is for."""

# Their compiled parts fail to load where a system library is missing or of the wrong kind: loading is the test.
_COMPILED = ("torch", "numpy", "rasterio", "pyogrio", "pyproj", "pyarrow")


def check_packages() -> list[Finding]:
    """Return findings about versions: what is there, what does not fit, and what cannot be loaded."""
    return [*_program(), *_requirements(), *_loading(), *_extras()]


def _program() -> Iterator[Finding]:
    place, own = str(Path(__file__).parents[1]), _version("terrazzo") or "not installed"
    yield Finding("terrazzo", Level.FINE, f"{own} in {place}", facts={"version": own, "folder": place})
    bits = 64 if sys.maxsize > 2**32 else 32
    system = platform.platform()
    facts = {"version": platform.python_version(), "executable": sys.executable, "system": system, "bits": bits}
    said = f"{platform.python_version()}, {bits} bit, on {system}"
    if bits == 32:
        yield Finding("python", Level.FAULT, said, "Install a 64-bit Python: scenes need more than 4 GiB.", facts)
    else:
        yield Finding("python", Level.FINE, said, facts=facts)


def _requirements() -> Iterator[Finding]:
    """Compare what Terrazzo and its direct dependencies ask for with what is installed."""
    own = _needed("terrazzo")
    unmet = list(_unmet("terrazzo", own))
    for requirement in own:
        unmet += _unmet(requirement.name, _needed(requirement.name))
    found = {name: known for requirement in own if (known := _version(name := requirement.name)) is not None}
    if unmet:
        advice = "Install from requirements.lock (make setup), or pip install --upgrade what is named."
        yield Finding("packages", Level.FAULT, "; ".join(dict.fromkeys(unmet)), advice, found)
    else:
        yield Finding("packages", Level.FINE, f"all {len(found)} that are needed fit together", facts=found)


def _loading() -> Iterator[Finding]:
    for name in _COMPILED:
        try:
            module = importlib.import_module(name)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            advice = f"Reinstall it: pip install --force-reinstall --no-deps {name}."
            said = f"cannot be loaded, {type(error).__name__}: {error}"
            yield Finding(name, Level.FAULT, said, advice, {"version": _version(name)})
        else:
            if name == "torch":
                known = str(vars(module).get("__version__", "?"))
                yield Finding("torch", Level.FINE, known, facts={"version": known})


def _extras() -> Iterator[Finding]:
    for extra, purpose in EXTRAS.items():
        asked = _needed("terrazzo", extra)
        missing = [each.name for each in asked if _version(each.name) is None]
        wrong = list(_unmet("terrazzo", [each for each in asked if each.name not in missing]))
        facts = {each.name: _version(each.name) for each in asked}
        subject = f"extra {extra}"
        if wrong:
            advice = f'pip install --upgrade "terrazzo[{extra}]"'
            yield Finding(subject, Level.WARNING, f"{'; '.join(wrong)}; it is for {purpose}", advice, facts)
        elif missing or not asked:
            advice = f'Where you need it: pip install "terrazzo[{extra}]"'
            without = f" (without {', '.join(missing)})" if missing else ""
            yield Finding(subject, Level.NOTE, f"not installed{without}; it is for {purpose}", advice, facts)
        else:
            names = ", ".join(f"{name} {known}" for name, known in facts.items())
            yield Finding(subject, Level.FINE, f"{names}; for {purpose}", facts=facts)


def _needed(package: str, extra: str | None = None) -> list[Requirement]:
    """Return what a package asks for: of one extra, or what it cannot do without; what is for other systems is left."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        marker = requirement.marker
        plain = marker is None or marker.evaluate({"extra": ""})
        wanted = plain if extra is None else marker is not None and not plain and marker.evaluate({"extra": extra})
        if wanted:
            found.append(requirement)
    return found


def _unmet(package: str, requirements: Sequence[Requirement]) -> Iterator[str]:
    for requirement in requirements:
        known = _version(requirement.name)
        if known is None:
            yield f"{package} needs {requirement.name}, which is not installed"
        elif not requirement.specifier.contains(known, prereleases=True):
            yield f"{package} needs {requirement.name}{requirement.specifier}, but {known} is installed"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
