"""Whether a scene fits what a bundle was trained for."""

import logging
import re
from collections.abc import Sequence

from terrazzo.bundle import Bundle
from terrazzo.errors import ContractError
from terrazzo.geo.bands import Band, Bands
from terrazzo.geo.grid import Grid
from terrazzo.scene.inputs.opened import OpenScene
from terrazzo.scene.settings import PredictSettings

__all__ = ["fit_bands", "resolution_warning", "target_resolution"]

LARGEST_RESOLUTION_CHANGE = 0.25
"""Share of the training's pixel size by which a scene's may differ before anything is said or done."""

_LOG = logging.getLogger(__name__)
# What RasterFile and GDAL call bands that nobody named.
_NAMELESS = re.compile(r"band_\d+|gray")


def fit_bands(bundle: Bundle, scene: OpenScene, *, positions: Sequence[int] | None = None) -> Bands:
    """Return the scene's bands that the network wants, in its order, with the bundle's nodata values and collar.

    Bands are matched by name; by order where both have the same number of bands and no name contradicts it.

    Args:
        bundle: What the network was trained for.
        scene: The scene.
        positions: Which of the scene's bands to take, from 1; overrides names and order.

    Raises:
        ContractError: A band is missing, of another type, or of another scale.
    """
    chosen = _choose(bundle.bands, scene, positions)
    for wanted, found in zip(bundle.bands, chosen, strict=True):
        _require_same_type(wanted, found, scene.path)
    renewed = [
        found.model_copy(update={"nodata": found.nodata if wanted.nodata is None else wanted.nodata})
        for wanted, found in zip(bundle.bands, chosen, strict=True)
    ]
    return Bands(items=tuple(renewed), collar=bundle.bands.collar)


def target_resolution(bundle: Bundle, grid: Grid, settings: PredictSettings, *, name: str) -> float | None:
    """Return the size of pixels in metres on which a scene is to be read; None where it is read as it is.

    Args:
        bundle: What the network was trained for.
        grid: Of the scene.
        settings: Whether another size warns, resamples or is refused.
        name: The scene, for messages.

    Raises:
        ContractError: The sizes differ by more than a quarter and `predict.resolution` refuses that; or it cannot be
            told, although the setting depends on it.
    """
    trained = bundle.resolution_m
    if settings.resolution == "warn" or trained is None:
        return None
    if grid.resolution_m is None:
        raise ContractError(
            f"{name} does not say how large its pixels are, and predict.resolution is {settings.resolution}: the model "
            f"was trained on {trained:.3g} m. Give the scene a coordinate reference system, or set "
            "predict.resolution=warn to map it as it is."
        )
    if not _differs(grid.resolution_m, trained):
        return None
    if settings.resolution == "refuse":
        raise ContractError(
            f"{name} has pixels of {grid.resolution_m:.3g} m, but the model was trained on {trained:.3g} m; resample "
            "it with predict.resolution=resample, or map it as it is with predict.resolution=warn."
        )
    return trained


def resolution_warning(bundle: Bundle, scene: OpenScene) -> str | None:
    """Return one sentence where the scene's pixels are far coarser or finer than the training's; log it too."""
    found, trained = scene.grid.resolution_m, bundle.resolution_m
    if found is None or trained is None or not _differs(found, trained):
        return None
    message = (
        f"{scene.path} has pixels of {found:.3g} m, but the model was trained on {trained:.3g} m; "
        "expect worse answers, or set predict.resolution=resample."
    )
    _LOG.warning(message)
    return message


def _differs(found: float, trained: float) -> bool:
    """Whether a scene's pixels are more than a quarter larger or smaller than the training's."""
    return abs(found / trained - 1) > LARGEST_RESOLUTION_CHANGE


def _choose(wanted: Bands, scene: OpenScene, positions: Sequence[int] | None) -> list[Band]:
    found = list(scene.bands)
    if positions is not None:
        if len(positions) != len(wanted) or max(positions) > len(found):
            raise ContractError(
                f"predict.bands is {list(positions)}, but {scene.path} has {len(found)} bands and the model needs one "
                f"position for each of {', '.join(wanted.names)}."
            )
        return [found[position - 1] for position in positions]
    by_name = {_plain(band.name): band for band in found}
    if all(_plain(name) in by_name for name in wanted.names):
        return [by_name[_plain(name)] for name in wanted.names]
    if len(found) == len(wanted) and not any(
        _contradict(before.name, after.name) for before, after in zip(wanted, found, strict=True)
    ):
        return found
    missing = [name for name in wanted.names if _plain(name) not in by_name]
    raise ContractError(
        f"{scene.path} does not fit the model: it has {len(found)} bands ({', '.join(scene.bands.names)}), "
        f"and the model needs {len(wanted)} ({', '.join(wanted.names)}); missing: {', '.join(missing)}. "
        "Name the scene's bands, or say their positions in the model's order, such as predict.bands=[3,2,1]."
    )


def _plain(name: str) -> str:
    return name.strip().lower()


def _contradict(wanted: str, found: str) -> bool:
    """Whether two names are both real and differ."""
    words = _plain(wanted), _plain(found)
    return words[0] != words[1] and not any(_NAMELESS.fullmatch(word) for word in words)


def _require_same_type(wanted: Band, found: Band, path: str) -> None:
    if found.dtype != wanted.dtype:
        raise ContractError(
            f'{path}: band "{found.name}" holds {found.dtype}, but the model was trained on {wanted.dtype} for '
            f'"{wanted.name}"; convert the scene to the values of training.'
        )
    stated = found.scale, found.offset
    if stated != (1.0, 0.0) and stated != (wanted.scale, wanted.offset):
        raise ContractError(
            f'{path}: band "{found.name}" states scale {found.scale:g} and offset {found.offset:g}, but the model was '
            f'trained on {wanted.scale:g} and {wanted.offset:g} for "{wanted.name}"; convert the scene to these.'
        )
