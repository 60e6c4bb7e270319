"""Several scenes: which files are meant, and what each map is called."""

import glob
from collections.abc import Sequence
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.raster import RasterFile
from terrazzo.machine import MachineSettings
from terrazzo.progress import Listener, silent
from terrazzo.scene.engine import Mapped, map_scene
from terrazzo.scene.layers import layer_path
from terrazzo.scene.plan import plan_scene
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.writer import read_georeference

__all__ = ["find_scenes", "map_paths", "map_scenes"]

SUFFIXES = frozenset({".tif", ".tiff", ".vrt", ".jp2", ".img", ".png", ".jpg", ".jpeg", ".bmp", ".webp"})
"""Files of a folder that are taken for scenes; a file that is named itself may have any suffix."""

MAP_SUFFIXES = frozenset({".tif", ".tiff", ".png"})

LARGEST_PNG_PIXELS = 2**27
"""Pixels of a picture above which its map is a GeoTIFF, of which a viewer can read parts."""


def map_scenes(
    bundle: Bundle,
    inputs: Sequence[str | Path],
    out: Path,
    *,
    settings: PredictSettings | None = None,
    machine: MachineSettings | None = None,
    listener: Listener = silent,
) -> list[Mapped]:
    """Map scenes into a folder, or one scene into a file.

    All scenes are opened and checked before the first is mapped, so that a wrong one is heard of at once.

    Args:
        bundle: The network and what it was trained for.
        inputs: Files, folders and patterns.
        out: Folder; or a `.tif` or `.png` file where there is one scene.
        settings: How to map.
        machine: What to compute on.
        listener: Hears of the progress.

    Raises:
        DataError: An input names nothing, or a scene cannot be read.
        ContractError: A scene does not fit the bundle.
        ConfigError: Settings contradict each other; or a map would replace a scene.
    """
    settings = settings or PredictSettings()
    scenes = find_scenes(inputs)
    goals = map_paths(scenes, out, settings=settings, bundle=bundle)
    return [
        map_scene(bundle, scene, goal, settings=settings, machine=machine, listener=listener)
        for scene, goal in zip(scenes, goals, strict=True)
    ]


def find_scenes(inputs: Sequence[str | Path]) -> list[Path]:
    """Return the files that inputs name, in order, each once.

    Args:
        inputs: Files; folders, of which every raster directly inside is taken, by name; patterns with `*`, `?`, `[`
            and `**`.

    Raises:
        DataError: There are no inputs, or one names nothing.
    """
    if not inputs:
        raise DataError("No scenes were given; name files, folders or patterns.")
    found: dict[Path, Path] = {}
    for given in inputs:
        named = _expand(str(given))
        if not named:
            raise DataError(f"{given} names no scene: there is no such file, or no raster in that folder.")
        for path in named:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def map_paths(scenes: Sequence[Path], out: Path, *, settings: PredictSettings, bundle: Bundle) -> list[Path]:
    """Return where each scene's map goes; all differ, and none is a scene. Every scene is checked on the way.

    Scenes of the same name in several folders keep as much of their folders as it takes to tell them apart.

    Args:
        scenes: Different files.
        out: Folder; or a file where there is one scene.
        settings: How to map.
        bundle: What maps them.

    Raises:
        DataError: A scene cannot be read.
        ContractError: A scene does not fit the bundle.
        ConfigError: A map would replace a scene, or several scenes go into one file.
    """
    suffixes = [_default_suffix(scene, settings, bundle) for scene in scenes]
    if out.suffix.lower() in MAP_SUFFIXES and not out.is_dir():
        if len(scenes) > 1:
            raise ConfigError(f"{len(scenes)} scenes cannot go into the one file {out}; name a folder.")
        goals = [out]
    else:
        goals = [out / (name + suffix) for name, suffix in zip(_names(scenes), suffixes, strict=True)]
    taken = {scene.resolve() for scene in scenes}
    for goal in goals + [layer_path(goal, name) for goal in goals for name in settings.layers]:
        if goal.resolve() in taken:
            raise ConfigError(f"{goal} would be written twice, or replace a scene; choose another folder.")
        taken.add(goal.resolve())
    return goals


def _expand(given: str) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and _visible(entry))
    if path.exists() or not glob.has_magic(given):
        # What does not exist may still be something that GDAL opens; reading it names it if not.
        return [path]
    return sorted(Path(found) for found in glob.glob(given, recursive=True) if Path(found).is_file())  # noqa: PTH207


def _visible(entry: Path) -> bool:
    return entry.is_file() and not entry.name.startswith(".")


def _default_suffix(scene: Path, settings: PredictSettings, bundle: Bundle) -> str:
    """Check a scene, and choose the format that suits it."""
    with RasterFile(scene) as opened:
        grid = plan_scene(bundle, opened, settings).grid
    picture = not read_georeference(scene).present and grid.height * grid.width <= LARGEST_PNG_PIXELS
    return ".png" if picture and settings.values != "source" else ".tif"


def _names(scenes: Sequence[Path]) -> list[str]:
    """Name maps after their scenes, with as many parent folders as it takes."""
    bare = [scene.absolute().with_suffix("") for scene in scenes]
    # Beside each other, only their suffix tells `a.tif` and `a.png` apart.
    parts = [
        (path.with_name(f"{path.name}_{scene.suffix[1:]}") if bare.count(path) > 1 else path).parts[1:]
        for path, scene in zip(bare, scenes, strict=True)
    ]
    deepest = max(map(len, parts))
    depth = [1] * len(scenes)
    for _ in range(deepest):
        names = ["_".join(part[-count:]) for part, count in zip(parts, depth, strict=True)]
        twice = [position for position, name in enumerate(names) if names.count(name) > 1]
        if not twice:
            return names
        for position in twice:
            depth[position] += 1
    clashing = ", ".join(str(scenes[position]) for position in twice)
    raise ConfigError(f"The maps of {clashing} would have the same name; map them into different folders.")
