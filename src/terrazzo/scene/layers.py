"""What a map's layers hold: values, colours, class names and where they came from."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import rasterio
import torch
from jaxtyping import Shaped, UInt8

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.scene.header import Decisions
from terrazzo.scene.inputs.addresses import as_shown
from terrazzo.scene.inputs.entry import SceneEntry
from terrazzo.scene.layer import Layer, LegendEntry
from terrazzo.scene.products import CONFIDENCE_STEPS, STEPS_SCALE, Product
from terrazzo.scene.promise import promise_notes
from terrazzo.scene.settings import PredictSettings, Values
from terrazzo.storage import fingerprint

__all__ = [
    "class_layer",
    "encoded_classes",
    "input_fingerprint",
    "layer_path",
    "mapping_notes",
    "product_layer",
    "provenance",
]

WITHOUT_MARK = frozenset(
    {
        "enable", "inputs", "out", "backbone", "memory_gib", "workers", "executor", "retries", "max_errors",
        "quick_look", "stac", "polygons", "report", "force",
    }
)  # fmt: skip
"""Settings that leave no mark in a map's file: where it goes, who computes it, and what lies beside it."""


def provenance(bundle: Bundle, scene: SceneEntry, settings: PredictSettings, decisions: Decisions) -> dict[str, str]:
    """Return the notes that say how a map came about; the same map has the same notes.

    Args:
        bundle: What predicted it.
        scene: What was mapped; of its name only the last part is kept, since the way there may name people.
        settings: How.
        decisions: What was decided for the scene as a whole.
    """
    return {
        **mapping_notes(bundle, settings, decisions),
        "TERRAZZO_SCENE": _last_part(scene.path),
        "TERRAZZO_INPUT": input_fingerprint(scene.files),
    }


def mapping_notes(bundle: Bundle, settings: PredictSettings, decisions: Decisions) -> dict[str, str]:
    """Return of the notes of `provenance` those that every scene shares."""
    chosen = settings.model_dump(mode="json", exclude=set(WITHOUT_MARK))
    if settings.area is not None:
        chosen["area"] = settings.area.name
    versions = {"terrazzo": version("terrazzo"), "torch": str(torch.__version__), "gdal": rasterio.__gdal_version__}
    return {
        "TIFFTAG_SOFTWARE": f"terrazzo {versions['terrazzo']}",
        "TERRAZZO_BUNDLE": bundle.fingerprint,
        "TERRAZZO_SETTINGS": json.dumps(chosen, sort_keys=True, ensure_ascii=False),
        "TERRAZZO_SETTINGS_SHA256": fingerprint(chosen),
        "TERRAZZO_DECISIONS": json.dumps(decisions.model_dump(mode="json"), sort_keys=True),
        "TERRAZZO_VERSIONS": json.dumps(versions, sort_keys=True),
        **promise_notes(bundle, settings),
    }


def input_fingerprint(files: Sequence[str]) -> str:
    """Return a SHA-256 of files' names, sizes and times of last change; of what is no file here, of its address.

    Args:
        files: Files, folders and addresses, in the order in which they are read.
    """
    entries: list[list[object]] = []
    for file in files:
        path = Path(file)
        if path.exists():
            status = path.stat()
            entries.append([path.name, status.st_size, status.st_mtime_ns])
        else:
            entries.append([as_shown(file)])
    return fingerprint(entries)


def class_layer(classes: Classes, values: Values, notes: Mapping[str, str]) -> Layer:
    """Return the layer of classes: class numbers, raw label values, or colours.

    Args:
        classes: The bundle's classes.
        values: `index`, `source` or `colour`.
        notes: Tags to keep in the file.
    """
    tags = {**notes, "CLASS_NAMES": json.dumps(list(classes.names), ensure_ascii=False)}
    if values == "colour":
        colours = json.dumps([list(map(int, colour)) for colour in classes.colours])
        return Layer("class", np.dtype(np.uint8), channels=4, tags={**tags, "CLASS_COLOURS": colours}, colours=True)
    numbers = list(classes.source_values if values == "source" else range(len(classes)))
    nodata = classes.source_ignore if values == "source" else classes.ignore
    missing = np.array([[classes.ignore]], dtype=np.uint8 if classes.ignore <= 255 else np.uint16)
    dtype = classes.encode(missing, "source").dtype if values == "source" else missing.dtype
    tags["CLASS_VALUES"] = json.dumps(numbers)
    return Layer(
        "class",
        dtype,
        nodata=nodata,
        palette=_palette(classes, numbers) if dtype == np.uint8 else None,
        tags=tags,
        legend=tuple(
            LegendEntry(number, item.name, item.colour) for number, item in zip(numbers, classes.items, strict=True)
        ),
    )


def product_layer(product: Product, classes: Classes, notes: Mapping[str, str]) -> Layer:
    """Return the layer of a product beside the class.

    Args:
        product: What it holds.
        classes: The bundle's classes; they name the bands of probabilities.
        notes: Tags to keep in the file.
    """
    scale = 1 / CONFIDENCE_STEPS
    if product.name == "steps":
        scale = 1 / STEPS_SCALE
    elif product.dtype == np.float16:
        scale = 1.0
    names = tuple(classes.names) if product.name == "probabilities" else (product.name,)
    return Layer(
        product.name,
        product.dtype,
        channels=product.channels,
        nodata=product.missing,
        scale=scale,
        tags=dict(notes),
        band_names=names,
    )


def layer_path(out: Path, name: str) -> Path:
    """Return where a further layer of a map is written: beside it.

    >>> layer_path(Path("maps/a.tif"), "confidence").name
    'a_confidence.tif'
    """
    return out.with_name(f"{out.stem}_{name}{out.suffix}")


def _palette(classes: Classes, numbers: list[int]) -> UInt8[np.ndarray, "256 4"]:
    """Colour of each value; what no class has is transparent."""
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[numbers, :3] = classes.colours
    palette[numbers, 3] = 255
    return palette


def _last_part(scene: str) -> str:
    shown = as_shown(scene)
    return Path(shown).name or shown


def encoded_classes(
    target: Shaped[np.ndarray, "y x"], classes: Classes, values: Values
) -> Shaped[np.ndarray, "channel y x"]:
    """Return class numbers as a map's file holds them.

    Args:
        target: Class numbers, and the ignored one where nothing was measured.
        classes: The bundle's classes.
        values: `index`, `source` or `colour`; colours have an alpha band.
    """
    if values == "index":
        return target[None]
    encoded = classes.encode(target, values)
    if values == "source":
        return encoded[None]
    measured = target != classes.ignore
    return np.concatenate([encoded * measured, (measured * np.uint8(255))[None]])
