"""What is made of finished strips: the map and its layers, all of them complete or none there."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.geo.grid import Grid
from terrazzo.scene.assemble import FinishedRows
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.layers import class_layer, encoded_classes, layer_path, product_layer
from terrazzo.scene.pam import write_side_file
from terrazzo.scene.polygons import PolygonWriter
from terrazzo.scene.products import Products
from terrazzo.scene.quick_look import QuickLook, quick_look_path
from terrazzo.scene.settings import PolygonSettings, PredictSettings, Values
from terrazzo.scene.stac import file_asset, raster_asset, stac_item, write_stac_item
from terrazzo.scene.writer import Georeference, Layer, RowWriter, open_writer, storage_errors
from terrazzo.storage import atomic_path

__all__ = ["Goal", "beside_of", "goals_of", "open_outputs", "polygons_path", "write_item"]

Goal = tuple[Path, Layer]
"""A file and what it holds."""


def goals_of(
    bundle: Bundle, products: Products, settings: PredictSettings, notes: Mapping[str, str], out: Path
) -> dict[str, Goal]:
    """Return each product's file and layer by name; the map itself comes last, so that it appears last.

    Args:
        bundle: What maps the scene.
        products: What is decided.
        settings: What the map's values are.
        notes: Tags kept in every file.
        out: The map.
    """
    further = {
        product.name: (layer_path(out, product.name), product_layer(product, bundle.classes, notes))
        for product in products
        if product.name != "class"
    }
    return {**further, "class": (out, class_layer(bundle.classes, settings.values, notes))}


def write_item(
    goals: Mapping[str, Goal],
    entry: SceneEntry,
    georeference: Georeference,
    settings: PredictSettings,
    *,
    notes: Mapping[str, str],
    tags: Mapping[str, str],
) -> Path | None:
    """Write the STAC item of a finished map, and return it; None for a picture without a place.

    Args:
        goals: The map's files by product.
        entry: The scene.
        georeference: What says where it lies beside its grid.
        settings: What else lies beside the map.
        notes: The map's provenance.
        tags: The scene's own metadata.
    """
    out = goals["class"][0]
    optimised = settings.overviews and out.suffix.lower() != ".png"
    assets = {name: raster_asset(path, layer, cloud_optimised=optimised) for name, (path, layer) in goals.items()}
    for name, path in beside_of(out, settings).items():
        assets[name] = file_asset(path, name)
    item = stac_item(out, entry.grid, georeference, assets, notes=notes, tags=tags, files=entry.files)
    return None if item is None else write_stac_item(out, item)


def polygons_path(out: Path, settings: PolygonSettings) -> Path:
    """Return where the polygons of a map are written: beside it.

    >>> polygons_path(Path("maps/a.tif"), PolygonSettings(format="parquet")).name
    'a_polygons.parquet'
    """
    return out.with_name(f"{out.stem}_polygons.{settings.format}")


def beside_of(out: Path, settings: PredictSettings) -> dict[str, Path]:
    """Return the files beside a map that are made of its class numbers, by what they hold."""
    found = {"quicklook": quick_look_path(out)} if settings.quick_look else {}
    if settings.polygons is not None:
        found["polygons"] = polygons_path(out, settings.polygons)
    return found


@contextlib.contextmanager
def open_outputs(
    goals: Mapping[str, Goal],
    grid: Grid,
    georeference: Georeference,
    settings: PredictSettings,
    *,
    classes: Classes,
) -> Iterator[Callable[[FinishedRows], None]]:
    """Open all files; they appear together, the map last, once each is complete.

    Args:
        goals: The files by product.
        grid: Where the map lies.
        georeference: What else says so.
        settings: Format and compression.
        classes: How class numbers are written.

    Yields:
        What takes rows of every product, from top to bottom.

    Raises:
        StorageError: A file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        temporaries: dict[str, Path] = {}
        for name, (goal, _) in reversed(list(goals.items())):
            with storage_errors(goal):
                temporaries[name] = stack.enter_context(atomic_path(goal))
        writers = {
            name: stack.enter_context(
                open_writer(
                    temporaries[name],
                    layer,
                    grid,
                    georeference,
                    goal=goal,
                    compression=settings.compression,
                    overviews=settings.overviews,
                )
            )
            for name, (goal, layer) in goals.items()
        }
        out = goals["class"][0]
        beside = [stack.enter_context(opened) for opened in _beside(out, grid, settings, classes)]
        yield _Sink(writers, beside, out, classes, settings.values)
    for goal, layer in goals.values():
        # Overviews and statistics of an earlier map would be shown for this one.
        for suffix in (".ovr", ".aux.xml", ".msk"):
            goal.with_name(goal.name + suffix).unlink(missing_ok=True)
        write_side_file(goal, layer)


def _beside(
    out: Path, grid: Grid, settings: PredictSettings, classes: Classes
) -> Iterator[AbstractContextManager[Callable[[Shaped[np.ndarray, "y x"]], None]]]:
    """Yield what is made of the map's class numbers beside it, each a file that appears once it is complete."""
    if settings.quick_look:
        yield _quick_look(quick_look_path(out), grid, settings, classes)
    if settings.polygons is not None:
        yield _polygons(polygons_path(out, settings.polygons), grid, settings.polygons, classes)


@contextlib.contextmanager
def _quick_look(
    path: Path, grid: Grid, settings: PredictSettings, classes: Classes
) -> Iterator[Callable[[Shaped[np.ndarray, "y x"]], None]]:
    with storage_errors(path), atomic_path(path) as temporary:
        picture = QuickLook(temporary, classes, height=grid.height, width=grid.width, longest=settings.quick_look)
        try:
            yield lambda target: picture.write(target[None])
            picture.complete()
        except BaseException:
            picture.abandon()
            raise


@contextlib.contextmanager
def _polygons(
    path: Path, grid: Grid, settings: PolygonSettings, classes: Classes
) -> Iterator[Callable[[Shaped[np.ndarray, "y x"]], None]]:
    with storage_errors(path):
        polygons = PolygonWriter(path, grid, classes, settings, ignore=classes.ignore)
        try:
            yield polygons.write
            polygons.complete()
        finally:
            polygons.abandon()


class _Sink:
    """Takes finished rows: encodes and writes them."""

    def __init__(
        self,
        writers: Mapping[str, RowWriter],
        beside: Sequence[Callable[[Shaped[np.ndarray, "y x"]], None]],
        out: Path,
        classes: Classes,
        values: Values,
    ) -> None:
        self._writers = writers
        self._beside = beside
        self._out = out
        self._classes = classes
        self._values: Values = values

    def __call__(self, rows: FinishedRows) -> None:
        target = rows.products["class"][0]
        with storage_errors(self._out):
            for name, writer in self._writers.items():
                writer.write(
                    encoded_classes(target, self._classes, self._values) if name == "class" else rows.products[name]
                )
        for write in self._beside:
            write(target)
