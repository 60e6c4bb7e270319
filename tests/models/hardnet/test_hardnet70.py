"""FC-HarDNet-70 is the published network: parameters, multiplications, and answers by its description."""

import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.models import build
from terrazzo.models.hardnet.block import HarDBlock
from terrazzo.models.hardnet.hardnet70 import Hardnet70
from terrazzo.testing import check_architecture

BLOCKS = [(10, 4), (16, 4), (18, 8), (24, 8), (32, 8)]


@pytest.fixture(scope="module")
def network():
    """Random, its norms with statistics that show."""
    torch.manual_seed(0)
    network = build("hardnet70", classes=5).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.requires_grad_(False)


@pytest.mark.parametrize(("classes", "parameters"), [(19, 4_119_257), (11, 4_118_865), (6, 4_118_620)])
def test_parameters_are_the_published(classes, parameters):
    with torch.device("meta"):
        network = build("hardnet70", classes=classes)
    assert sum(one.numel() for one in network.parameters()) == parameters
    assert sum(one.numel() for one in network.encoder.parameters()) == 2_378_908
    assert sum(one.numel() for one in network.encoder.stem.parameters()) == 24_864


@pytest.mark.parametrize(
    ("size", "classes", "gmac"), [((1024, 2048), 19, 35.217), ((512, 512), 6, 4.392), ((256, 256), 6, 1.098)]
)
def test_multiplications_are_the_published(size, classes, gmac):
    with torch.device("meta"):
        network = build("hardnet70", classes=classes).eval()
        image = torch.empty(1, 3, *size)
    with FlopCounterMode(display=False) as counter:
        assert network(image).logits.shape == (1, classes, *size)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, abs=0.0005)


def _layer(state, name, image, stride=1):
    """One convolution, norm and ReLU, from tensors alone."""
    weight = state[f"{name}.conv.weight"]
    image = functional.conv2d(image, weight, stride=stride, padding=weight.shape[-1] // 2)
    statistics = (state[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(image, *statistics).relu()


def _block(state, name, image, layers):
    answers = [image]
    for layer in range(1, layers + 1):
        given = [answers[layer - 2**power] for power in range(4) if layer % 2**power == 0]
        answers.append(_layer(state, f"{name}.layers.{layer - 1}", torch.cat(given, dim=1)))
    return torch.cat([*answers[1:layers:2], answers[layers]], dim=1)


def test_answers_are_those_of_the_description(network):
    """The source's forward pass, written down once more over the tensors alone."""
    image = torch.randn(2, 3, 64, 128)
    state = network.state_dict()
    features = image
    for number, stride in enumerate((2, 1, 2, 1)):
        features = _layer(state, f"encoder.stem.{number}", features, stride)
    skips = []
    for number, (_, layers) in enumerate(BLOCKS):
        skips.append(_block(state, f"encoder.blocks.{number}", features, layers))
        features = _layer(state, f"encoder.transitions.{number}", skips[-1])
        features = functional.avg_pool2d(features, 2) if number < 4 else features
    for number in range(4):
        skip = skips[3 - number]
        features = functional.interpolate(features, size=skip.shape[2:], mode="bilinear", align_corners=True)
        features = _layer(state, f"reductions.{number}", torch.cat([features, skip], dim=1))
        features = _block(state, f"blocks.{number}", features, BLOCKS[3 - number][1])
    logits = functional.conv2d(features, state["classifier.weight"], state["classifier.bias"])
    logits = functional.interpolate(logits, size=(64, 128), mode="bilinear", align_corners=True)
    torch.testing.assert_close(network(image).logits, logits)


def test_it_conforms():
    check_architecture(Hardnet70(), bands=(5,), sizes=((64, 64), (33, 65), (1, 1)), processes=False)


def test_other_sizes_are_padded_to_the_deepest_stride(network):
    image = torch.randn(1, 3, 70, 100)
    full = functional.pad(image, (0, 28, 0, 58), mode="reflect")
    assert torch.equal(network(image).logits, network(full).logits[..., :70, :100])


def test_weights_are_drawn_as_the_source_draws_them():
    torch.manual_seed(0)
    network = build("hardnet70", classes=5)
    weight = network.blocks[0].layers[7].conv.weight
    fan = (weight.shape[0] + weight.shape[1]) * 9
    assert weight.std().item() == pytest.approx((2 / fan) ** 0.5, rel=0.05)


def test_it_can_be_exported(network):
    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, image):
            return self.network(image).logits

    image = torch.randn(2, 3, 65, 97)
    exported = torch.export.export(Logits(), (image,)).module()
    torch.testing.assert_close(exported(image), network(image).logits)


def test_gradient_checkpointing_reaches_every_block_and_changes_no_gradient():
    gradients = []
    for checkpointed in (False, True):
        torch.manual_seed(0)
        network = build("hardnet70", classes=2)
        if checkpointed:
            network.checkpoint_gradients()
            assert all(one.recompute for one in network.modules() if isinstance(one, HarDBlock))
        network(torch.randn(2, 3, 64, 64)).logits.square().mean().backward()
        gradients.append([one.grad for one in network.parameters()] + list(network.buffers()))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*gradients, strict=True))


def test_the_classifier_is_no_hidden_matrix(network):
    assert network.plain_parameters() <= dict(network.named_parameters()).keys()
    assert network.plain_parameters() == {"classifier.weight"}
