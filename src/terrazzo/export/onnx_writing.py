"""An ONNX graph written to the disk with its contract, whole or not at all."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from terrazzo.bundle import METADATA_KEY, Bundle
from terrazzo.bundle.contract import canonical
from terrazzo.bundle.onnx_contract import GraphContract
from terrazzo.bundle.onnx_file import split_weights
from terrazzo.models.onnx_graph import weight_name
from terrazzo.models.onnx_parts import external_tensors

__all__ = ["DATA_SUFFIX", "MLM_KEY", "largest_inline", "split_graph", "write_graph"]

DATA_SUFFIX = ".data"
"""What the file of weights beside `NAME.onnx` ends in: `NAME.onnx.data`."""
MLM_KEY = "stac_mlm"
"""Key, in the file's metadata, of its description in the terms of STAC's extension for models."""
largest_inline = 1_900_000_000
"""Bytes of weights that are kept in the ONNX file itself at most: protobuf takes 2 GiB for everything."""
_ALIGNMENT = 4096


def split_graph(onnx: ModuleType, model: Any, contract: GraphContract) -> tuple[Bundle, GraphContract]:  # noqa: ANN401 - onnx has no types
    """Take the weights out of a model, in place, and return it as the bundle that its file will be.

    Args:
        onnx: The package.
        model: The model in memory.
        contract: Without a fingerprint.

    Returns:
        The bundle, and the contract with its fingerprint.
    """
    weights = split_weights(onnx, model, folder=Path(), name="the exported graph")
    bundle = Bundle.of_graph(model.SerializeToString(deterministic=True), weights, contract)
    return bundle, contract.model_copy(update={"fingerprint": bundle.fingerprint})


def write_graph(
    onnx: ModuleType,
    model: Any,  # noqa: ANN401 - onnx has no types
    weights: Mapping[str, torch.Tensor],
    path: Path,
    *,
    contract: GraphContract,
    description: Mapping[str, object],
    data_name: str | None,
) -> Path | None:
    """Write a model.

    Args:
        onnx: The package.
        model: Without weights; changed.
        weights: What it leaves open.
        path: The file.
        contract: Goes into its metadata.
        description: Of STAC's extension, likewise.
        data_name: What the file of weights beside it will be called; None keeps them inside, if they are not too large.

    Returns:
        The file of weights beside it, if there is one; it bears its name already, with the folder of `path`.
    """
    entries = {METADATA_KEY: canonical(contract.model_dump(mode="json")), MLM_KEY: canonical(dict(description))}
    onnx.helper.set_model_props(model, entries)
    model.producer_name = "terrazzo"
    tensors = external_tensors(model)
    if data_name is None or not tensors:
        for number, tensor in enumerate(tensors):
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = weights[weight_name(number)].contiguous().numpy().tobytes()
        path.write_bytes(model.SerializeToString(deterministic=True))
        return None
    beside = path.with_name(data_name)
    with beside.open("wb") as file:
        for number, tensor in enumerate(tensors):
            file.write(bytes(-file.tell() % _ALIGNMENT))
            content = weights[weight_name(number)].contiguous().numpy()
            place = {"location": data_name, "offset": str(file.tell()), "length": str(content.nbytes)}
            file.write(content.tobytes())
            tensor.ClearField("external_data")
            tensor.external_data.extend(
                onnx.StringStringEntryProto(key=key, value=value) for key, value in place.items()
            )
    path.write_bytes(model.SerializeToString(deterministic=True))
    return beside
