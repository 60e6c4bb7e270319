"""Batch norms taken into convolutions change nothing but rounding, and only those that may be taken are."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from terrazzo.models import build
from terrazzo.models.fusing import fuse_batch_norms
from terrazzo.models.normalisation_layers import allow_single_values

SMALL = {"decoder_channels": [8, 8, 8, 4, 4]}


def _norms(network):
    return [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]


def _shaken(network):
    """In evaluation mode, its norms with statistics and weights that show."""
    with torch.no_grad():
        for norm in _norms(network):
            norm.running_mean.normal_(0, 0.3)
            norm.running_var.uniform_(0.5, 2)
            if norm.affine:
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.normal_(0, 0.3)
    return network.eval()


def _image(*size, bands=3):
    return torch.randn(1, bands, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("name", "settings", "fused", "norms"),
    [
        ("hardnet70", {}, 69, 69),
        ("hardnet68", {}, 62, 62),
        ("smp", {"encoder": "resnet18"}, 30, 30),
        ("smp", {"architecture": "deeplabv3plus", "encoder": "resnet18"}, 29, 29),
        # Norms with an activation inside, and norms in front of a convolution, stay.
        ("smp", {"encoder": "tu-mobilenetv3_small_050", "settings": SMALL}, 11, 44),
        ("smp", {"encoder": "densenet121", "settings": SMALL}, 69, 131),
    ],
)
def test_answers_stay(name, settings, fused, norms):
    torch.manual_seed(0)
    network = _shaken(build(name, classes=5, **settings))
    assert len(_norms(network)) == norms
    image = _image(96, 64)
    with torch.no_grad():
        before = network(image).logits
        assert fuse_batch_norms(network, _image(32, 32)) == fused
        after = network(image).logits
    assert (after - before).abs().max() < 1e-4
    assert len(_norms(network)) == norms - fused


def test_by_hand():
    network = _shaken(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0.0)))
    convolution, norm = network
    with torch.no_grad():
        convolution.weight.fill_(3)
        norm.running_mean.fill_(1)
        norm.running_var.fill_(4)
        norm.weight.fill_(10)
        norm.bias.fill_(7)
    assert fuse_batch_norms(network, _image(2, 2, bands=1)) == 1
    assert network[0].weight.item() == 15
    assert network[0].bias.item() == 7 - 10 / 2


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)],
        [nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)],
        [nn.ConvTranspose2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)],
        [nn.Conv2d(3, 4, 1), nn.SyncBatchNorm(4)],
    ],
)
def test_every_kind_of_pair(layers):
    torch.manual_seed(0)
    network = _shaken(nn.Sequential(*layers))
    image = _image(8, 9)
    before = network(image)
    assert fuse_batch_norms(network, image) == 1
    torch.testing.assert_close(network(image), before, atol=1e-5, rtol=1e-5)


def test_a_norm_that_takes_single_values_is_a_norm():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    allow_single_values(network)
    assert fuse_batch_norms(_shaken(network), _image(2, 2)) == 1


class _Graph(nn.Module):
    """A convolution and a norm joined in ways that forbid taking the norm in."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, image):
        answer = self.first(image)
        if self.how == "used beside":
            return self.norm(answer) + answer
        if self.how == "two norms":
            return self.norm(answer) + self.other(answer)
        if self.how == "shared norm":
            return self.norm(answer) + self.norm(self.second(image))
        if self.how == "shared convolution":
            return self.norm(answer) + self.first(image * 2)
        if self.how == "something between":
            return self.norm(answer * 2)
        if self.how == "detached use":
            return self.norm(answer) + answer.detach()
        if self.how == "changed in place":
            return self.norm(answer.relu_())
        if self.how == "answered too":
            return self.norm(answer), answer
        return self.norm(answer)


@pytest.mark.parametrize(
    "how",
    [
        "used beside",
        "two norms",
        "shared norm",
        "shared convolution",
        "something between",
        "detached use",
        "changed in place",
        "answered too",
    ],
)
def test_what_goes_elsewhere_is_left(how):
    torch.manual_seed(0)
    network = _shaken(_Graph(how))
    state, image = copy.deepcopy(network.state_dict()), _image(6, 6)
    before = network(image)
    assert fuse_batch_norms(network, image) == 0
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    after = network(image)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_pair_called_in_every_step_is_taken_once():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, image):
            for _ in range(3):
                image = self.norm(self.layer(image)).tanh()
            return {"last": [image]}

    torch.manual_seed(0)
    network = _shaken(Steps())
    before = network(_image(4, 4))["last"][0]
    assert fuse_batch_norms(network, _image(4, 4)) == 1
    torch.testing.assert_close(network(_image(4, 4))["last"][0], before)


class _Scaled(nn.Conv2d):
    """A convolution that computes something else."""

    def forward(self, input):  # noqa: A002
        return 2 * super().forward(input).abs()


class _Activated(nn.BatchNorm2d):
    """A norm that computes something else."""

    def forward(self, input):  # noqa: A002
        return super().forward(input).relu()


@pytest.mark.parametrize(
    ("convolution", "norm"),
    [
        (_Scaled(3, 4, 1), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 1), _Activated(4)),
        (parametrizations.weight_norm(nn.Conv2d(3, 4, 1)), nn.BatchNorm2d(4)),
        (nn.ConvTranspose2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)),
        (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
)
def test_what_is_more_than_a_pair_is_left(convolution, norm):
    network = nn.Sequential(convolution, norm).eval()
    assert fuse_batch_norms(network, _image(4, 4)) == 0


def test_what_the_image_proves_wrong_is_put_back():
    """A hook that changes what a convolution answers is no part of the convolution."""
    network = _shaken(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    network[0].register_forward_hook(lambda _module, _given, answer: answer + 5)
    state, kinds, before = copy.deepcopy(network.state_dict()), [*map(type, network)], network(_image(4, 4))
    assert fuse_batch_norms(network, _image(4, 4)) == 0
    assert [*map(type, network)] == kinds
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert torch.equal(network(_image(4, 4)), before)


def test_training_is_refused():
    with pytest.raises(ValueError, match="evaluation only"):
        fuse_batch_norms(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), _image(4, 4))


def test_without_norms_nothing_is_run():
    network = nn.Sequential(nn.Conv2d(3, 4, 1)).eval()
    network.register_forward_pre_hook(lambda *_: pytest.fail("was run"))
    assert fuse_batch_norms(network, _image(4, 4)) == 0
