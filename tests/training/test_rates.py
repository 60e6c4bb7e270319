import pytest
import torch

from terrazzo.errors import ConfigError
from terrazzo.training.optim import AdamW, Sgd
from terrazzo.training.rates import LayerDecay, layer_factors, parameter_groups, rate_factors, set_rate


def network() -> torch.nn.Module:
    return torch.nn.ModuleDict({"encoder": torch.nn.Conv2d(3, 4, 3), "norm": torch.nn.BatchNorm2d(4)})


def groups_of(module: torch.nn.Module, **settings) -> list:
    return parameter_groups(
        dict(module.named_parameters()), **({"lr": 1.0, "weight_decay": 0.1, "factors": {}} | settings)
    )


def test_no_group_is_empty():
    assert [group["weight_decay"] for group in groups_of(torch.nn.BatchNorm2d(3))] == [0.0]
    assert [group["weight_decay"] for group in groups_of(torch.nn.BatchNorm2d(3), decay_norms=True)] == [0.1]


def test_the_longest_beginning_counts_and_is_made_of_whole_parts():
    layers = torch.nn.ModuleDict({"a": torch.nn.Sequential(torch.nn.Linear(1, 1)), "ab": torch.nn.Linear(1, 1)})
    factors = rate_factors(layers, {"a": 0.5, "a.0.bias": 0.1})
    assert factors == {"a.0.weight": 0.5, "a.0.bias": 0.1, "ab.weight": 1.0, "ab.bias": 1.0}


def test_each_rate_is_a_group_of_its_own_with_and_without_decay():
    optimizer = AdamW(lr=0.4, weight_decay=0.3, rates={"encoder": 0.5}).build(network())
    found = [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups]
    assert found == [(0.2, 0.3, 1), (0.2, 0.0, 1), (0.4, 0.0, 2)]


def test_rate_zero_freezes_whatever_the_decay():
    layers = network()
    before = [value.clone() for value in layers["encoder"].state_dict().values()]
    optimizer = Sgd(lr=1.0, weight_decay=0.5, rates={"encoder": 0}).build(layers)
    assert [parameter.requires_grad for parameter in layers.parameters()] == [False, False, True, True]
    assert "2 tensors frozen" in Sgd(rates={"encoder": 0}).explain(layers)
    layers["norm"](layers["encoder"](torch.randn(2, 3, 5, 5))).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, layers["encoder"].state_dict().values(), strict=True))


def test_freezing_everything_is_refused():
    with pytest.raises(ConfigError, match="Nothing is left to train"):
        Sgd(rates={"encoder": 0, "norm": 0}).build(network())


def test_a_beginning_that_nothing_has_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r'optimizer\.rates names "encodr".*Did you mean "encoder"\?.*begin with encoder'
    ):
        Sgd(rates={"encodr": 0.1}).build(network())
    frozen = network()
    frozen["encoder"].requires_grad_(False)
    with pytest.raises(ConfigError, match="no trainable parameter"):
        Sgd(rates={"encoder": 0.1}).build(frozen)


def test_rates_fall_with_the_depth_of_stages_and_blocks():
    names = [
        "net.stages.0.layers.0.conv.weight",
        "net.stages.0.layers.1.conv.weight",
        "net.stages.1.downsample.0.weight",
        "net.stages.1.layers.0.conv.weight",
        "net.norm.weight",
        "net_head.blocks.0.weight",
    ]
    factors = layer_factors(names, LayerDecay(factor=0.5, prefix="net"))
    assert list(factors.values()) == [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 1.0]


def test_what_stands_between_blocks_goes_with_the_earlier():
    names = ["embed.weight", "block1.0.weight", "norm1.weight", "block2.0.weight", "norm.weight"]
    factors = layer_factors([f"e.{name}" for name in names], LayerDecay(factor=0.5, prefix="e"))
    assert list(factors.values()) == [1 / 8, 1 / 4, 1 / 4, 1 / 2, 1.0]


def test_depth_and_name_multiply():
    blocks = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)])})
    layers = torch.nn.ModuleDict({"body": blocks, "head": torch.nn.Linear(1, 1)})
    decay = LayerDecay(factor=0.5, prefix="body")
    assert rate_factors(layers, {"body": 0.1, "head": 2.0}, decay) == {
        "body.blocks.0.weight": 0.025,
        "body.blocks.0.bias": 0.025,
        "body.blocks.1.weight": 0.05,
        "body.blocks.1.bias": 0.05,
        "head.weight": 2.0,
        "head.bias": 2.0,
    }


def test_without_numbered_blocks_there_is_no_depth():
    with pytest.raises(ConfigError, match=r"no parameter below .encoder. stands in a numbered block"):
        AdamW(layer_decay=LayerDecay(prefix="encoder")).build(network())
    with pytest.raises(ConfigError, match=r'layer_decay\.prefix names "encode"'):
        AdamW(layer_decay=LayerDecay(prefix="encode")).build(network())


def test_the_rate_is_always_a_multiple_of_the_base():
    optimizer = AdamW(lr=0.4).build(network())
    assert set_rate(optimizer, 0.5) == pytest.approx(0.2)
    assert set_rate(optimizer, 0.25) == pytest.approx(0.1)
    assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.1)] * 2


def test_groups_keep_their_own_base():
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD([{"params": [layer.weight], "lr": 1.0}, {"params": [layer.bias], "lr": 0.1}])
    assert set_rate(optimizer, 0.5) == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.05]
