"""What lies beside published DINOv3 weights, held against the settings: size, kind, mean and deviation."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import JsonValue

from terrazzo.errors import ModelError
from terrazzo.models.weight_files import settings_beside
from terrazzo.models.weight_source import WeightSource

__all__ = ["NORMALISATIONS", "Variant", "check_kind", "check_normalisation"]

Variant = Literal["web", "satellite"]
NORMALISATIONS: Mapping[Variant, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "web": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "satellite": ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143)),
}
"""Mean and deviation of red, green and blue, 1.0 being white: of LVD-1689M (web) and SAT-493M (satellite)."""

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"
OTHER: Mapping[Variant, str] = {"web": "sat493m", "satellite": "lvd1689m"}
"""What the published names of the other variant's weights hold."""


def check_kind(source: WeightSource, kind: str, figures: Mapping[str, JsonValue]) -> None:
    """Refuse weights of another network or size, as far as `config.json` beside them says so.

    Args:
        source: The weights.
        kind: The library's name of the network.
        figures: The settings that make the size asked for.

    Raises:
        ModelError: With the first figure that differs.
    """
    stated = settings_beside(source.path, CONFIG) or {}
    if stated.get("model_type", kind) != kind:
        raise ModelError(f"weights: {source.path} is of the kind {stated['model_type']}, not {kind}.")
    for name, value in figures.items():
        if stated.get(name, value) != value:
            raise ModelError(
                f"weights: {source.path} has {name} {stated[name]}, but the size given has {value}; set `size` to that "
                "of the weights."
            )


def check_normalisation(source: WeightSource, variant: Variant) -> None:
    """Refuse weights that were trained on other imagery than the variant says, as far as that can be seen.

    Raises:
        ModelError: `preprocessor_config.json` beside the weights, or without it their name, tells of the other one.
    """
    processor = settings_beside(source.path, PROCESSOR)
    if processor is None:
        if OTHER[variant] in f"{source.path} {source.identifier}".lower():
            raise ModelError(
                f"weights: {source.identifier} is, by its name, not of the variant {variant}; set `variant` to the "
                "imagery that the weights were trained on, which decides mean and deviation."
            )
        return
    for name, expected in zip(("image_mean", "image_std"), NORMALISATIONS[variant], strict=True):
        if not _near(processor.get(name), expected):
            raise ModelError(
                f"weights: {PROCESSOR} beside {source.path} has {name} {processor.get(name)}, but the variant "
                f"{variant} was trained with {list(expected)}; set `variant` to that of the weights, or correct that "
                "file."
            )


def _near(values: JsonValue, expected: Sequence[float]) -> bool:
    if not isinstance(values, list) or len(values) != len(expected):
        return False
    pairs = zip(values, expected, strict=True)
    return all(isinstance(value, int | float) and abs(value - wanted) < 1e-3 for value, wanted in pairs)
