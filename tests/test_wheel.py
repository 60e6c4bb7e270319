"""The wheel of a clean checkout: what is in it, and what it says of itself. benchmarks/wheel_demo.py installs one."""

import email
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import terrazzo
from terrazzo.config import list_recipes

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build what is committed, without the map viewer: npm is hidden from the build."""
    folder = tmp_path_factory.mktemp("wheel")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    environment = {**os.environ, "PATH": str(Path(sys.executable).parent)}
    environment.pop("TERRAZZO_REQUIRE_VIEWER", None)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "built"]
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, timeout=120)
    (path,) = (folder / "built").glob("*.whl")
    return zipfile.ZipFile(path)


def test_it_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"terrazzo", f"terrazzo-{terrazzo.__version__}.dist-info"}
    assert {f"terrazzo/recipes/{name}.yaml" for name in list_recipes()} <= set(names)
    assert {"terrazzo/py.typed", "terrazzo/report/page.css"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test_" in name or "__pycache__" in name or name.endswith((".pyc", ".tif"))]


def test_its_metadata_is_the_projects(wheel: zipfile.ZipFile) -> None:
    folder = f"terrazzo-{terrazzo.__version__}.dist-info"
    told = email.message_from_bytes(wheel.read(f"{folder}/METADATA"))
    assert (told["Name"], told["Version"], told["License-Expression"]) == ("terrazzo", terrazzo.__version__, "MIT")
    assert told["Requires-Python"] == ">=3.11"
    assert {"serve", "onnx", "ray"} <= set(told.get_all("Provides-Extra") or [])
    assert any(line.startswith("torch") for line in told.get_all("Requires-Dist") or [])
    assert "terrazzo = terrazzo.cli:main" in wheel.read(f"{folder}/entry_points.txt").decode()
    assert wheel.testzip() is None
