"""The model file: what is written comes back, and nothing damaged, foreign or contradictory gets in."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from terrazzo.bundle import FORMAT, Bundle
from terrazzo.bundle import bundle as bundle_module
from terrazzo.data.augment.geometry import Resize
from terrazzo.data.classes import Class, Classes
from terrazzo.data.distribution import Distribution
from terrazzo.data.normalisation import Normalisation
from terrazzo.errors import BundleError
from terrazzo.geo.bands import Band, Bands
from terrazzo.models import ARCHITECTURES
from terrazzo.record import load_plugin

load_plugin(Path(__file__).parents[1] / "scene" / "probe_networks.py")


def make(seed: int = 0, **changes: object) -> Bundle:
    architecture = ARCHITECTURES.create("probe_convolution", side=3, depth=2)
    torch.manual_seed(seed)
    parts = {
        "architecture": architecture,
        "bands": Bands(items=(Band(name="red"), Band(name="nir", dtype="uint16", nodata=65535, unit="reflectance"))),
        "classes": Classes(
            items=(
                Class(name="field", colour="#3C1098"),
                Class(name="wälder", colour="#00FF00"),
                Class(name="sea", colour="#0000FF"),
            )
        ),
        "normalisation": Normalisation(mean=(100.0, 2000.5), std=(20.0, 0.1)),
        "patch_size": 64,
        "resolution_m": 0.5,
        "weights": architecture.build(bands=2, classes=3).state_dict(),
        "training": {"epochs": 3, "val_miou": 0.5, "absent": None},
        "versions": {"terrazzo": "0.1.0"},
        "licence": "MIT",
    }
    return Bundle(**{**parts, **changes})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a model é.safetensors"
    make().save(path)
    return path


def rewrite(path: Path, **changes: object) -> None:
    """Change fields of the contract in place, as a foreign hand might."""
    with path.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    contract = json.loads(header["__metadata__"]["terrazzo"])
    for name, value in changes.items():
        if value is ...:
            del contract[name]
        else:
            contract[name] = value
    save_file(load_file(path), path, metadata={"terrazzo": json.dumps(contract)})


def test_everything_comes_back(saved: Path) -> None:
    written, read = make(), Bundle.load(saved)
    for field in (
        "architecture",
        "bands",
        "classes",
        "normalisation",
        "patch_size",
        "resolution_m",
        "format",
        "licence",
    ):
        assert getattr(read, field) == getattr(written, field), field
    assert read.training == {"epochs": 3, "val_miou": 0.5, "absent": None}
    assert read.versions == {"terrazzo": "0.1.0"}
    assert read.format == FORMAT
    assert read.backbone is None
    assert read.resize is None
    for name, weight in written.weights.items():
        assert torch.equal(read.weights[name], weight)


def test_optional_fields_come_back(tmp_path: Path) -> None:
    make(resolution_m=None, resize=Resize(height=32, width=48)).save(tmp_path / "b.safetensors")
    read = Bundle.load(str(tmp_path / "b.safetensors"))
    assert read.resolution_m is None
    assert read.resize == Resize(height=32, width=48)


def test_a_distribution_comes_back_and_decides_no_answer(tmp_path: Path) -> None:
    quantiles = ((0.0, 0.1, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 255.0), (1e-3, 0.1, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9e4))
    bundle = make(distribution=Distribution(quantiles=quantiles, deviation=(2.5, 1.0)))
    bundle.save(tmp_path / "b.safetensors")
    assert Bundle.load(tmp_path / "b.safetensors").distribution == bundle.distribution
    assert bundle.fingerprint == make().fingerprint


def test_a_file_of_an_earlier_version_has_no_distribution(saved: Path) -> None:
    rewrite(saved, distribution=...)
    assert Bundle.load(saved).distribution is None


def test_network_answers_as_the_trained_one(saved: Path) -> None:
    network = Bundle.load(saved).network()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    trained = make().architecture.build(bands=2, classes=3)
    trained.load_state_dict(dict(make().weights))
    image = torch.rand(1, 2, 9, 7)
    assert torch.equal(network(image).logits, trained(image).logits)


def test_loading_leaves_the_callers_random_numbers_alone(saved: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Bundle.load(saved).network()
    assert torch.equal(torch.rand(3), expected)


def test_equal_bundles_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_run_folder_stands_for_its_best_bundle(tmp_path: Path) -> None:
    make().save(tmp_path / "bundle.safetensors")
    assert Bundle.load(tmp_path).patch_size == 64


def test_a_run_folder_without_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="train first"):
        Bundle.load(tmp_path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere\.safetensors does not exist"):
        Bundle.load(tmp_path / "nowhere.safetensors")


def test_fingerprint_follows_weights_and_contract_only() -> None:
    original = make().fingerprint
    assert original == make().fingerprint
    assert original == make(training={"epochs": 9}, versions={}, licence="").fingerprint
    assert original != make(seed=1).fingerprint
    assert original != make(patch_size=65).fingerprint
    assert original != make(resolution_m=None).fingerprint
    assert original != make(resize=Resize(height=32, width=32)).fingerprint
    assert original != make(normalisation=Normalisation(mean=(100.0, 2000.5), std=(20.0, 0.2))).fingerprint


def test_fingerprint_does_not_see_memory_layout() -> None:
    weights = {name: weight.clone() for name, weight in make().weights.items()}
    name = "layers.0.weight"
    weights[name] = weights[name].contiguous(memory_format=torch.channels_last)
    assert make(weights=weights).fingerprint == make().fingerprint


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    weights = dict(make().weights)
    shared = torch.zeros(16)
    weights["layers.0.bias"], weights["layers.1.bias"] = shared[:8], shared[:3]
    make(weights=weights).save(tmp_path / "tied.safetensors")
    assert torch.equal(Bundle.load(tmp_path / "tied.safetensors").weights["layers.1.bias"], torch.zeros(3))


def test_nodata_that_is_nan_is_stored_as_none(tmp_path: Path) -> None:
    bands = Bands(items=(Band(name="a", dtype="float32", nodata=float("nan")), Band(name="b", dtype="float32")))
    make(bands=bands).save(tmp_path / "b.safetensors")
    assert Bundle.load(tmp_path / "b.safetensors").bands.items[0].nodata is None


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.safetensors"
    make().save(path)
    before = path.read_bytes()

    def half(weights: object, goal: Path, metadata: object) -> None:
        goal.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_module, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        make(seed=1).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_training_summary_must_be_json(tmp_path: Path) -> None:
    for summary in ({"miou": float("nan")}, {"path": tmp_path}):
        with pytest.raises(BundleError, match="plain finite data"):
            make(training=summary).save(tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_parts_must_agree() -> None:
    with pytest.raises(BundleError, match="2 bands and 1 means"):
        make(normalisation=Normalisation(mean=(0.0,), std=(1.0,)))
    with pytest.raises(BundleError, match="format 1, not 2"):
        make(format=2)


@settings(deadline=None)
@given(keep=st.floats(0, 0.999))
def test_truncated_anywhere(keep: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "b.safetensors"
    make().save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(BundleError, match=r"b\.safetensors"):
        Bundle.load(path)


@settings(deadline=None)
@given(position=st.floats(0, 0.999), flip=st.integers(1, 255))
def test_a_flipped_byte_never_gives_other_answers(
    position: float, flip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("flip") / "b.safetensors"
    make().save(path)
    content = bytearray(path.read_bytes())
    content[int(len(content) * position)] ^= flip
    path.write_bytes(content)
    try:
        read = Bundle.load(path)
    except BundleError:
        return
    assert read.fingerprint == make().fingerprint


@pytest.mark.parametrize("content", [b"", b"x", b"\x00" * 8, b"PK\x03\x04" * 100, b"\xff" * 64, pickle.dumps({"a": 1})])
def test_a_foreign_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="no safetensors file"):
        Bundle.load(path)


def test_a_torch_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "b.pt"

    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "exploded",))

    torch.save(Bomb(), path)
    with pytest.raises(BundleError, match="no safetensors file"):
        Bundle.load(path)
    assert not (tmp_path / "exploded").exists()


def test_a_foreign_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"a": torch.zeros(2)}, path, metadata=metadata)
        with pytest.raises(BundleError, match="not a Terrazzo bundle"):
            Bundle.load(path)


def test_a_contract_that_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "b.safetensors"
    for text in ("{", '{"format": NaN}', "[" * 100_000):
        save_file({"a": torch.zeros(2)}, path, metadata={"terrazzo": text})
        with pytest.raises(BundleError, match="no JSON"):
            Bundle.load(path)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (2, "bundle format 2, this version knows up to 1"),
        (0, "no format number"),
        ("1", "no format number"),
        (True, "no format number"),
        (None, "no format number"),
        (..., "no format number"),
    ],
)
def test_wrong_format_numbers(number: object, message: str, saved: Path) -> None:
    rewrite(saved, format=number)
    with pytest.raises(BundleError, match=message):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_size": 0}, "patch_size"),
        ({"patch_size": "64"}, "patch_size"),
        ({"patch_size": ...}, "patch_size"),
        ({"resolution_m": -1}, "resolution_m"),
        ({"bands": {"items": []}}, "bands.items"),
        ({"bands": {"items": [{"name": "red"}]}}, "1 bands and 2 means"),
        ({"classes": {"items": []}}, "classes|weight"),
        ({"normalisation": {"mean": [0, 0], "std": [1, 0]}}, "normalisation.std.1"),
        ({"normalisation": {"mean": [0], "std": [1]}}, "2 bands and 1 means"),
        ({"resize": {"height": 0, "width": 3}}, "resize.height"),
        ({"backbone": {"identifier": "x", "revision": "y", "sha256": "z"}}, "backbone.sha256"),
        ({"fingerprint": "0" * 64}, "damaged"),
        ({"patch_size": 32}, "damaged"),
        ({"extra": 1}, "extra"),
        ({"architecture": "probe_convolution"}, "architecture"),
        ({"architecture": {"name": "nothing"}}, "unknown here; known: .*probe_convolution.*plugins:"),
        ({"architecture": {"name": "os:system"}}, "unknown here"),
        ({"architecture": {}}, "unknown here"),
        ({"architecture": {"name": "probe_convolution", "code": "import os"}}, "settings of its architecture"),
    ],
)
def test_every_field_is_checked(changes: dict[str, object], message: str, saved: Path) -> None:
    rewrite(saved, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("layers.0.bias"), r"lacks 1 weights \(layers.0.bias\)"),
        (lambda weights: weights.update(more=torch.zeros(1)), r"holds unknown 1 weights \(more\)"),
        (lambda weights: weights.update({"layers.0.bias": torch.zeros(9)}), r"layers.0.bias has shape \[9\].*\[8\]"),
        (lambda weights: weights.update({"layers.0.bias": torch.zeros(8).half()}), "float16.*float32"),
        (lambda weights: weights.update({"layers.0.bias": torch.full((8,), torch.nan)}), "layers.0.bias.*not finite"),
    ],
)
def test_every_weight_is_checked(change: object, message: str, saved: Path) -> None:
    with saved.open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    weights = load_file(saved)
    change(weights)
    save_file(weights, saved, metadata=header["__metadata__"])
    with pytest.raises(BundleError, match=message):
        Bundle.load(saved)


def test_weights_that_diverged_are_not_saved(tmp_path: Path) -> None:
    weights = {**make().weights, "layers.0.bias": torch.full((8,), torch.inf)}
    with pytest.raises(BundleError, match=r"layers\.0\.bias"):
        make(weights=weights).save(tmp_path / "b.safetensors")


def test_network_of_a_bundle_made_by_hand_checks_too() -> None:
    wrong = make(architecture=ARCHITECTURES.create("probe_convolution", side=5, depth=2))
    with pytest.raises(BundleError, match="do not fit the architecture probe_convolution"):
        wrong.network()


def test_pretraining_is_never_stored(tmp_path: Path) -> None:
    class Pretrained(type(make().architecture)):  # type: ignore[misc]
        def without_pretraining(self) -> object:
            return make().architecture

    bundle = replace(make(), architecture=Pretrained(side=5))
    assert bundle._dump()["architecture"] == make().architecture.model_dump(mode="json")
