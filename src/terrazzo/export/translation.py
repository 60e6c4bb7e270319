"""Programs translated to ONNX, cleaned of all that says nothing of the answers."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from terrazzo.errors import ModelError
from terrazzo.export.programs import TensorProgram, exported
from terrazzo.models.onnx_parts import graphs_of

__all__ = ["translated"]


def translated(program: TensorProgram, *, opset: int, half: bool = False) -> Any:  # noqa: ANN401 - onnx has no types
    """Return a program as an ONNX model.

    Args:
        program: What to translate.
        opset: Version of the operators.
        half: Whether it computes in float16; what it takes and gives stays float32.

    Raises:
        ModelError: torch has no ONNX operator for a part of it, or the operators' version is too low.
    """
    found = exported(program)
    try:
        with _quiet(), torch.no_grad():
            written = torch.onnx.export(
                found,
                dynamo=True,
                input_names=list(program.inputs),
                output_names=list(program.outputs),
                opset_version=opset,
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError) as error:
        reason = _root(error)
        raise ModelError(f"The network has no form in ONNX's operators of version {opset}: {reason}") from error
    if written is None:
        raise ModelError("The exporter answered nothing.")
    model = written.model_proto
    found_opset = {one.domain: one.version for one in model.opset_import}.get("", 0)
    if found_opset != opset:
        raise ModelError(f"The network needs ONNX's operators of version {found_opset}, not {opset}; give that opset.")
    if half:
        model = _halved(model)
    _clean(model)
    return model


def _root(error: BaseException) -> str:
    """Return the first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().partition("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own remarks, on its steps and on what of itself will change, from our users."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for kind in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.filterwarnings("ignore", category=kind, module=r"(torch|onnxscript|onnx_ir|copyreg)(\.|$)")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _halved(model: Any) -> Any:  # noqa: ANN401 - onnx has no types
    """Return a model that computes in float16; operators that lose too much by it stay in float32."""
    from onnxruntime.transformers import float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    with warnings.catch_warnings():
        # Constants below float16's smallest number become that number; the check at the end tells whether it matters.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"onnxruntime\.transformers\.float16")
        halved = float16.convert_float_to_float16(model, keep_io_types=True)
    _drop_repeated(halved.graph)
    # The converter puts its casts behind all others; the body of a loop must be in order.
    OnnxModel.graph_topological_sort(halved.graph, is_deterministic=True)
    return halved


def _drop_repeated(graph: Any) -> None:  # noqa: ANN401 - onnx has no types
    """Leave of the converter's casts of one tensor, one for each operator that reads it and all of one name, the first.

    Raises:
        ModelError: Two operators that differ answer one tensor.
    """
    made: dict[str, bytes] = {}
    unique: dict[bytes, Any] = {}
    for node in graph.node:
        written = node.SerializeToString(deterministic=True)
        if any(made.setdefault(output, written) != written for output in node.output if output):
            raise ModelError(f"The network has no form in half precision: two operators answer {node.output[0]}.")
        unique.setdefault(written, node)
    nodes = list(unique.values())
    del graph.node[:]
    graph.node.extend(nodes)


def _clean(model: Any) -> None:  # noqa: ANN401 - onnx has no types
    """Remove notes on where in our source an operator comes from."""
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for graph in graphs_of(model.graph):
        graph.ClearField("metadata_props")
        graph.ClearField("doc_string")
        graph.ClearField("value_info")
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        for info in (*graph.input, *graph.output):
            info.ClearField("metadata_props")
        for tensor in graph.initializer:
            tensor.ClearField("metadata_props")
            tensor.ClearField("doc_string")
