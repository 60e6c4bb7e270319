"""An exported file answers as its bundle does, at any size, and appears only then."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from terrazzo.bundle import Bundle
from terrazzo.errors import BundleError, ConfigError, ModelError
from terrazzo.export.surroundings import Calibrated

Case = Any  # a bundle and what was exported of it
Make = Callable[..., Bundle]
Write = Callable[..., Case]


def run(file: Path, image: np.ndarray) -> dict[str, torch.Tensor]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    found = session.run(names, {"image": image.astype(np.float32)})
    return {name: torch.from_numpy(one) for name, one in zip(names, found, strict=True)}


@pytest.mark.parametrize("shape", [(1, 40, 40), (3, 41, 77), (2, 7, 130), (1, 1, 1)])
def test_any_size_and_batch(plain: Case, shape: tuple[int, int, int]) -> None:
    batch, height, width = shape
    image = np.random.default_rng(0).integers(1, 255, (batch, 3, height, width))
    found = run(plain.file, image)
    valid = np.ones((height, width), dtype=bool)
    seen = torch.from_numpy(np.stack([plain.bundle.normalisation(one, valid) for one in image]))
    with torch.no_grad():
        logits = plain.bundle.network()(seen).logits
    assert torch.allclose(found["logits"], logits, atol=1e-5)
    assert torch.allclose(found["probabilities"], Calibrated(plain.bundle.calibration)(logits, seen), atol=1e-6)


def test_missing_pixels_look_as_in_training(plain: Case) -> None:
    image = np.random.default_rng(1).integers(1, 255, (1, 3, 20, 30)).astype(np.float32)
    valid = np.ones((20, 30), dtype=bool)
    valid[3:6, 4:9] = valid[10, 10] = False
    image[0, 1, 3:6, 4:9] = 0  # the band's nodata value
    image[0, 2, 10, 10] = np.nan
    seen = torch.from_numpy(plain.bundle.normalisation(np.nan_to_num(image[0]), valid))[None]
    with torch.no_grad():
        logits = plain.bundle.network()(seen).logits
    assert torch.allclose(run(plain.file, image)["logits"], logits, atol=1e-5)


def test_the_file_is_a_bundle(plain: Case) -> None:
    loaded = Bundle.load(plain.file)
    bundle = plain.bundle
    for name in ("bands", "classes", "normalisation", "patch_size", "resolution_m", "licence", "calibration"):
        assert getattr(loaded, name) == getattr(bundle, name)
    assert loaded.training == {"epochs": 1, "exported_from": bundle.fingerprint}
    assert loaded.fingerprint == plain.exported.fingerprint != bundle.fingerprint
    image = torch.randn(2, 3, 33, 50)
    with torch.inference_mode():
        assert torch.allclose(loaded.network()(image).logits, bundle.network()(image).logits, atol=1e-5)


def test_a_saved_graph_is_the_same_model(plain: Case, tmp_path: Path) -> None:
    loaded = Bundle.load(plain.file)
    loaded.save(tmp_path / "copy.safetensors")
    again = Bundle.load(tmp_path / "copy.safetensors")
    assert again.fingerprint == loaded.fingerprint
    image = torch.randn(1, 3, 20, 21)
    with torch.inference_mode():
        assert torch.equal(again.network()(image).logits, loaded.network()(image).logits)
    with pytest.raises(BundleError, match="terrazzo export"):
        loaded.save(tmp_path / "copy.onnx")


def test_weights_beside_the_file_are_needed_and_checked(plain: Case, tmp_path: Path) -> None:
    model, weights = plain.exported.files
    assert weights.name == "mo del.onnx.data"
    copy = tmp_path / model.name
    copy.write_bytes(model.read_bytes())
    with pytest.raises(BundleError, match="are missing"):
        Bundle.load(copy)
    content = bytearray(weights.read_bytes())
    (tmp_path / weights.name).write_bytes(content[:-8])
    with pytest.raises(BundleError, match="truncated"):
        Bundle.load(copy)
    content[100] ^= 1
    (tmp_path / weights.name).write_bytes(content)
    with pytest.raises(BundleError, match="damaged, or was changed"):
        Bundle.load(copy)


def test_the_comparison_is_reported(plain: Case, stepping: Case) -> None:
    assert len({(one.height, one.width) for one in plain.exported.compared}) == 4
    assert {one.by for one in plain.exported.compared} == {"ONNX Runtime", "Terrazzo"}
    for one in (*plain.exported.compared, *stepping.exported.compared):
        assert one.difference < 1e-4
        assert one.agreement > 0.999
    assert all(one.steps is not None for one in stepping.exported.compared)


def test_a_file_that_answers_otherwise_is_not_kept(
    make: Make, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"an earlier one")
    from terrazzo.export import exporting

    def spoilt(bundle: Bundle, network: torch.nn.Module, *rest: object, **more: object) -> object:
        with torch.no_grad():
            next(network.parameters()).mul_(1.01)
        return build(bundle, network, *rest, **more)

    build = exporting.build_graph
    monkeypatch.setattr(exporting, "build_graph", spoilt)
    with pytest.raises(ModelError, match="not kept: computed by ONNX Runtime at 40 x 40"):
        write(make("probe_convolution"), out)
    assert out.read_bytes() == b"an earlier one"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("model.pt2", {}, "must end in .onnx"),
        ("model.onnx", {"format": "torch_export"}, "must end in .pt2"),
        ("model.pt2", {"format": "torch_export", "precision": "float16"}, "precision float16"),
        ("model.pt2", {"format": "torch_export", "opset": 21}, "opset"),
    ],
)
def test_contradictions_are_refused(
    make: Make, write: Write, tmp_path: Path, name: str, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write(make("probe_convolution"), tmp_path / name, **settings)


def test_a_contract_beside_would_be_read_instead(plain: Case, write: Write, tmp_path: Path) -> None:
    (tmp_path / "model.contract.json").write_text("{}")
    with pytest.raises(ConfigError, match="would be read instead"):
        write(plain.bundle, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="ONNX graph already"):
        write(Bundle.load(plain.file), tmp_path / "other.onnx")


def test_the_metadata_holds_contract_and_description(plain: Case) -> None:
    session = onnxruntime.InferenceSession(str(plain.file), providers=["CPUExecutionProvider"])
    found = session.get_modelmeta().custom_metadata_map
    assert json.loads(found["terrazzo"])["source"] == plain.bundle.fingerprint
    assert json.loads(found["stac_mlm"])["properties"]["mlm:framework"] == "ONNX"
    assert "/src/terrazzo/" not in plain.file.read_bytes().decode("latin-1")


@pytest.mark.parametrize("settings", [{"format": "torch_export"}, {"precision": "float16", "opset": 18}])
def test_a_network_in_steps_that_pads_is_exported_in_every_form(
    make: Make, write: Write, tmp_path: Path, settings: dict[str, object]
) -> None:
    bundle = make("trm", width=4, t_min=1, t_max=3, tau=0.6, act=True, backbone={"name": "stem", "width": 8})
    made = write(bundle, tmp_path / ("model.pt2" if "format" in settings else "model.onnx"), **settings)
    sizes = {(one.height, one.width) for one in made.exported.compared}
    # Whole cells, parts of cells, and less than a cell.
    assert {(40, 40), (24, 40)} < sizes
    assert all(one.steps == 1 for one in made.exported.compared)


def test_torch_export_takes_an_image_of_any_size(make: Make, write: Write, tmp_path: Path) -> None:
    settings = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}
    bundle = make("smp", architecture="unet", encoder="resnet18", settings=settings)
    made = write(bundle, tmp_path / "model.pt2", format="torch_export", preprocessing="described")
    program, network = torch.export.load(made.file).module(), bundle.network()
    for height, width in ((1, 1), (8, 8), (65, 30), (64, 96)):
        image = torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            assert torch.allclose(program(image)[0], network(image).logits, atol=1e-4)


def test_torch_export_answers_alike(make: Make, write: Write, tmp_path: Path) -> None:
    made = write(make("probe_convolution"), tmp_path / "model.pt2", format="torch_export", preprocessing="described")
    assert [one.by for one in made.exported.compared] == ["torch.export"] * 4
    assert max(one.difference for one in made.exported.compared) < 1e-5
    image = torch.randn(3, 3, 19, 45)
    with torch.no_grad():
        logits, _ = torch.export.load(made.file).module()(image)
        assert torch.allclose(logits, made.bundle.network()(image).logits, atol=1e-5)
