"""The scene engine: windows, blending, streaming, and maps on the scene's own grid."""

from terrazzo.scene.engine import SceneSummary, map_scene
from terrazzo.scene.scenes import map_scenes
from terrazzo.scene.settings import PredictSettings

__all__ = ["PredictSettings", "SceneSummary", "map_scene", "map_scenes"]
