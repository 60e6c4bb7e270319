import pytest
import torch

from terrazzo.training.muon import Muon
from terrazzo.training.orthogonal_momentum import OrthogonalMomentum, orthogonal

SETTINGS = {"lr": 0.1, "weight_decay": 0.0, "matrices": True, "momentum": 0.9, "nesterov": False, "ns_steps": 5}


@pytest.mark.parametrize("shape", [(3, 8, 20), (2, 20, 8), (1, 6, 6)])
def test_singular_values_come_near_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    found = orthogonal(matrices, 5).float()
    assert found.shape == shape
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    cosine = torch.nn.functional.cosine_similarity(found.flatten(1), (left @ right).flatten(1))
    assert cosine.min() > 0.97


def test_matrices_of_one_shape_move_as_each_alone():
    torch.manual_seed(0)
    weights = [torch.randn(8, 12) for _ in range(3)]
    gradients = [torch.randn(8, 12) for _ in range(3)]
    together = [torch.nn.Parameter(weight.clone()) for weight in weights]
    alone = [torch.nn.Parameter(weight.clone()) for weight in weights]
    settings = SETTINGS | {"adjust": "match_rms_adamw", "transposed": False}
    optimizers = [OrthogonalMomentum([{"params": together} | settings])]
    optimizers += [OrthogonalMomentum([{"params": [one]} | settings]) for one in alone]
    for parameter, gradient in zip(together + alone, gradients * 2, strict=True):
        parameter.grad = gradient.clone()
    for optimizer in optimizers:
        optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


@pytest.mark.parametrize(("layer", "scale"), [(torch.nn.Conv2d(8, 16, 1), 2**0.5), (torch.nn.Conv2d(16, 8, 1), 1.0)])
@pytest.mark.parametrize("transposed", [False, True])
def test_the_published_scale_is_outputs_over_inputs_for_transposed_convolutions_too(layer, scale, transposed):
    kind = torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), kind(layer.in_channels, layer.out_channels, 1, bias=False))
    optimizer = Muon(lr=0.1, weight_decay=0.0, adjust="original").build(network)
    weight = network[1].weight
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    norm = (weight.detach() - before).norm().item()
    assert norm == pytest.approx(0.1 * scale * min(weight.shape[:2]) ** 0.5, rel=0.15)


def test_a_gradient_of_zero_and_none_move_nothing():
    layer = torch.nn.Linear(8, 8)
    optimizer = OrthogonalMomentum(
        [
            {"params": [layer.weight], "adjust": "original", "transposed": False} | SETTINGS,
            {
                "params": [layer.bias],
                "lr": 0.1,
                "weight_decay": 0.0,
                "matrices": False,
                "betas": (0.9, 0.9),
                "eps": 1e-8,
            },
        ]
    )
    before = [parameter.detach().clone() for parameter in layer.parameters()]
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, layer.parameters(), strict=True))
    assert not optimizer.state[layer.bias]


def test_a_closure_computes_the_gradients():
    layer = torch.nn.Linear(8, 8, bias=False)
    optimizer = OrthogonalMomentum([{"params": [layer.weight], "adjust": "original", "transposed": False} | SETTINGS])

    def closure() -> float:
        optimizer.zero_grad()
        loss = layer(torch.ones(1, 8)).square().sum()
        loss.backward()
        return float(loss.detach())

    first = optimizer.step(closure)
    assert optimizer.step(closure) < first
