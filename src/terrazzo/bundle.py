"""The model file: weights and the contract of what they were trained for, in one safetensors file.

The contract is JSON in the file's metadata: architecture, bands, classes, normalisation, patch size, resolution. It is
enough to map a new scene with nothing else. Nothing is unpickled, and no code comes from the file: the architecture is
looked up by name in `ARCHITECTURES`, which holds Terrazzo's own and the plug-ins that the user named or installed.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import torch
from pydantic import Field, JsonValue, ValidationError, model_validator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from terrazzo.data.augment.geometry import Resize
from terrazzo.data.classes import Classes
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError, ConfigError, ModelError
from terrazzo.geo.bands import Bands
from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network
from terrazzo.record import Record
from terrazzo.storage import atomic_path, hash_file

__all__ = ["FORMAT", "Bundle", "FrozenBackbone"]

FORMAT = 1
"""Format number of the files that this version writes."""

BUNDLE_NAME = "bundle.safetensors"
METADATA_KEY = "terrazzo"
LARGEST_FILE = 64 * 2**30
LARGEST_HEADER = 32 * 2**20
ANSWER_FIELDS = (
    "architecture",
    "bands",
    "classes",
    "normalisation",
    "patch_size",
    "resolution_m",
    "resize",
    "backbone",
)

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class FrozenBackbone(Record):
    """Weights that the bundle leans on without holding them."""

    identifier: Annotated[str, Field(min_length=1)]
    """Name under which the weights are published."""
    revision: Annotated[str, Field(min_length=1)]
    """Version of that publication."""
    sha256: Sha256
    """SHA-256 of the weights file."""

    def check(self, path: Path) -> None:
        """Refuse a file that is not the backbone which the bundle was trained on.

        Raises:
            BundleError: The file is missing, or its SHA-256 differs.
        """
        wanted = f"{self.identifier}, revision {self.revision}"
        if not path.is_file():
            raise BundleError(f"The backbone {path} does not exist; give the weights file of {wanted}.")
        found = hash_file(path)
        if found != self.sha256:
            raise BundleError(
                f"The backbone {path} has SHA-256 {found}, but the bundle was trained on {self.sha256} ({wanted}); "
                "give that very file."
            )


class _Contract(Record):
    """The JSON in the file, field by field."""

    format: Literal[1]
    architecture: dict[str, JsonValue]
    bands: Bands
    classes: Classes
    normalisation: Normalisation
    patch_size: Annotated[int, Field(ge=1, strict=True)]
    resolution_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    resize: Resize | None
    backbone: FrozenBackbone | None
    training: dict[str, JsonValue]
    versions: dict[str, str]
    licence: str
    fingerprint: Sha256

    @model_validator(mode="after")
    def _bands_agree(self) -> "_Contract":
        _require_equal_bands(self.bands, self.normalisation)
        return self


@dataclass(frozen=True)
class Bundle:
    """A trained network and the contract of its input.

    Attributes:
        architecture: Record that builds the network.
        bands: What the network's input channels mean, in order.
        classes: What its output channels mean, in order.
        normalisation: From raw values to what the network sees.
        patch_size: Side of the training patches in pixels of the imagery, before any resize.
        resolution_m: Pixel size of the training imagery in metres; None where it had none.
        weights: The network's state by name.
        training: Summary of the training; plain JSON.
        versions: Version of each package that took part.
        licence: Licence of the weights; empty where none was stated.
        format: Format number of the file.
        backbone: Weights that are needed beside the file; None where the file is enough.
        resize: What every patch was resized to for the network, and every window must be; None where sizes stay.
    """

    architecture: Architecture
    bands: Bands
    classes: Classes
    normalisation: Normalisation
    patch_size: int
    resolution_m: float | None
    weights: Mapping[str, torch.Tensor]
    training: Mapping[str, Any]
    versions: Mapping[str, str]
    licence: str
    format: int = FORMAT
    backbone: FrozenBackbone | None = None
    resize: Resize | None = None

    def __post_init__(self) -> None:
        """Refuse parts that contradict each other."""
        if self.format != FORMAT:
            raise BundleError(f"A bundle has format {FORMAT}, not {self.format}.")
        _require_equal_bands(self.bands, self.normalisation)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the answers: weights, architecture and contract.

        The training summary, versions and licence stay outside, so that two trainings to the same bits are the same.
        """
        dumped = self._dump()
        digest = hashlib.sha256(_canonical({field: dumped[field] for field in ANSWER_FIELDS}).encode())
        for name in sorted(self.weights):
            weight = self.weights[name].detach().cpu().contiguous()
            digest.update(_canonical([name, str(weight.dtype), list(weight.shape)]).encode())
            digest.update(weight.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def network(self) -> Network:
        """Return the network with its weights, in evaluation mode and without gradients.

        Raises:
            ModelError: The architecture's settings do not fit together.
            BundleError: The weights do not fit the architecture.
        """
        network = _build(self.architecture, bands=len(self.bands), classes=len(self.classes))
        try:
            network.load_state_dict(dict(self.weights), strict=True)
        except RuntimeError as error:
            raise BundleError(f"The weights do not fit the architecture {self.architecture.name}: {error}") from error
        return network.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all; it replaces an earlier one.

        Raises:
            BundleError: A field holds what JSON cannot (a NaN in the training summary), or a weight is not finite.
            StorageError: The file cannot be written.
        """
        _require_finite(self.weights, path)
        contract = {**self._dump(), "fingerprint": self.fingerprint}
        # Copies: safetensors refuses tensors that share memory, and tied weights do.
        weights = {
            name: weight.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, weight in self.weights.items()
        }
        with atomic_path(path) as temporary:
            # One key: the order of several is not fixed, and equal bundles are to be equal files.
            save_file(weights, temporary, metadata={METADATA_KEY: _canonical(contract)})

    @classmethod
    def load(cls, path: str | Path, *, backbone: Path | None = None) -> "Bundle":
        """Read a bundle and check every field and weight.

        Args:
            path: The file, or a run folder, which stands for its best bundle.
            backbone: Weights file of the frozen backbone, where the bundle needs one.

        Raises:
            BundleError: The file is missing, damaged, foreign, of another format, or its weights do not fit the
                network; or the backbone is missing or another.
        """
        file = _bundle_file(Path(path))
        contract = _read_contract(file)
        architecture = _architecture(contract.architecture, file)
        _check_backbone(contract.backbone, backbone, file)
        try:
            network = _build(architecture, bands=len(contract.bands), classes=len(contract.classes))
        except ModelError as error:
            raise BundleError(f"{file}: its architecture {architecture.name} cannot be built: {error}") from error
        weights = _read_weights(file, network.state_dict())
        _require_finite(weights, file)
        parts = {field: value for field, value in contract if field not in {"architecture", "fingerprint"}}
        bundle = cls(architecture=architecture, weights=weights, **parts)
        if bundle.fingerprint != contract.fingerprint:
            raise BundleError(
                f"{file} is damaged: its content does not give the fingerprint that it states; copy it again."
            )
        return bundle

    def _dump(self) -> dict[str, Any]:
        """Return the contract as plain data."""
        bands = self.bands.model_dump(mode="json")
        for band in bands["items"]:
            # Non-finite values are missing anyway, and JSON has no word for them.
            if band["nodata"] is not None and not math.isfinite(band["nodata"]):
                band["nodata"] = None
        return {
            "format": self.format,
            "architecture": self.architecture.without_pretraining().model_dump(mode="json"),
            "bands": bands,
            "classes": self.classes.model_dump(mode="json"),
            "normalisation": self.normalisation.model_dump(mode="json"),
            "patch_size": self.patch_size,
            "resolution_m": self.resolution_m,
            "resize": self.resize.model_dump(mode="json") if self.resize else None,
            "backbone": self.backbone.model_dump(mode="json") if self.backbone else None,
            "training": dict(self.training),
            "versions": dict(self.versions),
            "licence": self.licence,
        }


def _require_equal_bands(bands: Bands, normalisation: Normalisation) -> None:
    if len(bands) != len(normalisation.mean):
        raise BundleError(
            "A bundle needs one mean and deviation a band, "
            f"but has {len(bands)} bands and {len(normalisation.mean)} means."
        )


def _canonical(content: object) -> str:
    """JSON that is the same for the same content."""
    try:
        return json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise BundleError(f"A bundle holds plain finite data only: {error}.") from error


def _bundle_file(path: Path) -> Path:
    """The file itself, or the bundle of a run folder."""
    file = path / BUNDLE_NAME if path.is_dir() else path
    if not file.is_file():
        what = (
            f"{path} is a folder without {BUNDLE_NAME}; train first, or name a bundle"
            if path.is_dir()
            else (f"{path} does not exist; name a bundle or a run folder")
        )
        raise BundleError(f"{what}.")
    return file


def _read_contract(file: Path) -> _Contract:
    """Read and check the JSON in the file's header, without touching the weights."""
    metadata = _read_header(file).get("__metadata__")
    if not isinstance(metadata, dict) or METADATA_KEY not in metadata:
        raise BundleError(
            f"{file} is a safetensors file, but not a Terrazzo bundle; train one, or choose another file."
        )
    try:
        content = json.loads(metadata[METADATA_KEY], parse_constant=_refuse_constant)
    except (TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"{file}: its contract is no JSON ({error}); the file is damaged.") from error
    number = content.get("format") if isinstance(content, dict) else None
    if type(number) is not int or number < 1:
        raise BundleError(f"{file}: its contract states no format number; the file is damaged or foreign.")
    if number > FORMAT:
        raise BundleError(f"{file} has bundle format {number}, this version knows up to {FORMAT}; update Terrazzo.")
    try:
        return _Contract.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{file}: its contract is wrong: {_first_errors(error)}.") from error


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _read_header(file: Path) -> dict[str, Any]:
    """Read the safetensors header after its sizes proved plausible."""
    size = file.stat().st_size
    if size > LARGEST_FILE:
        raise BundleError(f"{file} has {size / 2**30:.0f} GiB; a bundle has at most {LARGEST_FILE // 2**30}.")
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 10 or length > min(LARGEST_HEADER, size - 8):
            raise BundleError(
                f"{file} is no safetensors file, or it is truncated ({size} bytes); copy or train it again."
            )
        try:
            header = json.loads(handle.read(length))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{file} is no safetensors file, or it is damaged: {error}.") from error
    if not isinstance(header, dict):
        raise BundleError(f"{file} is no safetensors file: its header is no table.")
    return header


def _first_errors(error: ValidationError, most: int = 3) -> str:
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return "; ".join(found[:most]) + (f"; and {len(found) - most} more" if len(found) > most else "")


def _architecture(settings: dict[str, JsonValue], file: Path) -> Architecture:
    """Resolve the architecture by its name in the table, and by nothing else."""
    name = settings.get("name")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise BundleError(
            f"{file} needs the architecture {name!r}, which is unknown here; known: {', '.join(ARCHITECTURES)}. "
            "If it is a plug-in, name its file under plugins: or install its package."
        )
    try:
        record = ARCHITECTURES.find(name).model_validate(settings)
    except (ConfigError, ValidationError) as error:
        raise BundleError(f"{file}: the settings of its architecture {name} are wrong: {error}") from error
    if not isinstance(record, Architecture):
        raise BundleError(f'{file}: models "{name}" is no architecture.')
    return record.without_pretraining()


def _build(architecture: Architecture, *, bands: int, classes: int) -> Network:
    """Build without moving the caller's random numbers: the fresh weights are replaced anyway."""
    with torch.random.fork_rng(devices=[]):
        return architecture.without_pretraining().build(bands=bands, classes=classes)


def _check_backbone(needed: FrozenBackbone | None, given: Path | None, file: Path) -> None:
    if needed is not None and given is None:
        raise BundleError(
            f"{file} needs the frozen backbone {needed.identifier}, revision {needed.revision}; name its weights file "
            "(--backbone PATH)."
        )
    if needed is None and given is not None:
        raise BundleError(f"{file} holds all its weights and takes no backbone; leave {given} out.")
    if needed is not None and given is not None:
        needed.check(given)


def _read_weights(file: Path, wanted: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Read the weights after their names, shapes and types proved to be the network's."""
    try:
        with safe_open(file, framework="pt", device="cpu") as source:
            names = set(source.keys())
            _check_names(file, names, set(wanted))
            for name, expected in wanted.items():
                shape = list(source.get_slice(name).get_shape())
                if shape != list(expected.shape):
                    raise BundleError(
                        f"{file}: weight {name} has shape {shape}, the network needs {list(expected.shape)}."
                    )
            # Copies, because the file's own pages change under us if someone writes into it.
            weights = {name: source.get_tensor(name).clone() for name in wanted}
    except SafetensorError as error:
        raise BundleError(f"{file} is damaged or truncated: {error}; copy or train it again.") from error
    for name, expected in wanted.items():
        if weights[name].dtype != expected.dtype:
            raise BundleError(
                f"{file}: weight {name} has type {weights[name].dtype}, the network needs {expected.dtype}."
            )
    return weights


def _check_names(file: Path, found: set[str], wanted: set[str]) -> None:
    for names, verb in ((wanted - found, "lacks"), (found - wanted, "holds unknown")):
        if names:
            some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise BundleError(f"{file} {verb} {len(names)} weights ({some}); it does not fit its architecture.")


def _require_finite(weights: Mapping[str, torch.Tensor], file: Path) -> None:
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise BundleError(f"{file}: weight {name} holds values that are not finite; the training diverged.")
