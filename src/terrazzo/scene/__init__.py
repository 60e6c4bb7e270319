"""The scene engine: windows, blending, streaming, and maps on the scene's own grid."""

from terrazzo.scene.engine import map_scene
from terrazzo.scene.mapped import Mapped
from terrazzo.scene.scenes import map_scenes
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.summary import SceneSummary

__all__ = ["Mapped", "PredictSettings", "SceneSummary", "map_scene", "map_scenes"]
