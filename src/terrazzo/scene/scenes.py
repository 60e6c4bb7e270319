"""Several scenes: which files are meant, and what each map is called."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError
from terrazzo.machine import MachineSettings, configure
from terrazzo.progress import Listener, silent
from terrazzo.scene.engine import map_scene
from terrazzo.scene.header import Decisions
from terrazzo.scene.inputs.addresses import is_address
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.georeference import scene_georeference
from terrazzo.scene.inputs.listing import find_entries
from terrazzo.scene.layers import layer_path
from terrazzo.scene.mapped import Mapped
from terrazzo.scene.plan import plan_scene
from terrazzo.scene.settings import PredictSettings
from terrazzo.scene.workforce.stopping import stop_on_signals

__all__ = ["map_paths", "map_scenes"]

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
        inputs: Files, SAFE folders, addresses, patterns with `{band}`; folders and patterns of these.
        out: Folder; or a `.tif` or `.png` file where there is one scene.
        settings: How to map.
        machine: What to compute on.
        listener: Hears of the progress.

    Raises:
        DataError: An input names nothing, or a scene cannot be read.
        ContractError: A scene does not fit the bundle.
        ConfigError: Settings contradict each other; or a map would replace a scene.
    """
    settings, machine = settings or PredictSettings(), machine or MachineSettings()
    entries = find_entries(inputs, settings, bundle)
    goals = map_paths(entries, out, settings=settings, bundle=bundle)
    stop = threading.Event()

    def mapped(entry: SceneEntry, goal: Path) -> Mapped:
        return map_scene(bundle, entry, goal, settings=settings, machine=machine, listener=listener, stop=stop)

    if settings.executor != "ray" or len(entries) == 1:
        return list(map(mapped, entries, goals))
    return _side_by_side(mapped, entries, goals, together=_scenes_at_once(settings, machine), stop=stop)


def _scenes_at_once(settings: PredictSettings, machine: MachineSettings) -> int:
    """Return how many scenes keep all workers of a cluster busy, which only their device and threads decide."""
    from terrazzo.scene.workforce.ray import RayWorkforce

    decisions = Decisions(
        device=configure(machine).device,
        precision="float32",
        compiled=False,
        threads=1 if machine.threads == "auto" else machine.threads,
        batch_size=1,
        group_size=1,
        strip_pixels=1,
    )
    return RayWorkforce(None if settings.workers == "auto" else settings.workers).scenes_at_once(decisions)


def _side_by_side(
    mapped: Callable[[SceneEntry, Path], Mapped],
    entries: Sequence[SceneEntry],
    goals: Sequence[Path],
    *,
    together: int,
    stop: threading.Event,
) -> list[Mapped]:
    """Map scenes in threads of this process, so that a cluster never waits for the last strips of one of them."""
    with (
        stop_on_signals(stop),
        ThreadPoolExecutor(min(together, len(entries)), thread_name_prefix="terrazzo-scene") as pool,
    ):
        futures = [pool.submit(mapped, entry, goal) for entry, goal in zip(entries, goals, strict=True)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def map_paths(scenes: Sequence[SceneEntry], out: Path, *, settings: PredictSettings, bundle: Bundle) -> list[Path]:
    """Return where each scene's map goes; all differ, and none is a scene. Every scene is checked on the way.

    Scenes of the same name in several folders keep as much of their folders as it takes to tell them apart.

    Args:
        scenes: Different scenes.
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
    taken = {Path(file).resolve() for scene in scenes for file in scene.files}
    for goal in goals + [layer_path(goal, name) for goal in goals for name in settings.layers]:
        if goal.resolve() in taken:
            raise ConfigError(f"{goal} would be written twice, or replace a scene; choose another folder.")
        taken.add(goal.resolve())
    return goals


def _default_suffix(scene: SceneEntry, settings: PredictSettings, bundle: Bundle) -> str:
    """Check a scene, and choose the format that suits it."""
    with scene.open() as opened:
        grid = plan_scene(bundle, opened, settings).grid
    picture = not scene_georeference(scene).present and grid.height * grid.width <= LARGEST_PNG_PIXELS
    banded = "probabilities" in settings.layers
    return ".png" if picture and settings.values != "source" and not banded else ".tif"


def _names(scenes: Sequence[SceneEntry]) -> list[str]:
    """Name maps after their scenes, with as many parent folders as it takes."""
    bare = [(*_folders(scene.path), scene.name) for scene in scenes]
    # Beside each other, only their suffix tells `a.tif` and `a.png` apart.
    parts = [
        (*path[:-1], f"{path[-1]}_{Path(scene.path).suffix[1:]}") if bare.count(path) > 1 else path
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
    clashing = ", ".join(scenes[position].path for position in twice)
    raise ConfigError(f"The maps of {clashing} would have the same name; map them into different folders.")


def _folders(path: str) -> tuple[str, ...]:
    """Return the names of the folders that a scene lies in; at an address those after its scheme, the host first."""
    if is_address(path):
        return tuple(part for part in PurePosixPath(path.partition("://")[2] or path).parent.parts if part != "/")
    return Path(path).absolute().parent.parts[1:]
