"""The scenes that the viewer offers: those under its roots, and nothing else."""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from terrazzo.errors import ConfigError
from terrazzo.serve.finding import folders_below, mapped_scene, pictured_scene, scenes_in
from terrazzo.serve.map_classes import is_map
from terrazzo.serve.rasters import open_viewed
from terrazzo.serve.viewed_scene import ViewedScene

__all__ = ["SceneLibrary"]

_FRESH_SECONDS = 2.0
"""Seconds for which a list of scenes is not made anew."""
_GRAIN = 2 * 10**9
"""Nanoseconds by which the times of file systems may be off."""


@dataclass(frozen=True)
class _Folder:
    """A folder as it was last looked at: when it had changed, when that was, in nanoseconds, and what lay there."""

    changed: int
    looked: int
    scenes: tuple[ViewedScene, ...]


class SceneLibrary:
    """Scenes of some folders; several threads may ask at once.

    A file is shown only if it lies under a root when links are followed, so that neither a link nor a summary can lead
    elsewhere.

    Args:
        roots: Folders whose scenes are offered, at once or as they appear.
        anywhere: Whether the images that maps name may lie outside the roots: for a user who looks at a run of his own.
    """

    def __init__(self, roots: Sequence[Path] = (), *, anywhere: bool = False) -> None:
        self._lock = threading.Lock()
        self._scan = threading.Lock()
        self._roots: dict[Path, str | None] = dict.fromkeys((root.resolve() for root in roots), None)
        self._anywhere = anywhere
        self._single: dict[str, ViewedScene] = {}
        self._given: set[Path] = set()
        self._folders: dict[Path, _Folder] = {}
        self._found: dict[str, ViewedScene] = {}
        self._fresh_until = 0.0

    def add(self, folder: Path, *, name: str = "") -> None:
        """Offer the scenes of a further folder: the results of a job.

        Args:
            folder: The folder, whose name is the job's.
            name: How its scenes are called; by their files' names if empty.
        """
        with self._lock:
            self._roots[folder.resolve()] = name
            self._fresh_until = 0.0

    def remove(self, folder: Path) -> None:
        """Offer the scenes of an added folder no more; of one that was never added this says nothing."""
        with self._lock:
            self._roots.pop(folder.resolve(), None)
            self._fresh_until = 0.0

    def add_file(self, path: Path, *, image: Path | None = None) -> ViewedScene:
        """Offer a single map or image.

        Args:
            path: A map that Terrazzo wrote, or an image.
            image: The image of which the map was made; sought beside it, and where its summary says, if None.

        Raises:
            ConfigError: An image is given for what is no map.
            DataError: It is no raster.
        """
        path = path.absolute()
        with self._lock:
            self._given = self._given | {one.resolve() for one in (path, image) if one is not None}
        with open_viewed(path) as raster:
            mapped = is_map(raster)
        if image is not None:
            with open_viewed(image):
                pass
            if not mapped:
                raise ConfigError(f"{path} is no map of classes, so that {image} cannot be its image; give it alone.")
        scene = mapped_scene(path, allowed=self._allowed, image=image) if mapped else pictured_scene(path)
        with self._lock:
            self._single[scene.id] = scene
            self._fresh_until = 0.0
        return scene

    def scenes(self) -> list[ViewedScene]:
        """Return all scenes, in the order of their roots, folders and names."""
        return list(self._current().values())

    def scene(self, name: str) -> ViewedScene | None:
        """Return the scene of an id; None where there is none, or none any more."""
        with self._lock:
            known = self._found.get(name)
        # A scene that was listed is found without looking through the folders again; a tile is asked for in thousands.
        if known is None:
            known = self._current().get(name)
        if known is None or not all(self._shown(path) for path in known.files.values()):
            return None
        return known

    def _shown(self, path: Path) -> bool:
        # A file may have become a link since it was found.
        return path.is_file() and self._allowed(path)

    def _allowed(self, path: Path) -> bool:
        if self._anywhere:
            return True
        real = path.resolve()
        with self._lock:
            roots, given = list(self._roots), self._given
        return real in given or any(real.is_relative_to(root) for root in roots)

    def _current(self) -> Mapping[str, ViewedScene]:
        """Return the scenes by id, found anew where the last look is some seconds old."""
        with self._scan:
            with self._lock:
                if time.monotonic() < self._fresh_until:
                    return self._found
                roots = dict(self._roots)
                single = dict(self._single)
                # What is added while the folders are looked through makes the result stale at once.
                self._fresh_until = time.monotonic() + _FRESH_SECONDS
            found = {name: scene for name, scene in single.items() if all(map(self._shown, scene.files.values()))}
            looked_at: dict[Path, _Folder] = {}
            for root, called in roots.items():
                for folder in folders_below(root):
                    if folder not in looked_at:
                        looked_at[folder] = self._look(folder, root)
                        scenes = looked_at[folder].scenes
                        for scene in scenes:
                            found.setdefault(
                                scene.id,
                                scene if called is None else _called(scene, root, called, alone=len(scenes) == 1),
                            )
            with self._lock:
                self._folders = looked_at
                self._found = found
            return found

    def _look(self, folder: Path, root: Path) -> _Folder:
        """Look at a folder, unless it has not changed since the last time."""
        try:
            changed = folder.stat().st_mtime_ns
        except OSError:
            return _Folder(0, 0, ())
        known = self._folders.get(folder)
        # A file that comes within the clock's grain of a look leaves no trace in the folder's time.
        if known is not None and known.changed == changed and known.looked > changed + _GRAIN:
            return known
        looked = time.time_ns()
        group = "" if folder == root else folder.relative_to(root).as_posix()
        return _Folder(changed, looked, tuple(scenes_in(folder, group=group, allowed=self._allowed)))


def _called(scene: ViewedScene, root: Path, name: str, *, alone: bool) -> ViewedScene:
    """Return the scene of a job, called as its client called it."""
    called = scene.name if not name else name if alone else f"{name}: {scene.name}"
    return replace(scene, name=called, job=root.name)
