"""The package's own names, and what importing it costs."""

import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import terrazzo

HEAVY = {
    "torch", "numpy", "rasterio", "pydantic", "omegaconf", "pandas", "scipy", "lightning_fabric",
    "pyarrow", "matplotlib",
    "yaml", "rich", "geopandas", "shapely", "segmentation_models_pytorch",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after running code."""
    end = "\nimport sys; print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code + end], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import terrazzo") & HEAVY == set()


def test_the_check_itself_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import numpy")


def test_names_of_components_are_readable_without_torch() -> None:
    assert "torch" not in loaded_by("import terrazzo.record; terrazzo.record.Table('things', {'a': 'b:C'}).names()")


def test_the_spine_needs_neither_torch_nor_rasterio() -> None:
    spine = ["errors", "record", "storage", "progress", "logs", "machine"]
    found = loaded_by("\n".join(f"import terrazzo.{room}" for room in spine))
    assert found & {"torch", "rasterio", "numpy", "rich"} == set()


def test_geography_needs_no_torch() -> None:
    assert "torch" not in loaded_by("import terrazzo.geo.raster")


def test_the_version_is_the_installed_one() -> None:
    assert terrazzo.__version__ == version("terrazzo")


@pytest.mark.parametrize("name", [name for name in terrazzo.__all__ if not name.startswith("_")])
def test_every_public_name_loads_from_its_home(name: str) -> None:
    found = getattr(terrazzo, name)
    home = importlib.import_module(terrazzo._HOMES[name])
    assert found is getattr(home, name)
    assert callable(found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = terrazzo.trian


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(terrazzo.__file__).parent / "py.typed").is_file()
