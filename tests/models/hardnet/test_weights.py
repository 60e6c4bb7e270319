"""The published encoder is read by its names, turned to red first, spread over bands; anything else is refused."""

import pickle

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from terrazzo.errors import ModelError
from terrazzo.models import build
from terrazzo.models.backbones.hardnet import HardnetBackbone
from terrazzo.models.hardnet.encoder import HardnetEncoder
from terrazzo.models.hardnet.hardnet70 import Hardnet70
from terrazzo.models.hardnet.weights import pretrained_input

FIRST = "stem.0.conv.weight"


@pytest.fixture(scope="module")
def encoder():
    """An encoder for blue, green, red, with statistics that show."""
    torch.manual_seed(4)
    encoder = HardnetEncoder(3).eval()
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return encoder.requires_grad_(False)


@pytest.fixture(scope="module")
def published(encoder):
    """Its tensors under the published names: places in one list of stem, blocks, 1x1 convolutions and pooling."""
    layers = nn.ModuleList(encoder.stem)
    for index, (block, transition) in enumerate(zip(encoder.blocks, encoder.transitions, strict=True)):
        layers.extend([block, transition, *([nn.AvgPool2d(2)] if index < 4 else [])])
    return {name: value.clone() for name, value in layers.state_dict().items()}


@pytest.fixture
def file(tmp_path, published):
    path = tmp_path / "Gewichte ä" / "hardnet_petite_base.pth"
    path.parent.mkdir()
    torch.save(published, path)
    return path


def test_the_list_is_as_long_as_the_published(published):
    assert {int(name.split(".")[0]) for name in published} == set(range(18)) - {6, 9, 12, 15}
    assert published["17.conv.weight"].shape == (320, 286, 1, 1)
    assert published["7.layers.3.conv.weight"].shape == (46, 16 + 28 + 64, 3, 3)


def test_answers_are_the_sources_on_turned_images(file, encoder):
    network = build("hardnet70", classes=2, pretrain=str(file)).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = network.encoder(image), encoder(image.flip(1))
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    turned = network.encoder(image.flip(1))[0]
    assert not torch.allclose(turned, theirs[0], atol=1e-3)


@pytest.mark.parametrize("form", ["base", "whole network", "safetensors", "old torch", "no counts"])
def test_every_published_form_is_read(tmp_path, published, encoder, form):
    path = tmp_path / "weights.pth"
    if form == "safetensors":
        path = tmp_path / "weights.safetensors"
        save_file(published, path)
    elif form == "base":
        torch.save({f"base.{name}": value for name, value in published.items()}, path)
    elif form == "whole network":
        state = {f"module.base.{name}": value for name, value in published.items()}
        torch.save(
            {"epoch": 3, "best_iou": 0.7, "model_state": {**state, "module.finalConv.bias": torch.ones(19)}}, path
        )
    elif form == "old torch":
        torch.save(published, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({name: value for name, value in published.items() if "num_batches" not in name}, path)
    state = build("hardnet70", classes=2, pretrain=path).encoder.state_dict()
    assert torch.equal(state.pop(FIRST), encoder.state_dict()[FIRST].flip(1))
    assert all(torch.equal(value, encoder.state_dict()[name]) for name, value in state.items())


@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_other_band_counts_are_spread(file, encoder, bands):
    """Equal bands give what the three channels give, and further bands repeat red, green, blue."""
    weight = build("hardnet70", bands=bands, classes=2, pretrain=file).encoder.stem[0].conv.weight
    red_first = encoder.state_dict()[FIRST].flip(1)
    if bands == 1:
        torch.testing.assert_close(weight[:, 0], red_first.sum(dim=1))
    for band in range(bands if bands > 1 else 0):
        torch.testing.assert_close(weight[:, band], red_first[:, band % 3] * 3 / bands)


def test_the_decoder_is_drawn_as_without_weights(file):
    networks = []
    for pretrain in (None, file):
        torch.manual_seed(5)
        networks.append(build("hardnet70", classes=2, pretrain=pretrain).state_dict())
    for name in networks[0]:
        if not name.startswith("encoder."):
            assert torch.equal(networks[0][name], networks[1][name])


def test_what_the_weights_expect_is_said_red_first(file):
    assert Hardnet70().pretraining(bands=3) is None
    expected = Hardnet70(pretrain=file).pretraining(bands=4)
    assert expected.mean == (0.485, 0.456, 0.406, 0.485)
    assert expected.std == (0.229, 0.224, 0.225, 0.229)
    assert expected.licence.startswith("none stated in PingoLH/FCHarDNet")
    assert pretrained_input(1).mean == (pytest.approx(0.449),)


def test_a_bundle_names_no_file(file):
    record = Hardnet70(pretrain=file)
    assert Hardnet70.model_validate(record.model_dump(mode="json")) == record
    assert record.without_pretraining() == Hardnet70()


def test_a_short_encoder_takes_the_part_that_it_has(file, encoder):
    short = HardnetBackbone(blocks=2, pretrain=file).build(bands=3).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours, theirs = short(image), encoder(image.flip(1))
    for mine, other in zip(ours, theirs[:2], strict=True):
        torch.testing.assert_close(mine, other)


def _without_last(published):
    return {name: value for name, value in published.items() if not name.startswith("17.")}


REFUSED = {
    "foreign": (lambda _: {"conv1.weight": torch.ones(2)}, r"no encoder of FC-HarDNet-70: it holds conv1\.weight"),
    "empty": (lambda _: {}, "holds nothing"),
    "short": (_without_last, r"lacks 5 tensors .* such as 17\.conv\.weight"),
    "unknown": (lambda one: {**one, "18.conv.weight": torch.ones(1)}, r"holds unknown 1 tensors .* 18\.conv\.weight"),
    "four bands": (
        lambda one: {**one, "0.conv.weight": torch.ones(16, 4, 3, 3)},
        r"0\.conv\.weight \(16, 4, 3, 3\) instead of \(16, 3, 3, 3\)",
    ),
    "not finite": (
        lambda one: {**one, "1.norm.bias": torch.full((24,), torch.nan)},
        r"not finite in 1 tensors .* 1\.norm\.bias",
    ),
    "a list": (lambda one: list(one.values()), "holds list instead of tensors by name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused(tmp_path, published, case):
    change, complaint = REFUSED[case]
    path = tmp_path / "other.pth"
    torch.save(change(published), path)
    with pytest.raises(ModelError, match=complaint) as refusal:
        build("hardnet70", classes=2, pretrain=path)
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path, published, suffix):
    path = tmp_path / f"cut{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(published, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"cut.* cannot be read"):
        build("hardnet70", classes=2, pretrain=path)


def test_code_in_a_file_is_not_run(tmp_path):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"0.conv.weight": print}, protocol=2))
    with pytest.raises(ModelError, match=r"evil\.pth cannot be read: .* never run"):
        build("hardnet70", classes=2, pretrain=path)


def test_a_missing_file_says_what_to_give(tmp_path):
    with pytest.raises(ModelError, match=r"none\.pth does not exist; give hardnet_petite_base\.pth"):
        build("hardnet70", classes=2, pretrain=tmp_path / "none.pth")


def test_a_file_of_another_format_is_refused_at_once():
    with pytest.raises(ValidationError, match=r"weights are read from files \.pth"):
        Hardnet70(pretrain="weights.onnx")
