"""The scene engine: windows, blending, streaming, and maps on the scene's own grid.

Public names load on first use: what only looks at maps needs none of what makes them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terrazzo.scene.engine import map_scene as map_scene
    from terrazzo.scene.mapped import Mapped as Mapped
    from terrazzo.scene.scenes import map_scenes as map_scenes
    from terrazzo.scene.settings import PredictSettings as PredictSettings
    from terrazzo.scene.summary import SceneSummary as SceneSummary

_HOMES = {
    "Mapped": "terrazzo.scene.mapped",
    "PredictSettings": "terrazzo.scene.settings",
    "SceneSummary": "terrazzo.scene.summary",
    "map_scene": "terrazzo.scene.engine",
    "map_scenes": "terrazzo.scene.scenes",
}

__all__ = ["Mapped", "PredictSettings", "SceneSummary", "map_scene", "map_scenes"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - each public name has its own type
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
