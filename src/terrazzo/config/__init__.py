"""The configuration of a run: YAML files, recipes and overrides become one checked record.

Names load on first use: listing recipes needs neither torch nor rasterio.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from terrazzo.config.files import list_recipes as list_recipes
    from terrazzo.config.load import load_config as load_config
    from terrazzo.config.run_config import RunConfig as RunConfig
    from terrazzo.config.schema import config_schema as config_schema

_HOMES = {
    "RunConfig": "run_config",
    "config_schema": "schema",
    "list_recipes": "files",
    "load_config": "load",
}

__all__ = ["RunConfig", "config_schema", "list_recipes", "load_config"]


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use."""
    if name in _HOMES:
        return vars(importlib.import_module(f"terrazzo.config.{_HOMES[name]}"))[name]
    raise AttributeError(f"module 'terrazzo.config' has no attribute {name!r}")
