"""ONNX files from anywhere: what is whole and described gets in, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from terrazzo.bundle import Bundle
from terrazzo.bundle.onnx_contract import contract_beside, parse_contract
from terrazzo.bundle.onnx_file import is_graph
from terrazzo.errors import BundleError, ModelError

WEIGHT = np.random.default_rng(0).normal(size=(3, 2, 11, 11)).astype(np.float32)
CONTRACT = {
    "interface": {"image": "picture", "logits": "answer"},
    "bands": {"items": [{"name": "red"}, {"name": "nir", "dtype": "uint16"}]},
    "classes": {"items": ["field", "wälder", "sea"]},
    "normalisation": {"mean": [100.0, 2000.0], "std": [20.0, 300.0]},
    "patch_size": 64,
}


def foreign(**changes: Any) -> onnx.ModelProto:
    """A model that somebody else made: one convolution."""
    node = helper.make_node("Conv", ["picture", "kernel"], ["answer"], pads=[5] * 4, **changes)
    graph = helper.make_graph(
        [node],
        "foreign",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 2, "h", "w"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [numpy_helper.from_array(WEIGHT, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Path]:
    """Write a model, with its contract beside it."""

    def write(model: onnx.ModelProto | None = None, contract: object = CONTRACT) -> Path:
        path = tmp_path / "fremdes é.onnx"
        path.write_bytes((model or foreign()).SerializeToString())
        if contract is not None:
            contract_beside(path).write_text(json.dumps(contract), encoding="utf-8")
        return path

    return write


def test_a_foreign_graph_with_its_contract_beside(lay: Callable[..., Path]) -> None:
    bundle = Bundle.load(lay())
    assert bundle.classes.names == ("field", "wälder", "sea")
    assert bundle.licence == ""
    image = torch.randn(2, 2, 30, 41)
    wanted = torch.nn.functional.conv2d(image, torch.from_numpy(WEIGHT), padding=5)
    with torch.inference_mode():
        assert torch.allclose(bundle.network()(image).logits, wanted, atol=1e-4)


def test_a_changed_weight_is_another_model(lay: Callable[..., Path]) -> None:
    before = Bundle.load(lay()).fingerprint
    assert Bundle.load(lay()).fingerprint == before
    model = foreign()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(WEIGHT * 1.0001, "kernel"))
    assert Bundle.load(lay(model)).fingerprint != before
    changed = {**CONTRACT, "normalisation": {"mean": [100.0, 2000.0], "std": [20.0, 301.0]}}
    assert Bundle.load(lay(contract=changed)).fingerprint != before


def test_without_a_contract(lay: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match=r"fremdes é.contract.json beside it.*takes picture and gives answer"):
        Bundle.load(lay(contract=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch_size": None}, "patch_size"),
        ({"patch_size": 0}, "patch_size"),
        ({"colour": 1}, "colour"),
        ({"format": 2}, "update Terrazzo"),
        ({"normalisation": {"mean": [1.0], "std": [1.0]}}, "2 bands and 1 means"),
        ({"interface": {"image": "picture"}}, "interface.logits"),
    ],
)
def test_a_wrong_contract(lay: Callable[..., Path], change: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        Bundle.load(lay(contract={**CONTRACT, **change}))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"patch_size": NaN}', "[" * 100_000])
def test_no_contract_at_all(text: str) -> None:
    with pytest.raises(BundleError):
        parse_contract(text, "here")


def test_a_contract_of_another_file(lay: Callable[..., Path]) -> None:
    path = lay(contract={**CONTRACT, "interface": {"image": "picture", "logits": "elsewhere"}})
    with pytest.raises(ModelError, match="no tensor elsewhere"):
        Bundle.load(path).network()(torch.zeros(1, 2, 8, 8))


@pytest.mark.parametrize("keep", [0, 1, 40, -1, -200])
def test_truncated(lay: Callable[..., Path], keep: int) -> None:
    path = lay()
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match=r"damaged|not finite"):
        Bundle.load(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" * 50, b"\x80\x04\x95" * 20, b"<html>", bytes(1000)])
def test_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="no ONNX file"):
        Bundle.load(path)


def test_operators_of_nobody(lay: Callable[..., Path]) -> None:
    with pytest.raises(BundleError, match=r"evil.Conv.*no library is loaded"):
        Bundle.load(lay(foreign(domain="evil")))


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "a/../../secret", "link"])
def test_weights_stay_in_the_folder(lay: Callable[..., Path], tmp_path: Path, place: str) -> None:
    outside = tmp_path.parent / "secret"
    outside.write_bytes(bytes(WEIGHT.nbytes))
    (tmp_path / "link").symlink_to(outside)
    model = foreign()
    move_out(model.graph.initializer[0], place)
    with pytest.raises(BundleError, match="outside the model's folder"):
        Bundle.load(lay(model))


def move_out(tensor: Any, place: str, **more: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, **more}.items():
        tensor.external_data.add(key=key, value=value)


@pytest.mark.parametrize("more", [{"offset": "8"}, {"length": "4"}, {"offset": "-4"}, {"offset": "x"}])
def test_weights_beside_that_do_not_fit(lay: Callable[..., Path], tmp_path: Path, more: dict[str, str]) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    model = foreign()
    move_out(model.graph.initializer[0], "weights.bin", **more)
    with pytest.raises(BundleError, match="kernel"):
        Bundle.load(lay(model))


def test_weights_beside(lay: Callable[..., Path], tmp_path: Path) -> None:
    inside = Bundle.load(lay()).fingerprint
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    model = foreign()
    move_out(model.graph.initializer[0], "weights.bin")
    assert Bundle.load(lay(model)).fingerprint == inside


def test_constants_of_operators_lie_in_no_other_file(lay: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(WEIGHT.tobytes())
    model = foreign()
    constant = numpy_helper.from_array(WEIGHT, "inner")
    move_out(constant, "weights.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=constant))
    with pytest.raises(BundleError, match="inside an operator"):
        Bundle.load(lay(model))


def test_weights_that_are_no_numbers(lay: Callable[..., Path]) -> None:
    model = foreign()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full_like(WEIGHT, np.nan), "kernel"))
    with pytest.raises(BundleError, match="not finite"):
        Bundle.load(lay(model))


def test_a_backbone_has_no_place(lay: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="takes no backbone"):
        Bundle.load(lay(), backbone=tmp_path)
    assert Bundle.backbone_of(lay()) is None


def test_the_extra_is_missing(lay: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = lay()
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(BundleError, match="extra `onnx`"):
        Bundle.load(path)


def test_names() -> None:
    assert is_graph(Path("A.ONNX"))
    assert not is_graph(Path("onnx"))
