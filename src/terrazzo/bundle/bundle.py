"""A trained network with the contract of its input: saved, loaded, checked, and built again.

Nothing is unpickled, and no code comes from the file: the architecture is looked up by name in `ARCHITECTURES`, which
holds Terrazzo's own and the plug-ins that the user named or installed.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from terrazzo.bundle.contract import (
    FORMAT,
    METADATA_KEY,
    FrozenBackbone,
    canonical,
    require_equal_bands,
    require_fitting_calibration,
)
from terrazzo.bundle.file import bundle_file, read_contract, read_weights, require_finite
from terrazzo.bundle.onnx_contract import GraphContract, contract_beside
from terrazzo.bundle.onnx_file import is_graph, read_graph
from terrazzo.calibration.record import Calibration
from terrazzo.data.augment.geometry import Resize
from terrazzo.data.classes import Classes
from terrazzo.data.distribution import Distribution
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError, ConfigError, ModelError
from terrazzo.geo.bands import Bands
from terrazzo.models.architecture import ARCHITECTURES, Architecture, Network
from terrazzo.models.external import load_own_state, own_state
from terrazzo.models.onnx_graph import OnnxGraph
from terrazzo.storage import atomic_path

__all__ = ["Bundle", "architecture_of"]

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
"""Fields of the contract that decide the answers."""
GRAPH_NAME = "onnx"
"""Name of the architecture that is a graph."""


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
        backbone_path: Where those weights lie on this machine; not part of the file.
        distribution: Quantiles of each band's raw values over the training images, by which a scene whose values lie
            elsewhere is found; None where they were not measured.
        calibration: Temperatures, thresholds and what is promised of them; None where nothing was calibrated.
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
    backbone_path: Path | None = None
    distribution: Distribution | None = None
    calibration: Calibration | None = None

    def __post_init__(self) -> None:
        """Refuse parts that contradict each other."""
        if self.format != FORMAT:
            raise BundleError(f"A bundle has format {FORMAT}, not {self.format}.")
        require_equal_bands(self.bands, self.normalisation, self.distribution)
        rule = self.architecture.halting_rule
        require_fitting_calibration(
            self.calibration,
            classes=len(self.classes),
            bands=len(self.bands),
            steps=None if rule is None else rule.last,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the answers: weights, architecture and contract.

        The training summary, versions and licence stay outside, so that two trainings to the same bits are the same;
        of a frozen backbone its SHA-256 counts, not its name.
        """
        dumped = self._dump()
        dumped["backbone"] = self.backbone.sha256 if self.backbone else None
        deciding = {field: dumped[field] for field in ANSWER_FIELDS}
        if self.calibration is not None:
            # Not a field of all bundles: those that were never calibrated keep the fingerprint that they always had.
            deciding["calibration"] = dumped["calibration"]
        digest = hashlib.sha256(canonical(deciding).encode())
        for name in sorted(self.weights):
            weight = self.weights[name].detach().cpu().contiguous()
            digest.update(canonical([name, str(weight.dtype), list(weight.shape)]).encode())
            digest.update(weight.reshape(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def network(self) -> Network:
        """Return the network with its weights, in evaluation mode and without gradients.

        Raises:
            ModelError: The architecture's settings do not fit together.
            BundleError: The weights do not fit the architecture, or the frozen backbone is missing or another.
        """
        network = _build(
            self.architecture, bands=len(self.bands), classes=len(self.classes), leaning=self.backbone is not None
        )
        try:
            load_own_state(network, self.weights)
        except ModelError as error:
            raise BundleError(f"The weights do not fit the architecture {self.architecture.name}: {error}") from error
        if self.backbone is not None:
            _read_backbone(network, self.backbone, self.backbone_path)
        return network.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all; it replaces an earlier one.

        Raises:
            BundleError: A field holds what JSON cannot (a NaN in the training summary), or a weight is not finite.
            StorageError: The file cannot be written.
        """
        if is_graph(path):
            raise BundleError(f"{path} must end in .safetensors; an ONNX file is written by `terrazzo export`.")
        require_finite(self.weights, path)
        contract = {**self._dump(), "fingerprint": self.fingerprint}
        # Copies: safetensors refuses tensors that share memory, and tied weights do.
        weights = {
            name: weight.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, weight in self.weights.items()
        }
        with atomic_path(path) as temporary:
            # One key: the order of several is not fixed, and equal bundles are to be equal files.
            save_file(weights, temporary, metadata={METADATA_KEY: canonical(contract)})

    @classmethod
    def load(cls, path: str | Path, *, backbone: Path | None = None) -> "Bundle":
        """Read a bundle and check every field and weight.

        Args:
            path: The file, an ONNX file, or a run folder, which stands for its best bundle.
            backbone: Weights file or folder of the frozen backbone, where the bundle needs one.

        Raises:
            BundleError: The file is missing, damaged, foreign, of another format, or its weights do not fit the
                network; or the backbone is missing or another.
        """
        file = bundle_file(Path(path))
        if is_graph(file):
            _refuse_backbone(file, backbone)
            return _of_graph(file)
        contract = read_contract(file)
        architecture = architecture_of(contract.architecture, file)
        _check_backbone(contract.backbone, backbone, file)
        try:
            network = _build(
                architecture,
                bands=len(contract.bands),
                classes=len(contract.classes),
                leaning=contract.backbone is not None,
            )
        except ModelError as error:
            raise BundleError(f"{file}: its architecture {architecture.name} cannot be built: {error}") from error
        weights = read_weights(file, own_state(network))
        require_finite(weights, file)
        parts = {field: value for field, value in contract if field not in {"architecture", "fingerprint"}}
        bundle = cls(architecture=architecture, weights=weights, backbone_path=backbone, **parts)
        if bundle.fingerprint != contract.fingerprint:
            raise BundleError(
                f"{file} is damaged: its content does not give the fingerprint that it states; copy it again."
            )
        return bundle

    @classmethod
    def of_graph(cls, graph: bytes, weights: Mapping[str, torch.Tensor], contract: GraphContract) -> "Bundle":
        """Return a network that is an ONNX graph as a bundle.

        Args:
            graph: The model without metadata and weights, serialised.
            weights: What it leaves open.
            contract: What it was trained for.

        Raises:
            BundleError: Parts contradict each other.
        """
        exported_from = {"exported_from": contract.source} if contract.source else {}
        return cls(
            architecture=OnnxGraph.of(graph, contract.interface),
            bands=contract.bands,
            classes=contract.classes,
            normalisation=contract.normalisation,
            patch_size=contract.patch_size,
            resolution_m=contract.resolution_m,
            weights=weights,
            training={**contract.training, **exported_from},
            versions=contract.versions,
            licence=contract.licence,
            resize=contract.resize,
            distribution=contract.distribution,
            calibration=contract.calibration,
        )

    @staticmethod
    def backbone_of(path: str | Path) -> FrozenBackbone | None:
        """Return what a bundle leans on, read from its header alone; None where the file is enough.

        Args:
            path: The file, or a run folder, which stands for its best bundle.

        Raises:
            BundleError: The file is missing, damaged, foreign, or of another format.
        """
        file = bundle_file(Path(path))
        return None if is_graph(file) else read_contract(file).backbone

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
            "distribution": self.distribution.model_dump(mode="json") if self.distribution else None,
            "calibration": self.calibration.model_dump(mode="json") if self.calibration else None,
        }


def architecture_of(settings: Mapping[str, Any], file: Path) -> Architecture:
    """Resolve the architecture of a contract by its name in the table, and by nothing else.

    Args:
        settings: The contract's `architecture`.
        file: The bundle, for messages.

    Returns:
        The record, which starts from random weights.

    Raises:
        BundleError: The name is unknown here, or the settings are wrong.
    """
    name = settings.get("name")
    if name == GRAPH_NAME:
        return _graph_of(settings, file)
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise BundleError(
            f"{file} needs the architecture {name!r}, which is unknown here; known: {', '.join(ARCHITECTURES)}. "
            "If it is a plug-in, name its file under plugins: or install its package."
        )
    try:
        record = ARCHITECTURES.find(name).model_validate(dict(settings))
    except (ConfigError, ValidationError) as error:
        raise BundleError(f"{file}: the settings of its architecture {name} are wrong: {error}") from error
    if not isinstance(record, Architecture):
        raise BundleError(f'{file}: models "{name}" is no architecture.')
    return record.without_pretraining()


def _build(architecture: Architecture, *, bands: int, classes: int, leaning: bool) -> Network:
    """Build without moving the caller's random numbers, and not for training: the fresh weights are replaced anyway.

    Args:
        architecture: The record.
        bands: Input channels.
        classes: Output channels.
        leaning: Whether frozen weights come from a file of their own.
    """
    scratch = architecture.without_pretraining()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        if leaning:
            return scratch.build_without_external(bands=bands, classes=classes)
        return scratch.build(bands=bands, classes=classes)


def _read_backbone(network: Network, needed: FrozenBackbone, path: Path | None) -> None:
    """Read the frozen weights into a network, after they proved to be those of the training."""
    if path is None:
        raise BundleError(f"The frozen backbone {needed.identifier} is needed; load the bundle with backbone=PATH.")
    needed.check(path)
    network.load_external(path)


def _check_backbone(needed: FrozenBackbone | None, given: Path | None, file: Path) -> None:
    if needed is not None and given is None:
        raise BundleError(
            f"{file} needs the frozen backbone {needed.identifier}, revision {needed.revision}; name its weights "
            "(--backbone PATH)."
        )
    if needed is None:
        _refuse_backbone(file, given)
    if needed is not None and given is not None:
        needed.check(given)


def _refuse_backbone(file: Path, given: Path | None) -> None:
    if given is not None:
        raise BundleError(f"{file} holds all its weights and takes no backbone; leave {given} out.")


def _graph_of(settings: Mapping[str, Any], file: Path) -> OnnxGraph:
    """Return the graph that a bundle holds instead of settings; no table names it, since nobody can train it."""
    try:
        return OnnxGraph.model_validate(dict(settings))
    except ValidationError as error:
        raise BundleError(f"{file}: its ONNX graph is wrong: {error}") from error


def _of_graph(file: Path) -> Bundle:
    """Return an ONNX file as a bundle.

    Raises:
        BundleError: The file is damaged, without a contract, changed since its export, or does not fit its contract.
    """
    found = read_graph(file)
    require_finite(found.weights, file)
    bundle = Bundle.of_graph(found.graph, found.weights, found.contract)
    if not found.beside and bundle.fingerprint != found.contract.fingerprint:
        raise BundleError(
            f"{file} is damaged, or was changed since its export: its content does not give the fingerprint that it "
            f"states. Copy or export it again; where it was changed on purpose, put its contract beside it as "
            f"{contract_beside(file).name} (see docs/export.md)."
        )
    return bundle
