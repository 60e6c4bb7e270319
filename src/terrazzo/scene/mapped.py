"""A finished map, with what a report of it needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from terrazzo.scene.quality import SceneQuality
from terrazzo.scene.summary import SceneSummary

__all__ = ["Mapped"]


@dataclass(frozen=True)
class Mapped:
    """A finished map, with what a report of its quality is made from.

    Attributes:
        summary: What it came to.
        quality: What the map says of itself.
        notes: How it came about, as its files' tags say.
    """

    summary: SceneSummary
    quality: SceneQuality
    notes: Mapping[str, str]
