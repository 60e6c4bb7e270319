"""Which scenes lie in a folder: maps with what belongs to them, and images of which no map was made.

A map says by itself that it is one; the summary that `terrazzo predict` writes says which image it was made of.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrazzo.errors import DataError
from terrazzo.serve.map_classes import is_map
from terrazzo.serve.rasters import SUFFIXES, open_viewed
from terrazzo.serve.viewed_scene import LAYERS, ViewedScene, layer_file, scene_id

__all__ = ["Allowed", "folders_below", "is_run", "mapped_scene", "pictured_scene", "scenes_in"]

Allowed = Callable[[Path], bool]
"""Whether a file may be shown."""

_DEEPEST = 8
_MOST_FOLDERS = 2000
_MOST_FILES = 5000
_LARGEST_SUMMARY = 2**26
_SHOWN_OF_A_RUN = ("predict", "evaluate")
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "tensorboard", "checkpoints"})


def is_run(folder: Path) -> bool:
    """Return whether a folder is one of `terrazzo run` or `terrazzo train`."""
    return (folder / "config.yaml").is_file() and (
        (folder / "log.csv").is_file() or (folder / "bundle.safetensors").is_file() or (folder / "predict").is_dir()
    )


def folders_below(root: Path) -> Iterator[Path]:
    """Yield a folder and those below it in which scenes may lie; links, hidden folders and prepared data are left out.

    Args:
        root: The folder.
    """
    waiting, seen = [(root, 0)], 0
    while waiting and seen < _MOST_FOLDERS:
        folder, depth = waiting.pop(0)
        seen += 1
        yield folder
        if depth == _DEEPEST:
            continue
        try:
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        if is_run(folder):
            names = [name for name in names if name in _SHOWN_OF_A_RUN]
        for name in names:
            below = folder / name
            if not name.startswith(".") and name not in _LEFT_OUT and not (below / "prepared.json").is_file():
                waiting.append((below, depth + 1))


@dataclass(frozen=True)
class _Entry:
    """What a summary says of one map."""

    scene: str
    out: str
    content: Mapping[str, Any]


def scenes_in(folder: Path, *, group: str, allowed: Allowed) -> list[ViewedScene]:
    """Return the scenes that lie in a folder itself.

    Images without a map are scenes only where the folder holds no map: beside maps they are these maps' images,
    quick looks and other layers.

    Args:
        folder: The folder.
        group: How people call it.
        allowed: Which files may be shown.
    """
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except OSError:
        return []
    found = [
        path
        for name in names[:_MOST_FILES]
        if not name.startswith(".") and (path := folder / name).suffix.lower() in SUFFIXES and allowed(path)
    ]
    said = _summaries(folder, names)
    maps = [path for path in found if path.name in said or _says_it_is_a_map(path)]
    if maps:
        return [mapped_scene(path, said.get(path.name), group=group, allowed=allowed) for path in maps]
    return [pictured_scene(path, group=group) for path in found]


def pictured_scene(path: Path, *, group: str = "") -> ViewedScene:
    """Return the scene of an image of which there is no map."""
    return ViewedScene(scene_id(path), path.name, group, image=path, map=None)


def mapped_scene(
    path: Path, entry: _Entry | None = None, *, group: str = "", allowed: Allowed, image: Path | None = None
) -> ViewedScene:
    """Return the scene of a map.

    Args:
        path: The map.
        entry: What a summary says of it; read from beside it if None.
        group: How people call its folder.
        allowed: Which files may be shown.
        image: Its image, where that is known.
    """
    entry = entry or _summaries(path.parent, [f"{path.stem}.summary.json", "summary.json"]).get(path.name)
    layers = {}
    for name in LAYERS:
        beside = layer_file(path, name)
        if beside.is_file() and allowed(beside):
            layers[name] = beside
    note = ""
    if image is None:
        image, note = _image_of(path, entry, allowed)
    content = entry.content if entry is not None else {}
    return ViewedScene(scene_id(path), path.name, group, image, path, layers, content, note)


def _says_it_is_a_map(path: Path) -> bool:
    try:
        with open_viewed(path) as raster:
            return is_map(raster)
    except DataError:
        # A damaged file is listed as an image, so that whoever opens it is told what is wrong.
        return False


def _summaries(folder: Path, names: list[str]) -> dict[str, _Entry]:
    """Return what the summaries in a folder say, by the name of the map."""
    found: dict[str, _Entry] = {}
    for name in names:
        if name != "summary.json" and not name.endswith(".summary.json"):
            continue
        for content in _maps_of(folder / name):
            scene, out = content.get("scene"), content.get("out")
            if isinstance(scene, str) and isinstance(out, str) and Path(out).name:
                # The folder may have been moved since: what counts is what lies beside the summary.
                path = folder / Path(out).name
                if path.is_file():
                    found[path.name] = _Entry(scene, out, content)
    return found


def _maps_of(path: Path) -> list[dict[str, Any]]:
    try:
        if path.stat().st_size > _LARGEST_SUMMARY:
            return []
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    maps = content.get("maps") if isinstance(content, dict) else None
    return [entry for entry in maps if isinstance(entry, dict)] if isinstance(maps, list) else []


def _image_of(path: Path, entry: _Entry | None, allowed: Allowed) -> tuple[Path | None, str]:
    """Return the image that a map was made of, or a sentence that says why it is not shown."""
    wanted = entry.scene if entry is not None else _tagged_scene(path)
    tried = [] if entry is None else _places(path, entry)
    tried += [path.with_name(f"scene{suffix}") for suffix in sorted(SUFFIXES)]
    if wanted:
        tried.append(path.with_name(Path(wanted).name))
    hidden = False
    for place in tried:
        try:
            # A map may bear the name of the image that it was made of.
            if place.is_file() and not place.samefile(path):
                if place.suffix.lower() in SUFFIXES and allowed(place):
                    return place, ""
                hidden = True
        except (OSError, ValueError):
            continue
    if not wanted:
        return None, "The map does not say which image it was made of."
    name = Path(wanted).name or wanted
    if hidden:
        return None, f"The image {name} is not shown: it lies outside the folders that may be shown, or is no raster."
    return None, f"The image {name}, of which the map was made, was not found."


def _places(path: Path, entry: _Entry) -> list[Path]:
    """Return where the image may lie that a summary names.

    It may be named as seen from where the command ran; that folder follows from how the map itself is named.
    """
    named = Path(entry.scene)
    if named.is_absolute():
        return [named]
    folder, said = path.parent.absolute(), Path(entry.out).parent
    count = len(said.parts)
    bases = [Path.cwd()]
    if not said.is_absolute() and ".." not in said.parts and folder.parts[len(folder.parts) - count :] == said.parts:
        bases.insert(0, Path(*folder.parts[: len(folder.parts) - count]))
    return [base / named for base in bases]


def _tagged_scene(path: Path) -> str:
    try:
        with open_viewed(path) as raster:
            return str(raster.source.tags().get("TERRAZZO_SCENE", ""))
    except DataError:
        return ""
