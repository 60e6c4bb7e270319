"""A scene that the viewer shows: an image, the map made of it, and the layers beside that map."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrazzo.storage import fingerprint

__all__ = ["IMAGE", "LAYERS", "MAP", "ViewedScene", "layer_file", "scene_id"]

IMAGE, MAP = "image", "class"
"""Names of the image and of the map of classes among a scene's files."""

LAYERS = ("confidence", "entropy", "margin", "steps", "disagreement", "abstain", "sets", "probabilities")
"""Further layers of a map, in the order in which they are offered."""


@dataclass(frozen=True)
class ViewedScene:
    """What is known of a scene before any of its files is opened.

    Attributes:
        id: Name in addresses; says nothing of where the scene lies.
        name: Name for people.
        group: Folder below its root, for people; empty at the top.
        image: The image; None where only the map was found.
        map: The map of classes; None for an image alone.
        layers: Files of further layers by name.
        summary: What mapping it came to; empty where nothing is known.
        note: What the viewer's reader should know, such as that the image was not found.
        job: The job that it is the result of; empty for others.
    """

    id: str
    name: str
    group: str
    image: Path | None
    map: Path | None
    layers: Mapping[str, Path] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    job: str = ""

    @property
    def files(self) -> dict[str, Path]:
        """All files by what they show: `image`, `class` and further layers."""
        found = {IMAGE: self.image, MAP: self.map, **self.layers}
        return {name: path for name, path in found.items() if path is not None}

    @property
    def version(self) -> str:
        """A word that changes with any of the files; where one has gone, too."""
        found: list[list[object]] = []
        for name, path in self.files.items():
            try:
                status = path.stat()
            except OSError:
                found.append([name, None])
            else:
                found.append([name, str(path), status.st_size, status.st_mtime_ns])
        return fingerprint(found)[:16]


def scene_id(path: Path) -> str:
    """Return the name in addresses of the scene whose map, or else image, lies somewhere.

    >>> len(scene_id(Path("/maps/a.tif")))
    20
    """
    return hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def layer_file(path: Path, name: str) -> Path:
    """Return where a further layer of a map lies: where `terrazzo.scene.layers.layer_path` had it written.

    That module loads all that makes maps, which takes seconds.

    >>> layer_file(Path("maps/a.tif"), "confidence").name
    'a_confidence.tif'
    """
    return path.with_name(f"{path.stem}_{name}{path.suffix}")
