"""Which source reads a folder: each layout is tried, the most particular first."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from pydantic import ValidationError

from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.recognise.band_sets import band_set_layouts
from terrazzo.data.recognise.content import is_label
from terrazzo.data.recognise.layout import Layout
from terrazzo.data.recognise.scenes import label_vectors, scene_layouts
from terrazzo.data.recognise.slots import Slot, find_slots, matching
from terrazzo.data.recognise.tables import bare_table_layouts, table_layouts
from terrazzo.data.recognise.view import View, evenly
from terrazzo.data.sources.pairing import IMAGE_FOLDERS, LABEL_FOLDERS
from terrazzo.data.sources.pattern import Pattern
from terrazzo.data.sources.source import Listing, Source
from terrazzo.errors import ConfigError, DataError
from terrazzo.geo.raster import RasterFile

__all__ = ["LOOKED_FOR", "Recognised", "recognise"]

COLOURLESS = 32
"""Channels that differ by less are gray, blurred by compression."""
LOOKED_FOR = (
    "Sentinel-2 SAFE folders; Cityscapes (leftImg8bit/, gtFine/); CVAT for images (an XML file of annotations); "
    "DeepGlobe (*_sat, *_mask); CamVid (train/, trainannot/); bands in separate files; folders called images and masks "
    "(or gt, labels, annotations); images and labels that pair by their names; a CSV or Parquet file that lists them; "
    "georeferenced scenes with a label raster or with shapes"
)
"""What is tried, in order."""


@dataclass(frozen=True)
class Recognised:
    """A folder that a source reads.

    Attributes:
        layout: What it was recognised as.
        source: The source.
        listing: Its images.
    """

    layout: Layout
    source: Source
    listing: Listing


def recognise(view: View) -> Recognised:
    """Return the first layout that a source reads.

    Raises:
        DataError: None is; the message says what lies there, what was looked for, and how near it came.
    """
    failures: list[str] = []
    for find in _FINDERS:
        for layout in find(view):
            try:
                source = layout.make()
                listing = source.pairs()
            except ValidationError as error:
                failures.append(f"{layout.title}: {error.errors()[0]['msg']}")
                continue
            except (ConfigError, DataError) as error:
                failures.append(f"{layout.title}: {error}")
                continue
            if any(pair.label is not None for pair in listing.pairs):
                return Recognised(layout, source, listing)
            failures.append(f"{layout.title}: no image has a label")
    raise DataError(_nothing(view, failures))


def _nothing(view: View, failures: list[str]) -> str:
    if not view.files:
        return f"{view.folder}: no data set is recognised, since it is empty; name the folder with images and labels."
    lines = [f"{view.folder}: no data set with images and labels is recognised; {view.describe()}."]
    lines += [f"Came near: {failure}" for failure in failures[:4]]
    lines.append(
        f"Looked for: {LOOKED_FOR}. Write a configuration by hand with data.source.images and data.source.labels: "
        "`terrazzo list recipes` shows examples."
    )
    return "\n".join(lines)


def _safe(view: View) -> Iterator[Layout]:
    products = {
        part for path in view.files for part in PurePosixPath(path).parts[:-1] if part.upper().endswith(".SAFE")
    }
    if not products and not view.folder.name.upper().endswith(".SAFE"):
        return
    settings: dict[str, object] = {"name": "safe", "folder": view.folder}
    stems = {name[:-5] for name in products}
    outside = [path for path in view.rasters if ".SAFE/" not in path and ".safe/" not in path]
    named = [PurePosixPath(path) for path in outside if PurePosixPath(path).stem in stems]
    if named:
        settings["labels"] = str(named[0].with_name(f"*{named[0].suffix}"))
    elif len(outside) == 1:
        settings["labels"] = outside[0]
    title = f"Sentinel-2 products ({max(len(products), 1)} SAFE folders)"
    yield Layout(title, settings)
    if "labels" not in settings:
        for path, vectors in label_vectors(view):
            yield Layout(f"{title} with the shapes of {path}", {**settings, "label_vectors": vectors})


def _cityscapes(view: View) -> Iterator[Layout]:
    tops = {PurePosixPath(path).parts[0] for path in view.files}
    for kind in ("Fine", "Coarse"):
        if {"leftImg8bit", f"gt{kind}"} <= tops:
            settings: dict[str, object] = {"name": "cityscapes", "folder": view.folder, "unmatched": "skip"}
            if kind == "Coarse":
                settings["annotations"] = "coarse"
            yield Layout("Cityscapes", settings, above=False)


def _cvat(view: View) -> Iterator[Layout]:
    for path in sorted(view.ending(".xml"), key=lambda path: path.count("/")):
        if path.lower().endswith(".aux.xml"):
            continue
        try:
            with (view.folder / path).open("rb") as file:
                head = file.read(4096)
        except OSError:
            continue
        if b"<annotations" in head:
            settings: dict[str, object] = {"name": "cvat", "folder": view.folder, "annotations": [path]}
            yield Layout(f"CVAT for images ({path})", settings, above=True)


def _deepglobe(view: View) -> Iterator[Layout]:
    images = [path for path in view.rasters if PurePosixPath(path).stem.lower().endswith("_sat")]
    masks = [path for path in view.rasters if PurePosixPath(path).stem.lower().endswith("_mask")]
    if not images or not masks:
        return
    with RasterFile(view.folder / masks[0]) as file:
        raster = file.read()
    colours = raster.values.reshape(len(raster.values), -1)
    gray = bool(np.ptp(colours, axis=0).max() < COLOURLESS)
    settings: dict[str, object] = {
        "name": "deepglobe",
        "folder": view.folder,
        "masks": "roads" if gray else "land_cover",
    }
    yield Layout(f"DeepGlobe, {'roads' if gray else 'land cover'}", settings, above=True)


def _camvid(view: View) -> Iterator[Layout]:
    tops = {PurePosixPath(path).parts[0] for path in view.rasters}
    if {"train", "trainannot"} <= tops:
        yield Layout("CamVid", {"name": "camvid", "folder": view.folder}, above=False)


def _named_folders(view: View) -> Iterator[Layout]:
    """Folders called images and masks, and folders of further bands beside them."""
    beside: dict[PurePosixPath, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in map(PurePosixPath, view.rasters):
        beside[path.parent.parent][path.parent.name].add(path.stem)
    extra: set[str] | None = None
    found = False
    for folders in beside.values():
        images = next((name for name in folders if name.lower() in (*IMAGE_FOLDERS, "rgb")), None)
        labels = [name for name in folders if name.lower() in LABEL_FOLDERS]
        if images is None or not labels:
            continue
        found = True
        others = {
            name
            for name, stems in folders.items()
            if name != images and name not in labels and stems >= folders[images] and "/" not in name
        }
        extra = others if extra is None else extra & others
    if not found:
        return
    settings: dict[str, object] = {"folder": view.folder}
    if extra:
        settings["extra"] = sorted(extra)
    yield _georeferenced_or_not(view, Layout("folders of images and labels", {"name": "folder", **settings}))


def _named_files(view: View) -> Iterator[Layout]:
    """Images and labels that pair by parts of their names."""
    slots = [slot for slot in find_slots(view.rasters) if slot.files]
    for one, other in matching(slots[:200]):
        ordered = _image_first(view, one, other)
        if ordered is None:
            continue
        image, label = ordered
        partners = _further_bands(view, slots, image, label)
        if partners and _bands(view, partners[0]) > _bands(view, image):
            image, partners = partners[0], [image, *partners[1:]]
        settings: dict[str, object] = {"folder": view.folder, "images": image.pattern, "labels": label.pattern}
        if partners:
            settings["extra"] = [slot.pattern for slot in partners]
        meant_too = Pattern(image.pattern).match(min(label.files.values())) is not None
        if meant_too or image.files.keys() != label.files.keys():
            settings["unmatched"] = "skip"
        title = f"images {image.pattern} with labels {label.pattern}"
        yield _georeferenced_or_not(view, Layout(title, {"name": "folder", **settings}))


def _image_first(view: View, one: Slot, other: Slot) -> tuple[Slot, Slot] | None:
    """Return image and label of two slots: by their words, else by what they hold; None where neither says it."""
    for image, label in ((one, other), (other, one)):
        if label.says_label and not image.says_label and _holds_labels(view, label):
            return image, label
    if one.says_label or other.says_label:
        return None
    kinds = _holds_labels(view, one), _holds_labels(view, other)
    if kinds == (False, True):
        return one, other
    return (other, one) if kinds == (True, False) else None


def _holds_labels(view: View, slot: Slot) -> bool:
    return all(is_label(view.folder / path) for path in evenly(sorted(slot.files.values()), 3))


def _further_bands(view: View, slots: list[Slot], image: Slot, label: Slot) -> list[Slot]:
    """Return slots with a file for each image that are neither labels nor the images again."""
    return [
        slot
        for slot in slots
        if slot.pattern not in {image.pattern, label.pattern}
        and slot.pattern.count("*") == image.pattern.count("*")
        and not slot.says_label
        and slot.files.keys() >= image.files.keys()
        and set(slot.files.values()).isdisjoint(image.files.values())
        and not _holds_labels(view, slot)
    ]


def _bands(view: View, slot: Slot) -> int:
    with RasterFile(view.folder / min(slot.files.values())) as file:
        return len(file.bands)


def _georeferenced_or_not(view: View, layout: Layout) -> Layout:
    """Let the source `geotiff` read what has coordinates."""
    try:
        for pair in layout.make().pairs().pairs[:3]:
            labels = pair.label.files if isinstance(pair.label, RasterLabel) else ()
            for path in (pair.image, *labels):
                with RasterFile(path) as file:
                    if file.grid.crs is None:
                        return layout
    except DataError:
        return layout
    return replace(layout, settings={**layout.settings, "name": "geotiff"}, above=True)


_FINDERS: tuple[Callable[[View], Iterator[Layout]], ...] = (
    _safe,
    _cityscapes,
    _cvat,
    _deepglobe,
    _camvid,
    band_set_layouts,
    _named_folders,
    table_layouts,
    _named_files,
    bare_table_layouts,
    scene_layouts,
)
