"""Every architecture of the family keeps the contract; what does not fit together says so."""

import subprocess
import sys
from typing import get_args

import pytest
import segmentation_models_pytorch
import torch
from pydantic import ValidationError

from terrazzo.errors import ModelError
from terrazzo.models import build
from terrazzo.models.normalisation_layers import SingleValueNorm
from terrazzo.models.smp import ENCODERS, Name, Smp
from terrazzo.testing import check_architecture

CONVOLUTION, TRANSFORMER, TIMM, VIT = "resnet18", "mit_b0", "tu-mobilenetv3_small_050", "tu-test_vit"
SMALL = {
    "unet": {"decoder_channels": [8, 8, 8, 4, 4]},
    "unetplusplus": {"decoder_channels": [8, 8, 8, 4, 4]},
    "manet": {"decoder_channels": [8, 8, 8, 4, 4], "decoder_pab_channels": 4},
    "linknet": {},
    "fpn": {"decoder_pyramid_channels": 16, "decoder_segmentation_channels": 32},
    "pspnet": {"psp_out_channels": 8},
    "deeplabv3": {"decoder_channels": 8},
    "deeplabv3plus": {"decoder_channels": 8},
    "pan": {"decoder_channels": 8},
    "upernet": {"decoder_channels": 8},
    "segformer": {"decoder_segmentation_channels": 8},
    "dpt": {"decoder_intermediate_channels": [8, 8, 8, 8], "decoder_fusion_channels": 8},
}
REFUSED = {
    ("dpt", CONVOLUTION): "Only Timm encoders",
    ("dpt", TRANSFORMER): "Only Timm encoders",
    ("unetplusplus", TRANSFORMER): "not support",
    ("linknet", TRANSFORMER): "not supported",
    **{(name, VIT): "Unsupported model downsampling" for name in get_args(Name) if name != "dpt"},
}
EVERY = [(name, encoder) for name in get_args(Name) for encoder in (CONVOLUTION, TRANSFORMER, TIMM, VIT)]
EVERY.remove(("dpt", TIMM))


@pytest.mark.parametrize(("architecture", "encoder"), [pair for pair in EVERY if pair not in REFUSED])
def test_every_architecture_conforms(architecture, encoder):
    record = Smp(architecture=architecture, encoder=encoder, settings=SMALL[architecture])
    # Exported and trained by two processes is one of each kind of encoder: that takes longer than all else.
    whole = architecture == "unet"
    check_architecture(
        record, bands=(5,), sizes=((64, 64), (33, 65), (1, 1)), export=whole, processes=whole and encoder == CONVOLUTION
    )


@pytest.mark.parametrize(("architecture", "encoder"), REFUSED)
def test_what_the_library_cannot_join_is_refused_by_name(architecture, encoder):
    with pytest.raises(ModelError, match=REFUSED[architecture, encoder]) as refusal:
        build("smp", architecture=architecture, encoder=encoder, classes=2)
    assert architecture in str(refusal.value)
    assert encoder in str(refusal.value)


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 13])
def test_any_number_of_bands(bands):
    record = Smp(encoder=TIMM, settings=SMALL["unet"])
    check_architecture(record, bands=(bands,), sizes=((32, 32),), export=False, processes=False)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_pspnet_answers_at_the_size_of_the_input_at_every_depth(depth):
    record = Smp(architecture="pspnet", encoder=TIMM, settings={"encoder_depth": depth, "psp_out_channels": 8})
    check_architecture(record, bands=(3,), sizes=((64, 64), (7, 45)), export=False, processes=False)


@pytest.mark.parametrize("architecture", ["deeplabv3", "deeplabv3plus"])
@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("depth", [3, 5])
def test_deeplab_answers_at_the_size_of_the_input_at_every_stride(architecture, stride, depth):
    settings = {"encoder_output_stride": stride, "encoder_depth": depth, "decoder_channels": 8}
    network = build("smp", architecture=architecture, encoder=TIMM, classes=2, settings=settings).eval()
    assert network(torch.zeros(1, 3, 37, 90)).logits.shape == (1, 2, 37, 90)


def test_pan_pads_to_the_size_that_its_pyramid_needs():
    network = build("smp", architecture="pan", encoder=TIMM, classes=2, settings=SMALL["pan"])
    assert (network.multiple, network.minimum) == (16, 128)
    halved = {**SMALL["pan"], "encoder_output_stride": 32}
    assert build("smp", architecture="pan", encoder=TIMM, classes=2, settings=halved).minimum == 256


def test_fpn_pads_to_the_size_that_its_group_norm_needs():
    """One channel a group of one pixel is one value, which a group norm cannot spread."""
    network = build("smp", architecture="fpn", encoder=TIMM, classes=2, settings=SMALL["fpn"])
    assert network.minimum == 64
    assert build("smp", architecture="fpn", encoder=TIMM, classes=2).minimum == 32


def test_parameters_without_influence_are_frozen():
    network = build("smp", architecture="pspnet", encoder=CONVOLUTION, classes=2, settings=SMALL["pspnet"])
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen
    assert all(name.startswith(("model.encoder.layer3", "model.encoder.layer4")) for name in frozen)
    with torch.no_grad():
        image = torch.rand(1, 3, 32, 32)
        before = network.eval()(image).logits
        for name, parameter in network.named_parameters():
            if name in frozen:
                parameter.fill_(9.0)
        assert torch.equal(network(image).logits, before)


def test_without_gradients_nothing_is_frozen_and_the_rest_is_the_same():
    """Whoever only answers need not wait for what training alone wants to know."""
    settings = {"encoder": CONVOLUTION, "classes": 2, "settings": SMALL["pan"]}
    trained = build("smp", architecture="pan", **settings)
    with torch.no_grad():
        network = build("smp", architecture="pan", **settings)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert (network.multiple, network.minimum) == (trained.multiple, trained.minimum)


def test_padding_does_not_move_the_answer():
    """The upper left of a small image padded by us is what the library answers for the padded image."""
    network = build("smp", encoder=TIMM, classes=2, settings=SMALL["unet"]).eval()
    image = torch.rand(1, 3, 40, 50)
    full = torch.nn.functional.pad(image, (0, 14, 0, 24), mode="reflect")
    with torch.no_grad():
        assert torch.equal(network(image).logits, network.model(full)[..., :40, :50])


def test_every_batch_norm_takes_one_value():
    network = build("smp", architecture="deeplabv3", encoder=CONVOLUTION, classes=2, settings=SMALL["deeplabv3"])
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(module, SingleValueNorm) for module in norms)


def test_building_leaves_the_network_ready_to_train():
    network = build("smp", encoder=TIMM, classes=2, settings=SMALL["unet"])
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(int(value) == 0 for name, value in network.state_dict().items() if name.endswith("num_batches_tracked"))


def test_weights_of_the_library_fit_under_our_padding():
    """The state dict is the library's own under `model.`, so that its published models can be read."""
    network = build("smp", encoder=CONVOLUTION, classes=2, settings=SMALL["unet"])
    plain = segmentation_models_pytorch.Unet(
        CONVOLUTION, encoder_weights=None, classes=2, decoder_channels=[8, 8, 8, 4, 4]
    )
    network.model.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(network.eval()(image).logits, plain.eval()(image))


def test_the_list_of_encoders_is_the_librarys():
    theirs = segmentation_models_pytorch.encoders.get_encoder_names()
    assert list(ENCODERS) == [name for name in theirs if not name.startswith("timm-")]


@pytest.mark.parametrize(
    ("encoder", "hint"),
    [("resnet19", "resnet1"), ("tu-convnext_tyni", "tu-convnext_tiny"), ("timm-efficientnet-b0", "efficientnet-b0")],
)
def test_an_unknown_encoder_says_the_nearest(encoder, hint):
    with pytest.raises(ValidationError, match=rf'no encoder is called "{encoder}".* Did you mean "{hint}'):
        Smp(encoder=encoder)


def test_a_timm_encoder_may_carry_its_tag():
    assert Smp(encoder="tu-resnet18.a1_in1k").encoder == "tu-resnet18.a1_in1k"


def test_an_unknown_setting_says_which_there_are():
    with pytest.raises(
        ValidationError, match=r'unet has no setting "decoder_chanels".* Did you mean "decoder_channels"'
    ):
        Smp(settings={"decoder_chanels": [1]})
    with pytest.raises(ValidationError, match=r"pspnet has no setting.* psp_out_channels"):
        Smp(architecture="pspnet", settings={"zebra": 1})


@pytest.mark.parametrize(
    "name", ["in_channels", "classes", "encoder_weights", "activation", "upsampling", "aux_params"]
)
def test_what_the_record_decides_is_no_setting(name):
    with pytest.raises(ValidationError, match=f'no setting "{name}"'):
        Smp(architecture="fpn", settings={name: 2})


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("unet", {"decoder_channels": "many"}),
        ("fpn", {"decoder_dropout": "a lot"}),
        ("deeplabv3", {"encoder_output_stride": 7}),
        ("dpt", {"decoder_readout": "shout"}),
    ],
)
def test_a_setting_of_another_type_is_refused(architecture, settings):
    with pytest.raises(ValidationError, match=f'{architecture} setting "{next(iter(settings))}"'):
        Smp(architecture=architecture, settings=settings)


def test_settings_that_contradict_each_other_are_refused_when_built():
    with pytest.raises(ModelError, match=r"unet with encoder resnet18.*depth"):
        build("smp", encoder=CONVOLUTION, classes=2, settings={"encoder_depth": 3})


def test_settings_reach_the_library():
    network = build("smp", encoder=CONVOLUTION, classes=2, settings={"decoder_attention_type": "scse"})
    assert any(type(module).__name__ == "SCSEModule" for module in network.modules())


def test_encoder_settings_reach_timm():
    network = build("smp", encoder=TIMM, classes=2, settings=SMALL["unet"], encoder_settings={"drop_path_rate": 0.5})
    assert any(type(module).__name__ == "DropPath" for module in network.modules())


def test_encoder_settings_that_timm_does_not_know_are_refused():
    with pytest.raises(ModelError, match="zebra"):
        build("smp", encoder=TIMM, classes=2, settings=SMALL["unet"], encoder_settings={"zebra": 1})


def test_encoder_settings_are_for_timm_alone():
    with pytest.raises(ValidationError, match="takes none"):
        Smp(encoder=CONVOLUTION, encoder_settings={"drop_path_rate": 0.5})


def test_a_transformer_of_fixed_size_is_freed_where_timm_can():
    record = Smp(architecture="dpt", encoder=VIT, settings=SMALL["dpt"])
    check_architecture(record, bands=(3,), sizes=((64, 64), (100, 31)), processes=False)


def test_a_transformer_that_stays_fixed_is_refused():
    fixed = {"dynamic_img_size": False}
    with pytest.raises(ModelError, match="must take images of any size"):
        build("smp", architecture="dpt", encoder=VIT, classes=2, settings=SMALL["dpt"], encoder_settings=fixed)


def test_a_norm_that_cannot_take_one_pixel_is_refused():
    with pytest.raises(ModelError, match="decoder_use_norm"):
        build("smp", architecture="upernet", encoder=TIMM, classes=2, settings={"decoder_use_norm": "layernorm"})


def test_the_default_record_needs_no_library():
    """Reading a config must not take the seconds that importing the library takes."""
    code = "import sys; from terrazzo.models.smp import Smp; Smp(); print('segmentation_models_pytorch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_schema_names_architectures():
    schema = Smp.model_json_schema()["properties"]
    assert schema["architecture"]["enum"] == list(get_args(Name))
    assert all("description" in field for field in schema.values())


def test_dumping_and_loading_is_the_identity():
    record = Smp(architecture="fpn", encoder="mit_b0", settings={"decoder_dropout": 0.1})
    assert Smp.model_validate(record.model_dump()) == record
    assert Smp.model_validate_json(record.model_dump_json()) == record
