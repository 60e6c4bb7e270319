"""What a map's layers hold: values, colours, class names and where they came from."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from terrazzo.bundle import Bundle
from terrazzo.data.classes import Classes
from terrazzo.scene.layer import Layer
from terrazzo.scene.products import CONFIDENCE_STEPS, STEPS_SCALE, Product
from terrazzo.scene.settings import PredictSettings, Values

__all__ = ["class_layer", "layer_path", "product_layer", "provenance"]


def provenance(bundle: Bundle, scene: Path, settings: PredictSettings, *, precision: str) -> dict[str, str]:
    """Return the notes that say how a map came about; the same map has the same notes.

    Args:
        bundle: What predicted it.
        scene: What was mapped.
        settings: How.
        precision: Arithmetic of the network.
    """
    chosen = settings.model_dump(mode="json", exclude={"enable", "inputs", "out"})
    return {
        "TIFFTAG_SOFTWARE": f"terrazzo {version('terrazzo')}",
        "TERRAZZO_BUNDLE": bundle.fingerprint,
        "TERRAZZO_SCENE": scene.name,
        "TERRAZZO_SETTINGS": json.dumps({**chosen, "precision": precision}, sort_keys=True),
    }


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
    palette = _palette(classes, numbers) if dtype == np.uint8 else None
    return Layer("class", dtype, nodata=nodata, palette=palette, tags=tags, categories=True)


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
