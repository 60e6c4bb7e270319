"""Weights to start from: a file or a name, never fetched unasked, spread over any number of bands."""

import json

import huggingface_hub.constants
import pytest
import segmentation_models_pytorch
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from terrazzo.errors import ModelError
from terrazzo.models import build
from terrazzo.models.smp import Smp
from terrazzo.models.smp_weights import EncoderWeights

OWN, TIMM = "resnet18", "tu-mobilenetv3_small_050"
SETTINGS = {"decoder_channels": [8, 8, 8, 4, 4]}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(11)
    return segmentation_models_pytorch.encoders.get_encoder(OWN)


@pytest.fixture
def file(tmp_path, encoder):
    """Weights with their settings beside them, in a folder with a difficult name."""
    folder = tmp_path / "vortrainierte Gewichte ä"
    folder.mkdir()
    path = folder / "model.safetensors"
    save_file(encoder.state_dict(), path)
    beside = {"mean": MEAN, "std": STD, "input_range": [0, 1], "input_space": "RGB", "license": "bsd-3-clause"}
    (folder / "config.json").write_text(json.dumps(beside))
    return path


@pytest.fixture
def timm_file(tmp_path):
    torch.manual_seed(12)
    model = timm.create_model(TIMM.removeprefix("tu-"))
    path = tmp_path / "timm.safetensors"
    save_file(model.state_dict(), path)
    return path, model


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")


def test_nothing_is_fetched_by_default(offline, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OSError("fetched")

    monkeypatch.setattr(segmentation_models_pytorch.encoders, "hf_hub_download", refuse)
    build("smp", encoder=OWN, classes=2, settings=SETTINGS)
    assert Smp(encoder=OWN).pretraining(bands=3) is None


def test_a_file_gives_the_encoder_its_weights(file, encoder):
    network = build("smp", encoder=OWN, weights=str(file), classes=2, settings=SETTINGS)
    loaded = network.model.encoder.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_three_channels_are_spread_over_the_bands(file, encoder, bands):
    network = build("smp", encoder=OWN, weights=str(file), bands=bands, classes=2, settings=SETTINGS)
    first, source = network.model.encoder.conv1.weight, encoder.conv1.weight
    assert first.shape[1] == bands
    if bands == 1:
        assert torch.allclose(first, source.sum(1, keepdim=True))
    else:
        for band in range(bands):
            assert torch.allclose(first[:, band], source[:, band % 3] * 3 / bands)
    assert torch.equal(network.model.encoder.layer1[0].conv1.weight, encoder.layer1[0].conv1.weight)


@pytest.mark.parametrize("bands", [1, 6])
def test_a_gray_image_is_encoded_alike_however_often_it_is_repeated(file, bands):
    one = build("smp", encoder=OWN, weights=str(file), bands=bands, classes=2, settings=SETTINGS)
    three = build("smp", encoder=OWN, weights=str(file), bands=3, classes=2, settings=SETTINGS)
    gray = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        first = one.model.encoder.conv1(gray.expand(-1, bands, -1, -1))
        assert torch.allclose(first, three.model.encoder.conv1(gray.expand(-1, 3, -1, -1)), atol=1e-5)


@pytest.mark.parametrize(("bands", "mean"), [(3, MEAN), (1, [sum(MEAN) / 3]), (2, MEAN[:2]), (5, [*MEAN, *MEAN[:2]])])
def test_mean_and_deviation_go_with_the_weights(file, bands, mean):
    expected = Smp(encoder=OWN, weights=str(file)).pretraining(bands=bands)
    assert expected.mean == pytest.approx(tuple(mean))
    assert len(expected.std) == bands
    assert expected.licence == "bsd-3-clause"


def test_mean_and_deviation_are_in_units_of_white(file):
    beside = {"mean": [100, 110, 120], "std": [1, 1, 1], "input_range": [0, 255]}
    file.with_name("config.json").write_text(json.dumps(beside))
    expected = Smp(encoder=OWN, weights=str(file)).pretraining(bands=3)
    assert expected.mean == pytest.approx((100 / 255, 110 / 255, 120 / 255))
    assert expected.std == pytest.approx((1 / 255,) * 3)


def test_blue_before_red_is_refused(file):
    beside = {"mean": MEAN, "std": STD, "input_space": "BGR"}
    file.with_name("config.json").write_text(json.dumps(beside))
    with pytest.raises(ModelError, match="BGR"):
        Smp(encoder=OWN, weights=str(file)).pretraining(bands=3)


def test_a_file_alone_says_no_mean(file):
    file.with_name("config.json").unlink()
    assert Smp(encoder=OWN, weights=str(file)).pretraining(bands=3) is None


def test_damaged_settings_beside_a_file_are_refused(file):
    file.with_name("config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json"):
        Smp(encoder=OWN, weights=str(file)).pretraining(bands=3)


def test_timm_settings_beside_a_file_are_read(file):
    file.with_name("config.json").write_text(json.dumps({"pretrained_cfg": {"mean": MEAN, "std": STD}}))
    assert Smp(encoder=OWN, weights=str(file)).pretraining(bands=3).mean == pytest.approx(tuple(MEAN))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors does not exist"):
        build("smp", encoder=OWN, weights=str(tmp_path / "none.safetensors"), classes=2)


def test_a_truncated_file_says_so(file):
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"damaged or no safetensors"):
        build("smp", encoder=OWN, weights=str(file), classes=2)


def test_weights_of_another_encoder_are_refused(file):
    with pytest.raises(ModelError, match=r"lacks \d+ tensors of encoder resnet34"):
        build("smp", encoder="resnet34", weights=str(file), classes=2)


def test_weights_of_other_sizes_are_refused(file, encoder):
    wrong = {name: value.clone() for name, value in encoder.state_dict().items()}
    wrong["conv1.weight"] = wrong["conv1.weight"][:, :, 1:]
    save_file({name: value.contiguous() for name, value in wrong.items()}, file)
    with pytest.raises(ModelError, match="does not fit encoder resnet18"):
        build("smp", encoder=OWN, weights=str(file), classes=2)


def test_a_timm_file_is_loaded(timm_file):
    path, model = timm_file
    network = build("smp", encoder=TIMM, weights=str(path), bands=4, classes=2, settings=SETTINGS)
    loaded = network.model.encoder.model
    assert torch.equal(loaded.blocks[0][0].conv_dw.weight, model.blocks[0][0].conv_dw.weight)
    assert torch.allclose(loaded.conv_stem.weight[:, 3], model.conv_stem.weight[:, 0] * 3 / 4)


def test_a_timm_file_of_another_encoder_is_refused(timm_file):
    path, _ = timm_file
    with pytest.raises(ModelError, match=r"encoder tu-resnet18, .* and weights .*timm\.safetensors"):
        build("smp", encoder="tu-resnet18", weights=str(path), classes=2)


@pytest.mark.parametrize("name", ["weights.pth", "folder/weights.pt", "a/b"])
def test_a_pickle_is_refused(name):
    with pytest.raises(ValidationError, match=r"must be a \.safetensors file"):
        Smp(encoder=OWN, weights=name)


def test_an_unknown_name_says_which_there_are():
    with pytest.raises(ValidationError, match=r'no weights "imagnet".* Did you mean "imagenet".*ssl'):
        Smp(encoder=OWN, weights="imagnet")
    with pytest.raises(ValidationError, match=r'timm has no weights "a1_in2k" for resnet18.* Did you mean "a1_in1k"'):
        Smp(encoder="tu-resnet18", weights="a1_in2k")


def test_a_tag_of_timm_becomes_part_of_the_name():
    assert EncoderWeights.of("tu-resnet18.a2_in1k", "a1_in1k").arguments() == {
        "encoder_name": "tu-resnet18.a1_in1k",
        "encoder_weights": True,
    }


def test_timm_says_mean_and_licence_without_fetching(offline):
    expected = Smp(encoder="tu-resnet18", weights="a1_in1k").pretraining(bands=3)
    assert expected.mean == pytest.approx(tuple(MEAN))
    assert expected.licence == "apache-2.0"


@pytest.mark.parametrize(("encoder_name", "weights"), [(OWN, "imagenet"), ("tu-resnet18", "a1_in1k")])
def test_offline_a_name_says_what_to_do(offline, encoder_name, weights):
    with pytest.raises(ModelError, match=r"cannot be fetched.*path of a \.safetensors file"):
        build("smp", encoder=encoder_name, weights=weights, classes=2)


def test_offline_the_expected_mean_says_what_to_do(offline):
    with pytest.raises(ModelError, match=r"cannot be fetched.*config\.json"):
        Smp(encoder=OWN, weights="imagenet").pretraining(bands=3)


def test_a_bundle_needs_no_weights_file(file):
    record = Smp(encoder=OWN, weights=str(file), settings=SETTINGS)
    scratch = record.without_pretraining()
    assert scratch.weights is None
    assert scratch.settings == record.settings
    fitted = record.build(bands=4, classes=2)
    scratch.build(bands=4, classes=2).load_state_dict(fitted.state_dict())
