"""Prints the part of requirements.lock that running Terrazzo needs, hashes and all: development tools stay out.

    python container/runtime_lock.py --extra serve --extra onnx [--without-torch] > runtime.lock
    python container/runtime_lock.py --package hatchling > build.lock

What needs what stands in the lock itself, in its comments `# via`.
"""

import argparse
import re
import sys
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What the build of torch for GPUs brings along; the build for processors needs none of it.
_OF_TORCH = ("nvidia-", "cuda-", "triton")
_TORCH = ("torch", "torchvision")


def normalised(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(lock: str) -> dict[str, str]:
    """Return the text of each package in a lock, by its name."""
    found: dict[str, str] = {}
    name = ""
    for line in lock.splitlines(keepends=True):
        if line[:1].isalnum():
            match = _NAME.match(line)
            name = normalised(match[0]) if match else ""
            found.setdefault(name, "")  # a package may stand twice, for two versions of Python
        if name and not line.startswith("#"):
            found[name] += line
    return found


def needed_by(lock: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which packages each one needs, read from the comments that say by whom it is needed."""
    needs: dict[str, set[str]] = {}
    for name, text in lock.items():
        _, _, via = text.partition("# via")
        for word in re.split(r"[\s#]+", via):
            if _NAME.fullmatch(word):
                needs.setdefault(normalised(word), set()).add(name)
    return needs


def wanted(project: Mapping[str, dict[str, list[str]] | list[str]], extras: Collection[str]) -> set[str]:
    """Return the packages that the project itself asks for.

    Raises:
        SystemExit: There is no such extra.
    """
    optional = project["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra in extras:
        if not isinstance(optional, dict) or extra not in optional:
            raise SystemExit(f'There is no extra "{extra}"; extras are {", ".join(sorted(optional))}.')
        lines += optional[extra]
    return {normalised(match[0]) for line in lines if (match := _NAME.match(line))}


def reached(lock: str, waiting: set[str]) -> dict[str, str]:
    """Return the blocks of packages and of all that they need.

    Raises:
        SystemExit: The lock does not hold it.
    """
    packages = blocks(lock)
    needs = needed_by(packages)
    found: set[str] = set()
    if missing := waiting - set(packages):
        raise SystemExit(f"requirements.lock lacks {', '.join(sorted(missing))}; run make lock.")
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= needs.get(name, set()) - found
    return {name: text for name, text in packages.items() if name in found}


def without_torch(packages: Mapping[str, str]) -> dict[str, str]:
    """Return packages less torch and what its build for GPUs brings along."""
    return {name: text for name, text in packages.items() if name not in _TORCH and not name.startswith(_OF_TORCH)}


def main() -> None:
    """Print the part of the lock."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--extra", action="append", default=[], help="An extra of the project; may be repeated.")
    parser.add_argument("--package", action="append", default=[], help="Only this package; may be repeated.")
    parser.add_argument("--without-torch", action="store_true", help="Leave torch to another lock.")
    given = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {normalised(name) for name in given.package} or wanted(project, given.extra)
    packages = reached((ROOT / "requirements.lock").read_text(encoding="utf-8"), asked)
    sys.stdout.write("".join((without_torch(packages) if given.without_torch else packages).values()))


if __name__ == "__main__":
    main()
