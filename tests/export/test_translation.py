"""What is set right in models that a library has brought to half precision."""

import onnx
import pytest

from terrazzo.errors import ModelError
from terrazzo.export.translation import _drop_repeated


def cast(output: str, to: int = onnx.TensorProto.FLOAT) -> onnx.NodeProto:
    return onnx.helper.make_node("Cast", ["a"], [output], name=f"{output}_node", to=to)


def graph_of(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return onnx.helper.make_graph(list(nodes), "g", [], [])


def test_a_cast_that_stands_there_twice_stands_there_once() -> None:
    relu = onnx.helper.make_node("Relu", ["b"], ["d"])
    graph = graph_of(cast("b"), cast("c"), relu, cast("b"))
    _drop_repeated(graph)
    assert [list(node.output) for node in graph.node] == [["b"], ["c"], ["d"]]


def test_two_operators_of_one_answer_are_refused() -> None:
    graph = graph_of(cast("b"), cast("b", onnx.TensorProto.FLOAT16))
    with pytest.raises(ModelError, match="two operators answer b"):
        _drop_repeated(graph)
