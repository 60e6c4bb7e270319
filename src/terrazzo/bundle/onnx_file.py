"""Reading an ONNX file: nothing is believed before its size, operators, constants and contract proved sound.

What comes from outside may be damaged or made to harm: no constant is read from outside the file's folder, and no
operator is run that ONNX Runtime itself does not have.
"""

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from terrazzo.bundle.contract import METADATA_KEY
from terrazzo.bundle.onnx_contract import GraphContract, contract_beside, parse_contract
from terrazzo.errors import BundleError, ModelError
from terrazzo.models.onnx_graph import LARGEST_GRAPH, weight_name
from terrazzo.models.onnx_parts import graphs_of
from terrazzo.models.onnx_sessions import onnx_modules, torch_types

__all__ = [
    "LEAST_WEIGHT",
    "LOCATION",
    "ONNX_SUFFIX",
    "GraphFile",
    "is_graph",
    "leave_open",
    "read_graph",
    "split_weights",
]

ONNX_SUFFIX = ".onnx"
LARGEST_FILE = 2**31 - 1
"""Bytes of an ONNX file: protobuf's own limit; larger weights lie beside it."""
LARGEST_WEIGHTS = 64 * 2**30
"""Bytes of weights beside the file that are read at most."""
LEAST_WEIGHT = 1024
"""Bytes from which on a constant counts as a weight, which is kept beside the graph."""
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Sets of operators that ONNX Runtime has."""
LOCATION = "weights"
"""Where a graph without its weights says that they are; no file."""


@dataclass(frozen=True)
class GraphFile:
    """What an ONNX file holds.

    Attributes:
        graph: The model without metadata and weights, serialised.
        weights: By the names under which a network of this graph keeps them.
        contract: What it was trained for.
        beside: Whether the contract comes from a file beside it.
    """

    graph: bytes
    weights: dict[str, torch.Tensor]
    contract: GraphContract
    beside: bool


def is_graph(path: Path) -> bool:
    """Whether a path names an ONNX file.

    >>> is_graph(Path("a.ONNX")), is_graph(Path("bundle.safetensors"))
    (True, False)
    """
    return path.suffix.lower() == ONNX_SUFFIX


def read_graph(file: Path) -> GraphFile:
    """Read and check an ONNX file with its weights and its contract.

    Raises:
        BundleError: The file is damaged, too large, without a contract, or asks for what is not allowed; or the extra
            `onnx` is missing.
    """
    onnx = _modules()
    size = file.stat().st_size
    if size > LARGEST_FILE:
        raise BundleError(f"{file} has {size / 2**30:.1f} GiB; an ONNX file has at most 2, with weights beside it.")
    model = _parsed(onnx, file)
    contract, beside = _contract(model, file)
    _check_operators(model, file)
    weights = split_weights(onnx, model, folder=file.parent, name=str(file))
    graph = model.SerializeToString(deterministic=True)
    if len(graph) > LARGEST_GRAPH:
        raise BundleError(f"{file}: its graph has {len(graph) / 2**20:.0f} MiB beside its weights; that is no network.")
    return GraphFile(graph, weights, contract, beside)


def _modules() -> ModuleType:
    try:
        return onnx_modules()[0]
    except ModelError as error:
        raise BundleError(str(error)) from error


def _parsed(onnx: ModuleType, file: Path) -> Any:  # noqa: ANN401 - onnx has no types
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(file.read_bytes())
    except DecodeError as error:
        raise BundleError(f"{file} is no ONNX file, or it is damaged or truncated; copy or export it again.") from error
    if not model.ir_version or not model.graph.node or not model.opset_import:
        raise BundleError(f"{file} is no ONNX file, or it is damaged: it holds no graph; copy or export it again.")
    return model


def _contract(model: Any, file: Path) -> tuple[GraphContract, bool]:  # noqa: ANN401 - onnx has no types
    """Return the contract: the file's beside the model where there is one, else the model's own."""
    beside = contract_beside(file)
    if beside.is_file():
        return parse_contract(beside.read_bytes(), str(beside)), True
    found = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    if found is None:
        inputs, outputs = (", ".join(one.name for one in group) for group in (model.graph.input, model.graph.output))
        raise BundleError(
            f"{file} was not exported by Terrazzo: it does not say what its bands and classes mean and how values are "
            f"normalised. Write that into {beside.name} beside it (see docs/export.md): interface, bands, classes, "
            f"normalisation and patch_size. The graph takes {inputs} and gives {outputs}."
        )
    return parse_contract(found, str(file)), False


def _check_operators(model: Any, file: Path) -> None:  # noqa: ANN401 - onnx has no types
    """Refuse operators that would need a library of somebody's."""
    own = {(function.domain, function.name) for function in model.functions}
    nodes = [node for graph in graphs_of(model.graph) for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    foreign = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in nodes
            if node.domain not in DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if foreign:
        raise BundleError(
            f"{file} uses operators that ONNX Runtime does not have ({', '.join(foreign[:5])}); no library is loaded "
            "for them. Export it with standard operators."
        )


def split_weights(onnx: ModuleType, model: Any, *, folder: Path, name: str) -> dict[str, torch.Tensor]:  # noqa: ANN401 - onnx has no types
    """Take the large constants, and all that says nothing of the answers, out of a model, in place.

    Args:
        onnx: The package.
        model: Parsed; afterwards its large constants are left open.
        folder: Where constants may lie that are kept beside it.
        name: The file, for messages.

    Returns:
        The constants, by the names under which a network of this graph keeps them.

    Raises:
        BundleError: A constant is damaged, or lies outside the folder.
    """
    for field in ("metadata_props", "producer_name", "producer_version", "model_version", "domain", "doc_string"):
        model.ClearField(field)
    kinds = torch_types()
    weights: dict[str, torch.Tensor] = {}
    for tensor in _inner_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise BundleError(f"{name}: the constant {tensor.name!r} inside an operator lies in another file.")
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            values = _external(onnx, tensor, folder, name)
        elif tensor.data_type in kinds and _size(tensor, kinds[tensor.data_type]) >= LEAST_WEIGHT:
            values = _values(onnx, tensor, name)
        else:
            continue
        if tensor.data_type not in kinds:
            raise BundleError(f"{name}: the constant {tensor.name!r} is of a type that is not read from another file.")
        weights[weight_name(len(weights))] = torch.from_numpy(np.array(values))
        leave_open(onnx, tensor)
    return weights


def leave_open(onnx: ModuleType, tensor: Any) -> None:  # noqa: ANN401 - onnx has no types
    """Take the values of a constant away, in place."""
    left = onnx.TensorProto(
        name=tensor.name,
        dims=tensor.dims,
        data_type=tensor.data_type,
        data_location=onnx.TensorProto.EXTERNAL,
        external_data=[onnx.StringStringEntryProto(key="location", value=LOCATION)],
    )
    tensor.CopyFrom(left)


def _size(tensor: Any, dtype: torch.dtype) -> int:  # noqa: ANN401 - onnx has no types
    size: int = math.prod(tensor.dims) * dtype.itemsize
    return size


def _inner_tensors(model: Any) -> list[Any]:  # noqa: ANN401 - onnx has no types
    """Return every constant of a model but those of its main graph: in operators, bodies and functions."""
    found: list[Any] = []
    nodes: list[Any] = [node for function in model.functions for node in function.node]
    for graph in graphs_of(model.graph):
        if graph is not model.graph:
            found.extend(graph.initializer)
        for sparse in graph.sparse_initializer:
            found.extend((sparse.values, sparse.indices))
        nodes.extend(graph.node)
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                found.append(attribute.t)
            found.extend(attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                found.extend((sparse.values, sparse.indices))
    return found


def _values(onnx: ModuleType, tensor: Any, name: str) -> Shaped[np.ndarray, "*_"]:  # noqa: ANN401 - onnx has no types
    try:
        values: Shaped[np.ndarray, "*_"] = onnx.numpy_helper.to_array(tensor)
    except (TypeError, ValueError) as error:
        raise BundleError(f"{name}: the constant {tensor.name!r} is damaged: {error}.") from error
    return values


def _external(onnx: ModuleType, tensor: Any, folder: Path, name: str) -> Shaped[np.ndarray, "*_"]:  # noqa: ANN401 - onnx has no types
    """Read a constant that lies beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = PurePosixPath(entries.get("location", ""))
    path = folder / place
    if place.is_absolute() or ".." in place.parts or not path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"{name}: the constant {tensor.name!r} lies at {place}, outside the model's folder.")
    if not path.is_file():
        raise BundleError(f"{name}: its weights {path.name} are missing; copy both files into one folder.")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    count = math.prod(tensor.dims)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", count * dtype.itemsize))
    except ValueError as error:
        raise BundleError(f"{name}: the constant {tensor.name!r} is damaged: {error}.") from error
    size = path.stat().st_size
    if length != count * dtype.itemsize or offset < 0 or offset + length > size or size > LARGEST_WEIGHTS:
        raise BundleError(
            f"{name}: the constant {tensor.name!r} needs {length} bytes from {offset} on of {path.name}, which has "
            f"{size}; it is truncated, or belongs to another model. Copy both files again."
        )
    return np.fromfile(path, dtype=dtype, count=count, offset=offset).reshape(tuple(tensor.dims))
