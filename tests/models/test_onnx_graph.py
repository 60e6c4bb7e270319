"""Graphs behind the interface of networks: threads, types, and what ONNX Runtime refuses."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from terrazzo.errors import ModelError
from terrazzo.models.onnx_graph import Interface, OnnxGraph, OnnxNetwork
from terrazzo.models.onnx_parts import cut, external_tensors

KERNEL = np.random.default_rng(0).normal(size=(2, 2, 1, 1)).astype(np.float32)


def model(kind: int = TensorProto.FLOAT, size: str | int = "h") -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["cast", "kernel"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    shape = ["n", 2, size, "w"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(KERNEL, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def network(made: onnx.ModelProto, **interface: str) -> OnnxNetwork:
    where = Interface(**{"image": "image", "logits": "logits", **interface})
    built = OnnxGraph.of(made.SerializeToString(), where).build(bands=2, classes=2)
    assert isinstance(built, OnnxNetwork)
    return built.eval()


def expected(image: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv2d(image, torch.from_numpy(KERNEL))


def test_answers_from_inside_the_graph() -> None:
    image = torch.randn(2, 2, 5, 7).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(model())(image).logits, expected(image), atol=1e-6)


def test_probabilities_become_their_logarithm() -> None:
    image = torch.randn(1, 2, 5, 7)
    found = network(model(), logits="probabilities", answers="probabilities")(image).logits
    assert torch.allclose(found, expected(image).log_softmax(1), atol=1e-5)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_images_of_the_graph_s_own_type(kind: int) -> None:
    image = torch.randn(1, 2, 4, 4)
    found = network(model(kind))(image).logits
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected(image), atol=1e-2)


def test_lanes_answer_the_same_bits() -> None:
    one = network(model())
    images = torch.randn(16, 1, 2, 64, 64)

    def answer(image: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(1)
        return one(image).logits

    alone = [answer(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(answer, images))
    assert all(map(torch.equal, alone, beside))


def test_a_size_that_the_graph_refuses() -> None:
    with pytest.raises(ModelError, match="cannot compute images of 1 x 2 x 9 x 4"):
        network(model(size=8))(torch.zeros(1, 2, 9, 4))


def test_devices_and_types_leave_it_alone() -> None:
    one = network(model())
    image = torch.randn(1, 2, 4, 4)
    assert torch.equal(one.half().to(memory_format=torch.channels_last)(image).logits, one(image).logits)


def test_a_part_needs_all_that_it_computes_with() -> None:
    whole = model()
    part = cut(whole, ["image"], ["logits"])
    assert [node.op_type for node in part.graph.node] == ["Cast", "Conv"]
    assert external_tensors(part) == []
    with pytest.raises(ModelError, match="no tensor nowhere"):
        cut(whole, ["nowhere"], ["logits"])
    with pytest.raises(ModelError, match="needs image too"):
        cut(whole, [], ["logits"])


@pytest.mark.parametrize("graph", ["", "####", "aGVsbG8="])
def test_a_damaged_record(graph: str) -> None:
    record = OnnxGraph(graph=graph, interface=Interface(image="image", logits="logits"))
    with pytest.raises(ModelError, match="damaged"):
        record.build(bands=2, classes=2)
