"""From what a user names to scenes that can be mapped."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from terrazzo.bundle import Bundle
from terrazzo.errors import ConfigError
from terrazzo.scene.contract import target_resolution
from terrazzo.scene.inputs.area import SceneInArea
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.inputs.joined import joined
from terrazzo.scene.inputs.naming import Named, named_scenes
from terrazzo.scene.inputs.single import address_entry, file_entry
from terrazzo.scene.inputs.stacked import band_entries, safe_entries
from terrazzo.scene.settings import PredictSettings

__all__ = ["find_entries", "scene_entry"]

# Headers that are read at once.
_AT_ONCE = 8


def find_entries(inputs: Sequence[str | Path], settings: PredictSettings, bundle: Bundle) -> list[SceneEntry]:
    """Return the scenes that inputs name, each once, in order; all as one where the settings ask for a mosaic.

    Every header is read. The scenes carry the settings' area, and lie on the grid on which they are to be read.

    Args:
        inputs: Files; SAFE folders; addresses; patterns with `{band}`; folders and patterns of any of these.
        settings: How to map.
        bundle: What the network was trained for.

    Raises:
        DataError: An input names nothing, or a scene cannot be read or joined.
        ContractError: A scene lies outside the area, or its pixels are refused for their size.
    """
    entries = _all_entries(named_scenes(inputs), settings, bundle)
    if settings.mosaic is not None:
        entries = [joined(entries, order=settings.mosaic, name=_mosaic_name(inputs, entries))]
    return [_prepared(entry, settings, bundle) for entry in entries]


def scene_entry(path: str, settings: PredictSettings, bundle: Bundle) -> SceneEntry:
    """Return the one scene that a name means.

    Args:
        path: As one of the inputs of `find_entries`.
        settings: How to map.
        bundle: What the network was trained for.

    Raises:
        ConfigError: It means several scenes.
        DataError: As from `find_entries`.
        ContractError: As from `find_entries`.
    """
    found = find_entries([path], settings, bundle)
    if len(found) > 1:
        raise ConfigError(
            f"{path} names {len(found)} scenes, such as {found[0].path} and {found[1].path}, but one is mapped here; "
            "name one, or set predict.mosaic to first or last to map them as one."
        )
    return found[0]


def _all_entries(named: Sequence[Named], settings: PredictSettings, bundle: Bundle) -> list[SceneEntry]:
    """Read the headers of all scenes, several at once: one at an address takes a second, and a mosaic has thousands."""
    if len(named) == 1:
        return _entries(named[0], settings, bundle)
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="terrazzo-headers")
    try:
        lists = list(pool.map(lambda one: _entries(one, settings, bundle), named))
    finally:
        pool.shutdown(cancel_futures=True)
    return [entry for entries in lists for entry in entries]


def _entries(named: Named, settings: PredictSettings, bundle: Bundle) -> list[SceneEntry]:
    by_name = settings.bands is None
    if named.kind == "safe":
        return safe_entries(named.text, bundle.bands, named=by_name)
    if named.kind == "bands":
        return band_entries(named.text, bundle.bands, named=by_name)
    if named.kind == "address":
        return [address_entry(named.text)]
    return [file_entry(named.text, whole=settings.max_errors == 0)]


def _mosaic_name(inputs: Sequence[str | Path], entries: Sequence[SceneEntry]) -> str:
    """Name a mosaic after its folder where it is one, else after its first scene."""
    only = Path(inputs[0])
    if len(inputs) == 1 and only.is_dir() and len(entries) > 1:
        return only.resolve().name or "mosaic"
    return entries[0].name if len(entries) == 1 else f"{entries[0].name}_mosaic"


def _prepared(entry: SceneEntry, settings: PredictSettings, bundle: Bundle) -> SceneEntry:
    """Give a scene the grid on which it is read, and its area."""
    metres = target_resolution(bundle, entry.grid, settings, name=entry.path)
    if metres is not None:
        entry = entry.at_resolution(metres)
    if settings.area is None:
        return entry
    entry = entry.model_copy(update={"area": settings.area.absolute()})
    with entry.open() as opened:
        if isinstance(opened, SceneInArea):
            opened.require_pixels()
    return entry
