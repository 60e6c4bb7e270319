"""Builds a wheel from a clean checkout, installs it into an empty environment and runs `terrazzo demo` there.

    python benchmarks/wheel_demo.py [--folder DIR] [--offline] [--without-demo]

Prints what each step took. The environment gets the part of requirements.lock that running needs, with its hashes; the
repository's own environment is not touched.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def step(told: str, command: Sequence[str | Path], folder: Path) -> str:
    """Run a command, print how long it took, and return what it printed.

    Raises:
        SystemExit: It failed.
    """
    begun = time.perf_counter()
    # Nothing of this checkout may be found by chance.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    print(f"{time.perf_counter() - begun:7.1f} s  {told}", flush=True)
    if done.returncode:
        raise SystemExit(f"{told} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def check(folder: Path, *, demo: bool, offline: bool) -> None:
    """Do it all in a folder.

    Args:
        folder: Empty.
        demo: Whether to run the demo too.
        offline: Whether packages come from the installer's cache alone.
    """
    uv = Path(sys.executable).with_name("uv")
    checkout, environment = folder / "checkout", folder / "environment"
    python = environment / "bin" / "python"
    # The wheel is built with the locked hatchling of this environment: a build of its own would ask an index.
    step("clone of HEAD", ["git", "clone", "--quiet", "--no-hardlinks", ROOT, checkout], folder)
    step("wheel", [uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable], checkout)
    (wheel,) = (checkout / "dist").glob("*.whl")
    lock = folder / "runtime.lock"
    lock.write_text(step("part of the lock", [sys.executable, "container/runtime_lock.py"], checkout))
    step("empty environment", [uv, "venv", "--quiet", "--python", sys.executable, environment], folder)
    install = [uv, "pip", "install", "--quiet", "--python", python, *(["--offline"] if offline else [])]
    step("packages", [*install, "--require-hashes", "-r", lock], folder)
    step(f"{wheel.name}, {wheel.stat().st_size / 2**20:.1f} MiB", [*install, "--no-deps", wheel], folder)
    terrazzo = environment / "bin" / "terrazzo"
    where = step("import", [python, "-c", "import terrazzo; print(terrazzo.__file__)"], folder).strip()
    if not Path(where).is_relative_to(environment):
        raise SystemExit(f"The package was found in {where}, not in the new environment.")
    found = json.loads(step("doctor", [terrazzo, "doctor", "--json"], folder))
    if not found["usable"]:
        raise SystemExit(f"doctor says: {found}")
    if demo:
        step("demo", [terrazzo, "demo", "--out", folder / "demo"], folder)
        maps = sorted(path.name for path in (folder / "demo").rglob("*.tif"))
        if not maps:
            raise SystemExit("The demo left no map.")
        print(f"           maps: {', '.join(maps)}")


def main() -> None:
    """Read the arguments, and do it in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="Work here, and keep it; a temporary folder if left out.")
    parser.add_argument("--offline", action="store_true", help="Take packages from the installer's cache alone.")
    parser.add_argument("--without-demo", action="store_true", help="Stop before the demo.")
    given = parser.parse_args()
    if given.folder:
        given.folder.mkdir(parents=True)
        check(given.folder.resolve(), demo=not given.without_demo, offline=given.offline)
        return
    with tempfile.TemporaryDirectory(prefix="terrazzo-wheel-") as folder:
        check(Path(folder), demo=not given.without_demo, offline=given.offline)


if __name__ == "__main__":
    main()
