"""ONNX Runtime's sessions of a graph and of its parts: opened when first used, one for each number of threads.

A pass computes on as many threads as torch would in the calling thread, and on that thread alone where that is one, so
that passes that run side by side neither wait for each other nor change each other's bits.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped

from terrazzo.errors import ModelError, OutOfMemoryError
from terrazzo.models.onnx_parts import cut, external_tensors
from terrazzo.record import Record

__all__ = ["OnnxPart", "OnnxSessions", "WeightShape", "onnx_modules", "weights_of"]

_LOG = logging.getLogger(__name__)
_FATAL = 4
_PROVIDERS = {"cuda": "CUDAExecutionProvider"}
_PROCESSOR = "CPUExecutionProvider"


class OnnxPart(Record):
    """A part of a graph, between tensors that bear names."""

    inputs: tuple[str, ...]
    """Tensors that it takes."""
    outputs: tuple[str, ...]
    """Tensors that it gives."""
    reads: tuple[int, ...] = ()
    """Of a part of steps: which tensors of the state the inputs are, as far as they are of it."""
    writes: tuple[int, ...] = ()
    """Of a part of steps: which tensors of the state the outputs replace."""


class WeightShape(NamedTuple):
    """A large constant that a graph leaves open."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


def onnx_modules() -> tuple[ModuleType, ModuleType]:
    """Return onnx and onnxruntime.

    Raises:
        ModelError: The extra is missing.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ModelError(
            f"ONNX files need packages that are missing here ({error.name}): install terrazzo with its extra `onnx`."
        ) from error
    return onnx, onnxruntime


def weights_of(graph: bytes) -> tuple[WeightShape, ...]:
    """Return the large constants that a serialised graph leaves open, in its order.

    Raises:
        ModelError: The extra `onnx` is missing, or the graph is damaged.
    """
    onnx, _ = onnx_modules()
    kinds = torch_types()
    return tuple(
        WeightShape(tensor.name, tuple(tensor.dims), kinds[tensor.data_type])
        for tensor in external_tensors(_parsed(onnx, graph))
    )


def torch_types() -> dict[int, torch.dtype]:
    """Return torch's type for each of ONNX's of which weights are kept beside a graph."""
    onnx, _ = onnx_modules()
    kinds = onnx.TensorProto
    return {
        kinds.FLOAT: torch.float32,
        kinds.FLOAT16: torch.float16,
        kinds.DOUBLE: torch.float64,
        kinds.INT8: torch.int8,
        kinds.UINT8: torch.uint8,
        kinds.INT32: torch.int32,
        kinds.INT64: torch.int64,
    }


def _parsed(onnx: ModuleType, graph: bytes) -> Any:  # noqa: ANN401 - onnx has no types
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(graph)
    except DecodeError as error:
        raise ModelError(f"The ONNX graph is damaged: {error}.") from error


class OnnxSessions:
    """Sessions of one graph, which share its weights; several threads may run them at once.

    Args:
        graph: Serialised, without its weights.
        weights: By name.
    """

    def __init__(self, graph: bytes, weights: Mapping[str, torch.Tensor]) -> None:
        onnx, self._runtime = onnx_modules()
        self._model = _parsed(onnx, graph)
        # Kept as long as the sessions that read them.
        self._values = {
            name: self._runtime.OrtValue.ortvalue_from_numpy(weight.contiguous().numpy())
            for name, weight in weights.items()
        }
        self._open: dict[tuple[OnnxPart, int, str], Any] = {}
        self._lock = threading.Lock()

    def run(self, part: OnnxPart, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return what a part answers, on the device of what it is given.

        Args:
            part: What to compute.
            inputs: In the order of the part's inputs; converted to the types that the graph takes.

        Raises:
            ModelError: ONNX Runtime refuses the graph or the shapes.
            OutOfMemoryError: There is too little memory.
        """
        device = inputs[0].device
        session = self._session(part, torch.get_num_threads(), device.type)
        given = {
            wanted.name: _array(tensor, wanted.type)
            for wanted, tensor in zip(session.get_inputs(), inputs, strict=True)
        }
        options = self._runtime.RunOptions()
        options.log_severity_level = _FATAL
        try:
            found = session.run(list(part.outputs), given, options)
        except self._failures() as error:
            words = str(error)
            if "llocat" in words:
                raise OutOfMemoryError(f"ONNX Runtime has too little memory for {_shapes(inputs)}: {words}") from error
            raise ModelError(f"ONNX Runtime cannot compute images of {_shapes(inputs)}: {words}") from error
        return [torch.from_numpy(one).to(device) for one in found]

    def _session(self, part: OnnxPart, threads: int, device: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
        key = part, threads, device
        found = self._open.get(key)
        if found is None:
            with self._lock:
                found = self._open.get(key) or self._opened(part, threads, device)
                self._open[key] = found
        return found

    def _opened(self, part: OnnxPart, threads: int, device: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
        model = cut(self._model, part.inputs, part.outputs)
        options = self._runtime.SessionOptions()
        options.log_severity_level = _FATAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        names = [tensor.name for tensor in external_tensors(model)]
        if names:
            options.add_external_initializers(names, [self._values[name] for name in names])
        try:
            return self._runtime.InferenceSession(model.SerializeToString(), options, providers=self._providers(device))
        except self._failures() as error:
            raise ModelError(f"ONNX Runtime refuses the graph: {error}") from error

    def _providers(self, device: str) -> list[str]:
        wanted = _PROVIDERS.get(device)
        if wanted is None or wanted in self._runtime.get_available_providers():
            return [_PROCESSOR] if wanted is None else [wanted, _PROCESSOR]
        _LOG.warning(
            "ONNX Runtime was installed without %s, so the graph is computed on the processor; install onnxruntime-gpu",
            wanted,
        )
        return [_PROCESSOR]

    def _failures(self) -> tuple[type[Exception], ...]:
        state = self._runtime.capi.onnxruntime_pybind11_state
        names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
        return (*(getattr(state, name) for name in names), RuntimeError, ValueError)


def _array(tensor: torch.Tensor, kind: str) -> Shaped[np.ndarray, "*_"]:
    """Return a tensor as ONNX Runtime takes it."""
    wanted = {
        "tensor(float)": torch.float32,
        "tensor(float16)": torch.float16,
        "tensor(double)": torch.float64,
        "tensor(uint8)": torch.uint8,
    }.get(kind, tensor.dtype)
    found: Shaped[np.ndarray, "*_"] = tensor.detach().to("cpu", wanted).contiguous().numpy()
    return found


def _shapes(inputs: Sequence[torch.Tensor]) -> str:
    return ", ".join(" x ".join(str(size) for size in one.shape) for one in inputs[:1])
