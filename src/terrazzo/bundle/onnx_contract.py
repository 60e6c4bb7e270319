"""The contract of an ONNX file: what its graph was trained for, in the file's metadata or in a file beside it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, JsonValue, ValidationError, model_validator

from terrazzo.bundle.contract import FrozenBackbone, require_equal_bands
from terrazzo.calibration.record import Calibration
from terrazzo.data.augment.geometry import Resize
from terrazzo.data.classes import Classes
from terrazzo.data.distribution import Distribution
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError
from terrazzo.geo.bands import Bands
from terrazzo.models.onnx_graph import Interface
from terrazzo.record import Record

__all__ = ["CONTRACT_SUFFIX", "GraphContract", "contract_beside", "parse_contract"]

CONTRACT_SUFFIX = ".contract.json"
"""What the file beside `NAME.onnx` ends in that holds its contract: `NAME.contract.json`."""
LARGEST_CONTRACT = 32 * 2**20
"""Bytes of a contract that are read at most."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class GraphContract(Record):
    """The JSON; interface, bands, classes, normalisation and patch size are enough for a graph from elsewhere."""

    format: Literal[1] = 1
    """Format number of the contract."""
    interface: Interface
    """Where the graph takes its image and gives its answer."""
    bands: Bands
    """What the image's channels mean, in order."""
    classes: Classes
    """What the answer's channels mean, in order."""
    normalisation: Normalisation
    """From raw values to what the interface's image takes."""
    patch_size: Annotated[int, Field(ge=1, strict=True)]
    """Side of the training patches in pixels of the imagery."""
    resolution_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Pixel size of the training imagery in metres; None where it had none."""
    resize: Resize | None = None
    """What every window is resized to before it is normalised; None where sizes stay."""
    distribution: Distribution | None = None
    """How the training's values are distributed; None where that was not measured."""
    calibration: Calibration | None = None
    """Temperatures, thresholds and what is promised of them; None where nothing was calibrated."""
    training: dict[str, JsonValue] = Field(default_factory=dict)
    """Summary of the training."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Version of each package that took part."""
    licence: str = ""
    """Licence of the weights; empty where none was stated."""
    architecture: dict[str, JsonValue] = Field(default_factory=dict)
    """Name and settings of what was exported; for readers alone."""
    contains: FrozenBackbone | None = None
    """The frozen backbone that the graph holds; None where everything was trained."""
    source: Sha256 | None = None
    """Fingerprint of the bundle that was exported."""
    fingerprint: Sha256 | None = None
    """SHA-256 of the graph, its weights and this contract; None in a file beside the graph."""
    preprocessing: Literal["inside", "described"] = "described"
    """Whether the graph's own input takes raw values, or values that were normalised before."""
    temperature: Literal["inside", "described", "none"] = "none"
    """Whether the graph's own probabilities are calibrated."""

    @model_validator(mode="after")
    def _bands_agree(self) -> "GraphContract":
        require_equal_bands(self.bands, self.normalisation, self.distribution)
        return self


def contract_beside(file: Path) -> Path:
    """Return where the contract of an ONNX file may lie beside it.

    >>> contract_beside(Path("models/fields.onnx")).name
    'fields.contract.json'
    """
    return file.with_suffix(CONTRACT_SUFFIX)


def parse_contract(text: str | bytes, name: str) -> GraphContract:
    """Check a contract.

    Args:
        text: JSON.
        name: Where it comes from, for messages.

    Raises:
        BundleError: It is too long, no JSON, of a later format, or a field is missing or wrong.
    """
    if len(text) > LARGEST_CONTRACT:
        raise BundleError(f"{name}: its contract has more than {LARGEST_CONTRACT // 2**20} MiB.")
    try:
        content: Any = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: its contract is no JSON ({error}).") from error
    number = content.get("format", 1) if isinstance(content, dict) else None
    if type(number) is int and number > 1:
        raise BundleError(f"{name} has contract format {number}, this version knows up to 1; update Terrazzo.")
    try:
        return GraphContract.model_validate(content)
    except ValidationError as error:
        found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
        raise BundleError(f"{name}: its contract is wrong: {'; '.join(found[:5])}.") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
