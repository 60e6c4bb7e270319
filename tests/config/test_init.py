"""Public names load on first use."""

import subprocess
import sys

import pytest

import terrazzo.config


def test_every_public_name_is_there():
    for name in terrazzo.config.__all__:
        assert terrazzo.config.__getattr__(name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        terrazzo.config.nothing  # noqa: B018


def test_listing_recipes_loads_neither_torch_nor_rasterio_nor_the_schema():
    code = (
        "import sys; from terrazzo.config import list_recipes; list_recipes();"
        "print([name for name in ('torch', 'rasterio', 'pandas', 'omegaconf') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
