"""Georeferenced scenes whose labels are shapes, or rasters that cover all of them."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from terrazzo.data.recognise.content import is_label
from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.shapes import VECTOR_SUFFIXES, guess_shapes
from terrazzo.data.recognise.view import View
from terrazzo.errors import DataError
from terrazzo.geo.raster import RasterFile

__all__ = ["label_vectors", "scene_layouts"]

MOST_SCENES = 200
"""Rasters whose headers are read to tell scenes from labels."""


def scene_layouts(view: View) -> Iterator[Layout]:
    """Yield scenes with the label rasters that cover them, then scenes with shapes."""
    scenes: list[str] = []
    labels: list[str] = []
    for path in view.rasters[:MOST_SCENES]:
        kind = _kind(view, path)
        if kind is not None:
            (labels if kind else scenes).append(path)
    if not scenes:
        return
    settings: dict[str, object] = {"name": "geotiff", "folder": view.folder}
    if labels:
        rasters = [view.folder / path for path in labels]
        yield Layout(f"{len(scenes)} scenes under {len(labels)} label rasters", {**settings, "label_rasters": rasters})
    pattern = _pattern(scenes)
    for path, vectors in label_vectors(view):
        yield Layout(
            f"{len(scenes)} scene{'s' if len(scenes) > 1 else ''} with the shapes of {path}",
            {**settings, "images": pattern, "label_vectors": vectors},
        )


def label_vectors(view: View) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each vector file that could label scenes, the nearest to the top first, with its `label_vectors`."""
    for path in sorted(view.ending(*VECTOR_SUFFIXES), key=lambda path: path.count("/")):
        if ".SAFE/" in path:
            continue  # footprints and quality masks of a product
        try:
            guess = guess_shapes(view.folder / path, path_words=f"{view.folder.name}/{path}")
        except DataError:
            continue
        yield path, {"vectors": [view.folder / path], **guess.settings}


def _kind(view: View, path: str) -> bool | None:
    """Return whether a raster holds labels; None where it cannot be read or does not say where it lies."""
    try:
        with RasterFile(view.folder / path) as file:
            if file.grid.crs is None:
                return None
        return is_label(view.folder / path)
    except DataError:
        return None


def _pattern(scenes: list[str]) -> str:
    """Return a pattern for all scenes."""
    suffixes = {PurePosixPath(path).suffix for path in scenes}
    parents = {str(PurePosixPath(path).parent) for path in scenes}
    folder = f"{next(iter(parents))}/" if len(parents) == 1 else "**/"
    suffix = next(iter(suffixes)) if len({suffix.lower() for suffix in suffixes}) == 1 else ""
    return f"{folder.removeprefix('./')}*{suffix}"
