"""Any head on any backbone: sizes, gradients, what can be cached, what stands in a file of its own."""

from typing import Literal

import pytest
import torch
from pydantic import ValidationError

from terrazzo.errors import ConfigError, ModelError
from terrazzo.models.architecture import Cacheable
from terrazzo.models.backbone_head import BackboneHead, BackboneHeadNetwork, FrozenBackboneHeadNetwork
from terrazzo.models.backbones.backbone import Backbone, BackboneNetwork, FeatureLayout
from terrazzo.models.backbones.dinov3_convnext import ConvNextShape, DinoV3ConvNext
from terrazzo.models.backbones.dinov3_vit import DinoV3Vit, VitShape
from terrazzo.models.dinov3 import DinoV3
from terrazzo.models.external import identity, own_state
from terrazzo.models.heads.head import Head, HeadNetwork
from terrazzo.models.maps import enlarged
from terrazzo.models.output import DeepSupervision, Output
from terrazzo.testing import check_architecture

VIT = VitShape(channels=16, layers=4, heads=2, inner=24)


class MeanHeadNetwork(HeadNetwork):
    """Looks at every map and at the image; answers a coarse map too."""

    classifiers = ("classifier",)

    def __init__(self, layout: FeatureLayout, bands: int, classes: int) -> None:
        super().__init__()
        self.layout = layout
        self.classifier = torch.nn.Conv2d(sum(layout.channels), classes, 1)
        self.pixels = torch.nn.Conv2d(bands, classes, 1)

    def forward(self, image: torch.Tensor, features: tuple[torch.Tensor, ...]) -> Output:
        size = features[0].shape[-2:]
        grids = [torch.nn.functional.interpolate(one, size=size) for one in features]
        coarse = self.classifier(torch.cat(grids, dim=1))
        stride = self.layout.strides[0]
        logits = enlarged(coarse, stride=stride, height=image.shape[-2], width=image.shape[-1])
        return Output(logits + self.pixels(image), (DeepSupervision((coarse,), (stride,)),))


class MeanHead(Head):
    name: Literal["mean"] = "mean"

    def build(self, layout: FeatureLayout, *, bands: int, classes: int) -> HeadNetwork:
        return MeanHeadNetwork(layout, bands, classes)

    @property
    def answers(self) -> frozenset[type]:
        return frozenset({DeepSupervision})


class PlainNetwork(BackboneNetwork):
    def __init__(self, bands: int) -> None:
        super().__init__()
        self.layout = FeatureLayout((5,), (4,), 8)
        self.convolution = torch.nn.Conv2d(bands, 5, 4, stride=4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.convolution(image),)


class Plain(Backbone):
    name: Literal["plain"] = "plain"

    def build(self, *, bands: int) -> BackboneNetwork:
        return PlainNetwork(bands)


FROZEN = {
    "vit": DinoV3Vit(size=VIT),
    "convnext": DinoV3ConvNext(size=ConvNextShape()),
}


def images(batch=2, bands=3, size=(33, 50)):
    return torch.randn((batch, bands, *size), generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=list(FROZEN))
def frozen(request):
    torch.manual_seed(0)
    return DinoV3(backbone=FROZEN[request.param], head=MeanHead()).build(bands=3, classes=4)


@pytest.mark.parametrize("backbone", [Plain(), *FROZEN.values(), DinoV3Vit(size=VIT, unfreeze=2)])
def test_the_composition_keeps_the_contract_of_architectures(backbone):
    record = BackboneHead(backbone=backbone, head=MeanHead())
    network = record.build(bands=5, classes=3)
    for size in ((1, 1), (16, 31), (65, 40)):
        output = network(images(bands=5, size=size))
        assert output.logits.shape == (2, 3, *size)
        (record_found,) = output.auxiliary
        stride = record_found.strides[0]
        assert record_found.logits[0].shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))
    assert record.answers == {DeepSupervision}


@pytest.mark.parametrize("backbone", [{"name": "dinov3_vit", "size": {}}, {"name": "dinov3_convnext", "size": {}}])
def test_the_registered_models_pass_the_conformance_suite(backbone):
    record = DinoV3.model_validate({"backbone": backbone, "head": "linear"})
    transformer = record.backbone.name == "dinov3_vit"
    check_architecture(record, bands=(5,), sizes=((33, 50), (1, 1)), export=transformer, processes=transformer)


def test_gradients_reach_the_head_and_nothing_else(frozen):
    frozen.train()
    before = {name: value.clone() for name, value in frozen.backbone.state_dict().items()}
    frozen(images()).logits.square().mean().backward()
    assert all(one.grad is not None for one in frozen.head.parameters())
    assert all(one.grad is None and not one.requires_grad for one in frozen.backbone.parameters())
    optimizer = torch.optim.AdamW([one for one in frozen.parameters() if one.requires_grad], lr=0.1, weight_decay=0.5)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in frozen.backbone.state_dict().items())
    assert not any(module.training for module in frozen.backbone.modules())
    assert frozen.head.training


def test_forward_is_decode_of_encode(frozen):
    image = images()
    features = frozen.encode(image)
    assert isinstance(frozen, Cacheable)
    assert all(one.grad_fn is None and not one.requires_grad for one in features)
    one, other = frozen(image), frozen.decode(image, features)
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.auxiliary[0].logits[0], other.auxiliary[0].logits[0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_features_of_a_narrower_type_are_answered_as_their_values(dtype, frozen):
    image = images()
    narrow = tuple(one.to(dtype) for one in frozen.encode(image))
    kept = [one.clone() for one in narrow]
    found = frozen.decode(image, narrow).logits
    assert found.dtype == torch.float32
    assert torch.equal(found, frozen.decode(image, tuple(one.float() for one in narrow)).logits)
    assert (found - frozen(image).logits).abs().max() < 0.1
    assert all(torch.equal(one, other) for one, other in zip(narrow, kept, strict=True))


def test_features_of_another_image_are_refused(frozen):
    features = frozen.encode(images(size=(80, 80)))
    with pytest.raises(ModelError, match="compute them again"):
        frozen.decode(images(), features)
    with pytest.raises(ModelError, match="compute them again"):
        frozen.decode(images(size=(80, 80)), features[:-1])


def test_what_is_trained_cannot_be_cached():
    for backbone in (Plain(), DinoV3Vit(size=VIT, unfreeze=1)):
        record = BackboneHead(backbone=backbone, head=MeanHead())
        network = record.build(bands=3, classes=2)
        assert type(network) is BackboneHeadNetwork
        assert not isinstance(network, Cacheable)
        assert record.feature_key() is None
    assert isinstance(DinoV3(backbone=DinoV3Vit(size=VIT), head=MeanHead()).build(bands=3, classes=2), Cacheable)


def test_an_unfrozen_backbone_learns_with_its_head():
    network = DinoV3(backbone=DinoV3Vit(size=VIT, unfreeze=True), head=MeanHead()).build(bands=3, classes=2)
    network.train()
    network(images()).logits.square().mean().backward()
    missing = [name for name, one in network.named_parameters() if one.requires_grad and one.grad is None]
    assert missing == []
    assert network.external is None
    network.checkpoint_gradients()
    with pytest.raises(ModelError, match="MeanHeadNetwork cannot checkpoint gradients"):
        DinoV3(backbone=DinoV3Vit(size=VIT), head=MeanHead()).build(bands=3, classes=2).checkpoint_gradients()


def test_weights_of_a_file_are_no_state_of_the_networks_own(dinov3_folder):
    record = DinoV3(backbone=DinoV3Vit(size=VIT, weights=str(dinov3_folder())), head=MeanHead())
    network = record.build(bands=3, classes=2)
    assert set(own_state(network)) == {f"head.{name}" for name in network.head.state_dict()}
    assert network.external.prefix == "backbone."
    random = DinoV3(backbone=DinoV3Vit(size=VIT), head=MeanHead()).build(bands=3, classes=2)
    assert identity(random) == {}
    assert len(own_state(random)) > 50


def test_a_network_built_without_its_weights_gets_them_later(dinov3_folder):
    folder = dinov3_folder()
    record = DinoV3(backbone=DinoV3Vit(size=VIT, weights=str(folder)), head=MeanHead())
    torch.manual_seed(0)
    wanted = record.build(bands=3, classes=2)
    torch.manual_seed(0)
    scratch = record.without_pretraining()
    assert scratch.backbone.weights is None
    network = scratch.build_without_external(bands=3, classes=2)
    network.head.load_state_dict(wanted.head.state_dict())
    network.load_external(folder)
    assert identity(network) == identity(wanted)
    assert torch.equal(network(images()).logits, wanted(images()).logits)
    assert record.external_path() == folder
    with pytest.raises(ModelError, match="takes no frozen weights of a file"):
        BackboneHead(backbone=Plain(), head=MeanHead()).build_without_external(bands=3, classes=2)
    with pytest.raises(ModelError, match="needs no weights beside its own"):
        BackboneHead(backbone=Plain(), head=MeanHead()).build(bands=3, classes=2).load_external(folder)


def test_names_of_plain_parameters_are_those_of_the_network():
    network = DinoV3(backbone=DinoV3Vit(size=VIT, unfreeze=True), head=MeanHead()).build(bands=3, classes=2)
    plain = network.plain_parameters()
    assert {"head.classifier.weight", "backbone.model.embeddings.cls_token"} <= plain
    assert plain <= {name for name, _ in network.named_parameters()}


def test_dinov3_takes_its_own_backbones_alone():
    assert DinoV3(head=MeanHead()).backbone == DinoV3Vit()
    with pytest.raises(ValidationError, match="stem is no DINOv3; choose dinov3_vit or dinov3_convnext"):
        DinoV3.model_validate({"backbone": "stem", "head": "linear"})
    with pytest.raises((ValidationError, ConfigError), match="vitt"):
        DinoV3.model_validate({"backbone": {"name": "dinov3_vitt"}, "head": "linear"})


def test_records_survive_being_dumped():
    record = DinoV3.model_validate(
        {"backbone": {"name": "dinov3_vit", "size": "large", "variant": "satellite", "unfreeze": 2}, "head": "linear"}
    )
    assert DinoV3.model_validate(record.model_dump(mode="json")) == record


def test_a_frozen_network_exports():
    network = DinoV3(backbone=DinoV3Vit(size=VIT), head=MeanHead()).build(bands=3, classes=2).eval()
    assert isinstance(network, FrozenBackboneHeadNetwork)

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.network(image).logits

    image = images(size=(32, 48))
    exported = torch.export.export(Logits(), (image,)).module()
    torch.testing.assert_close(exported(image), network(image).logits, rtol=1e-5, atol=1e-5)
