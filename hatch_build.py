"""Puts the map viewer into what is built: files made from `viewer/` with npm, which are not part of the repository.

Where Node.js is missing or the packages cannot be fetched, the wheel is built without the viewer and says so;
TERRAZZO_REQUIRE_VIEWER=1 makes that an error. Editable installs never build it: `make viewer` does.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "src/terrazzo/serve/static"
COMMANDS = (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"])
TIMEOUT_SECONDS = 600


class ViewerHook(BuildHookInterface):
    """Builds the viewer before a wheel or a source archive is put together."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the viewer where it can be built, and have its files packed."""
        if version == "editable":
            return
        root = Path(self.root)
        if not is_current(root):
            problem = build_viewer(root)
            if problem and os.environ.get("TERRAZZO_REQUIRE_VIEWER") == "1":
                raise RuntimeError(f"The map viewer was not built: {problem}")
            if problem:
                self.app.display_warning(f"The map viewer is left out of this {self.target_name}: {problem}")
        if (root / STATIC / "index.html").is_file():
            # Git ignores these files, and so would the build.
            build_data["artifacts"].append(f"/{STATIC}/**")


def is_current(root: Path) -> bool:
    """Return whether the built viewer is there and none of its sources is newer."""
    page = root / STATIC / "index.html"
    if not page.is_file():
        return False
    folder = root / "viewer"
    sources = [path for path in folder.rglob("*") if path.is_file() and "node_modules" not in path.parts]
    return all(path.stat().st_mtime <= page.stat().st_mtime for path in sources)


def build_viewer(root: Path) -> str:
    """Build the viewer, and return what went wrong; nothing if all went well.

    What an earlier build left is removed first: an old viewer must not be packed for a new one.
    """
    folder = root / "viewer"
    shutil.rmtree(root / STATIC, ignore_errors=True)
    if not (folder / "package-lock.json").is_file():
        return "its sources are missing."
    if shutil.which("npm") is None:
        return "npm is missing; install Node.js 20 or later."
    for command in COMMANDS:
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)} failed: {error}."
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            return f"{' '.join(command)} ended with status {done.returncode}; its messages stand above."
    return ""
