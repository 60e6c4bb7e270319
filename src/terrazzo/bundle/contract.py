"""The contract of a bundle: what its network was trained for, as JSON in the file's metadata."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from terrazzo.calibration.local_temperature import LocalTemperature
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures
from terrazzo.data.augment.geometry import Resize
from terrazzo.data.classes import Classes
from terrazzo.data.distribution import Distribution
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError, ModelError
from terrazzo.geo.bands import Bands
from terrazzo.models.weight_files import weights_sha256
from terrazzo.record import Record

__all__ = [
    "FORMAT",
    "METADATA_KEY",
    "Contract",
    "FrozenBackbone",
    "canonical",
    "require_equal_bands",
    "require_fitting_calibration",
]

FORMAT = 1
"""Format number of the files that this version writes."""
METADATA_KEY = "terrazzo"
"""Key of the contract in the file's metadata."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FrozenBackbone(Record):
    """Weights that the bundle leans on without holding them."""

    identifier: Annotated[str, Field(min_length=1)]
    """Name under which the weights are published."""
    revision: Annotated[str, Field(min_length=1)]
    """Version of that publication."""
    sha256: Sha256
    """SHA-256 of the weights file; of shards, that of the listing that `sha256sum` prints of them."""

    def check(self, path: Path) -> None:
        """Refuse a file or folder that is not the backbone which the bundle was trained on.

        Raises:
            BundleError: The weights are missing, or their SHA-256 differs.
        """
        wanted = f"{self.identifier}, revision {self.revision}"
        try:
            found = weights_sha256(path)
        except ModelError as error:
            raise BundleError(f"The backbone {path} cannot be used: {error} The bundle needs {wanted}.") from error
        if found != self.sha256:
            raise BundleError(
                f"The backbone {path} has SHA-256 {found}, but the bundle was trained on {self.sha256} ({wanted}); "
                "give that very file."
            )


class Contract(Record):
    """The JSON in the file, field by field."""

    format: Literal[1]
    """Format number of the file."""
    architecture: dict[str, JsonValue]
    """Name and settings of the record that builds the network."""
    bands: Bands
    """What the network's input channels mean, in order."""
    classes: Classes
    """What its output channels mean, in order."""
    normalisation: Normalisation
    """From raw values to what the network sees."""
    patch_size: Annotated[int, Field(ge=1, strict=True)]
    """Side of the training patches in pixels of the imagery."""
    resolution_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    """Pixel size of the training imagery in metres; None where it had none."""
    resize: Resize | None
    """What every window is resized to for the network; None where sizes stay."""
    backbone: FrozenBackbone | None
    """Weights that are needed beside the file."""
    training: dict[str, JsonValue]
    """Summary of the training."""
    versions: dict[str, str]
    """Version of each package that took part."""
    licence: str
    """Licence of the weights; empty where none was stated."""
    fingerprint: Sha256
    """SHA-256 of all that decides the answers."""
    distribution: Distribution | None = None
    """How the training's values are distributed; None where that was not measured, as in files of earlier versions."""
    calibration: Calibration | None = None
    """Temperatures, thresholds and what is promised of them; None where nothing was calibrated."""

    @model_validator(mode="after")
    def _bands_agree(self) -> "Contract":
        require_equal_bands(self.bands, self.normalisation, self.distribution)
        return self


def require_equal_bands(bands: Bands, normalisation: Normalisation, distribution: Distribution | None = None) -> None:
    """Refuse a normalisation, or a distribution, of other bands.

    Raises:
        BundleError: There are more or fewer means, or bands with quantiles, than bands.
    """
    if len(bands) != len(normalisation.mean):
        raise BundleError(
            "A bundle needs one mean and deviation a band, "
            f"but has {len(bands)} bands and {len(normalisation.mean)} means."
        )
    if distribution is not None and len(bands) != len(distribution.quantiles):
        raise BundleError(
            f"A bundle has {len(bands)} bands, but its distribution has quantiles of {len(distribution.quantiles)}."
        )


def require_fitting_calibration(
    calibration: Calibration | None, *, classes: int, bands: int, steps: int | None
) -> None:
    """Refuse a calibration that was made for another network.

    Args:
        calibration: Of a bundle; None where nothing was calibrated.
        classes: The network's.
        bands: The network's.
        steps: Most steps of a network that answers in steps; None for one that answers at once.

    Raises:
        BundleError: Classes, bands or steps differ.
    """
    if calibration is None:
        return
    blended, window = calibration.temperature, calibration.window_temperature
    if isinstance(blended, VectorScaling) and len(blended.weight) != classes:
        raise BundleError(
            f"The bundle has {classes} classes, but its vector scaling has factors of {len(blended.weight)}; "
            "calibrate this bundle itself."
        )
    if isinstance(window, StepTemperatures) and len(window.temperatures) != steps:
        runs = "answers at once" if steps is None else f"runs up to {steps} steps"
        raise BundleError(
            f"The bundle's network {runs}, but its calibration has temperatures of {len(window.temperatures)} steps; "
            "calibrate this bundle itself."
        )
    if isinstance(window, LocalTemperature) and (window.classes, window.bands) != (classes, bands):
        raise BundleError(
            f"The bundle has {classes} classes and {bands} bands, but its local temperature reads {window.classes} "
            f"classes and {window.bands} bands; calibrate this bundle itself."
        )
    if calibration.decision is not None and classes != 2:
        raise BundleError(
            f"The bundle has {classes} classes, but a decision threshold tells two apart; calibrate this bundle itself."
        )


def canonical(content: object) -> str:
    """Return JSON that is the same for the same content.

    Raises:
        BundleError: The content is not plain data, or not finite.
    """
    try:
        return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise BundleError(f"A bundle holds plain finite data only: {error}.") from error
