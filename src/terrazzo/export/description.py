"""A model in the terms of STAC's extension for machine learning models, for catalogues and other programs.

Source: STAC Machine Learning Model (MLM) extension 1.4.0, fields of an Item.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from terrazzo.bundle import Bundle

__all__ = ["MLM_SCHEMA", "describe"]

MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
CLASSIFICATION_SCHEMA = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
_RESIZE = "interpolation-linear"
_AXES = ["batch", "bands", "height", "width"]


def describe(
    bundle: Bundle,
    *,
    framework: tuple[str, str],
    raw: bool,
    outputs: Sequence[str],
    parameters: int,
    size: int,
) -> dict[str, Any]:
    """Return extensions and properties of a STAC Item.

    Args:
        bundle: What was exported.
        framework: Name and version of what runs the file.
        raw: Whether it takes raw values.
        outputs: Names of what it answers.
        parameters: Numbers in its weights.
        size: Bytes of them.
    """
    bands, names = len(bundle.bands), list(bundle.bands.names)
    image: dict[str, Any] = {
        "name": "image",
        "bands": names,
        "input": {"shape": [-1, bands, -1, -1], "dim_order": _AXES, "data_type": "float32"},
        "description": _told(bundle, raw=raw),
        "value_scaling": None,
        "resize_type": None,
    }
    scaling = [
        {"type": "z-score", "mean": mean, "stddev": std}
        for mean, std in zip(bundle.normalisation.mean, bundle.normalisation.std, strict=True)
    ]
    if not raw:
        image["value_scaling"] = scaling
    if bundle.resize is not None:
        image["resize_type"] = _RESIZE
        image["input"]["shape"] = [-1, bands, bundle.resize.height, bundle.resize.width]
    properties: dict[str, Any] = {
        "mlm:name": f"terrazzo-{bundle.architecture.name}-{bundle.fingerprint[:12]}",
        "mlm:architecture": bundle.architecture.name,
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": framework[0],
        "mlm:framework_version": framework[1],
        "mlm:memory_size": size,
        "mlm:total_parameters": parameters,
        "mlm:pretrained": True,
        "mlm:input": [image],
        "mlm:output": [_output(bundle, name) for name in outputs],
        "mlm:hyperparameters": {
            "normalisation": scaling,
            "patch_size": bundle.patch_size,
            "resolution_m": bundle.resolution_m,
            "resize": None if bundle.resize is None else bundle.resize.model_dump(mode="json"),
        },
    }
    if bundle.licence:
        properties["license"] = bundle.licence
    return {"stac_extensions": [MLM_SCHEMA, CLASSIFICATION_SCHEMA], "properties": properties}


def _told(bundle: Bundle, *, raw: bool) -> str:
    """Return what the image must hold, for a reader."""
    nodata = ", ".join(f"{band.name} {band.nodata:g}" for band in bundle.bands if band.nodata is not None)
    kinds = ", ".join(dict.fromkeys(band.dtype for band in bundle.bands))
    if raw:
        missing = "NaN" + (f", or nodata ({nodata})" if nodata else "")
        return f"Raw values as the imagery holds them ({kinds}), as float32; missing pixels are {missing} in any band."
    return (
        "(value - mean) / stddev of raw values, band by band; 0 in all bands where a pixel is missing"
        f"{f' (nodata: {nodata})' if nodata else ''}."
    )


def _output(bundle: Bundle, name: str) -> Mapping[str, Any]:
    classes = len(bundle.classes)
    by_class = {"shape": [-1, classes, -1, -1], "dim_order": ["batch", "classes", "height", "width"]}
    shapes: dict[str, dict[str, Any]] = {
        "logits": {**by_class, "data_type": "float32"},
        "probabilities": {**by_class, "data_type": "float32"},
        "steps": {"shape": [-1], "dim_order": ["batch"], "data_type": "int64"},
        "disagreement": {"shape": [-1, -1, -1], "dim_order": ["batch", "height", "width"], "data_type": "float32"},
    }
    descriptions = {
        "logits": "As the network answers them; no temperature is applied.",
        "probabilities": "Of each class, 0..1; calibrated where the contract says so.",
        "steps": "Steps that each image ran.",
        "disagreement": "Share of an ensemble's members that chose another class, 0..1.",
    }
    found: dict[str, Any] = {
        "name": name,
        "tasks": ["semantic-segmentation"],
        "result": shapes[name],
        "description": descriptions[name],
    }
    if name in {"logits", "probabilities"}:
        found["classification:classes"] = [
            {"value": number, "name": item.name, "color_hint": "{:02X}{:02X}{:02X}".format(*item.colour)}
            for number, item in enumerate(bundle.classes.items)
        ]
    return found
