"""Parts of an ONNX graph: what lies between tensors that bear names, as a model of its own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from terrazzo.errors import ModelError

__all__ = ["cut", "external_tensors", "graphs_of"]

# The messages of onnx have no types that mypy could read.
Model = Any
Graph = Any
Node = Any


def graphs_of(graph: Graph) -> Iterator[Graph]:
    """Yield a graph and every graph inside its operators: bodies of loops and branches."""
    yield graph
    for node in graph.node:
        for inner in _inside(node):
            yield from graphs_of(inner)


def external_tensors(model: Model) -> list[Any]:
    """Return the constants whose values are kept beside the model."""
    onnx_external = 1  # TensorProto.EXTERNAL
    return [tensor for tensor in model.graph.initializer if tensor.data_location == onnx_external]


def cut(model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> Model:
    """Return what lies between some tensors as a model; constants are taken along.

    Parts may lie inside the body of a loop: names are unique over all of a model.

    Args:
        model: Whole.
        inputs: Names of tensors that are given.
        outputs: Names of tensors that are wanted.

    Raises:
        ModelError: A tensor is unknown, or what is given is not enough to compute what is wanted.
    """
    graphs = list(graphs_of(model.graph))
    nodes = [node for graph in graphs for node in graph.node]
    producers = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    constants = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    known = {
        info.name: info for graph in graphs for group in (graph.value_info, graph.output, graph.input) for info in group
    }
    missing = [name for name in inputs if name not in known]
    missing += [name for name in outputs if name not in producers and name not in known]
    if missing:
        raise ModelError(
            f"The ONNX graph has no tensor {', '.join(missing)} of known type; its contract belongs to another file."
        )
    taken, used = _behind(outputs, set(inputs), nodes, producers, constants)
    part = type(model)(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    part.graph.name = model.graph.name or "graph"
    part.graph.input.extend(known[name] for name in inputs)
    for name in outputs:
        if name in known:
            part.graph.output.append(known[name])
        else:
            part.graph.output.add().name = name
    part.graph.node.extend(node for place, node in enumerate(nodes) if place in taken)
    part.graph.initializer.extend(constants[name] for name in constants if name in used and name not in inputs)
    return part


def _behind(
    outputs: Sequence[str],
    given: set[str],
    nodes: Sequence[Node],
    producers: Mapping[str, int],
    constants: Mapping[str, Any],
) -> tuple[set[int], set[str]]:
    """Return the places of the operators that the outputs need, and the names of constants."""
    taken, used, seen = set[int](), set[str](), set[str]()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if not name or name in seen or name in given:
            continue
        seen.add(name)
        if name in constants:
            used.add(name)
        elif name in producers:
            place = producers[name]
            if place not in taken:
                taken.add(place)
                waiting.extend(_needed(nodes[place]))
        else:
            raise ModelError(
                f"The ONNX graph cannot be computed from {', '.join(sorted(given))} alone: it needs {name} too."
            )
    return taken, used


def _needed(node: Node) -> set[str]:
    """Return the tensors that an operator and the graphs inside it take from outside."""
    needed = set(node.input)
    for inner in _inside(node):
        own = {info.name for info in inner.input} | {tensor.name for tensor in inner.initializer}
        own |= {name for each in inner.node for name in each.output}
        taken = {info.name for info in inner.output}
        for each in inner.node:
            taken |= _needed(each)
        needed |= taken - own
    return needed - {""}


def _inside(node: Node) -> Iterator[Graph]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
