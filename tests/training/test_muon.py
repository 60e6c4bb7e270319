"""Muon beside torch's own on matrices, and what system 2's optimiser got wrong."""

from dataclasses import replace

import pytest
import torch

from terrazzo.models.architecture import Network
from terrazzo.models.output import Output
from terrazzo.training.checkpoint import Checkpoint, RunState, flatten_optimizer, restore_optimizer
from terrazzo.training.muon import Muon, reasons
from terrazzo.training.rates import set_rate


class Sample(Network):
    """One parameter of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.depthwise = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.hidden = torch.nn.Conv2d(8, 12, 3, padding=1)
        self.again = torch.nn.Conv2d(3, 12, 1)
        self.up = torch.nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.scale = torch.nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.queries = torch.nn.Embedding(5, 8)
        self.linear = torch.nn.Linear(8, 8)
        self.narrow = torch.nn.Conv2d(8, 2, 1)
        self.classifier = torch.nn.Linear(8, 6)

    def plain_parameters(self) -> frozenset[str]:
        return frozenset({"classifier.weight"})

    def forward(self, image: torch.Tensor) -> Output:
        seen = self.hidden(self.depthwise(self.norm(self.stem(image)))) + self.again(image)
        maps = (self.up(seen) * self.scale)[..., ::2, ::2]
        mixed = self.linear(maps.permute(0, 2, 3, 1)) + self.queries.weight.mean(dim=0)
        mixed = mixed + self.narrow(maps).mean()
        return Output(self.classifier(mixed).permute(0, 3, 1, 2))


@pytest.fixture
def sample() -> Sample:
    torch.manual_seed(0)
    return Sample().to(memory_format=torch.channels_last)


def learn(network: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int = 1, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        network(torch.randn(2, 3, 8, 8, generator=generator)).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def groups_by_half(optimizer: torch.optim.Optimizer) -> dict[bool, set[int]]:
    """Ids of the parameters of Muon's half (False) and AdamW's (True)."""
    halves: dict[bool, set[int]] = {False: set(), True: set()}
    for group in optimizer.param_groups:
        halves[not group["matrices"]] |= {id(parameter) for parameter in group["params"]}
    return halves


def test_matrices_of_hidden_layers_are_muons_and_all_else_is_adamws(sample):
    names = {id(parameter): name for name, parameter in sample.named_parameters()}
    halves = groups_by_half(Muon().build(sample))
    assert {names[one] for one in halves[False]} == {"hidden.weight", "up.weight", "linear.weight"}
    assert halves[True] == set(names) - halves[False]
    found = reasons(sample)
    assert found["stem.weight"] == found["again.weight"] == "reads the image"
    assert found["depthwise.weight"] == "grouped convolution"
    assert found["queries.weight"] == found["scale"] == "embedding or scale"
    assert found["classifier.weight"] == "classifier, query or halting"
    assert found["narrow.weight"] == "too narrow"
    assert found["norm.weight"] == found["hidden.bias"] == "fewer than two axes"


def test_the_split_is_told_with_numbers_and_examples(sample):
    said = Muon().explain(sample).split("; ")
    assert said[0] == "Muon moves 3 matrices (1,312 values, such as hidden.weight)"
    assert "AdamW 2 tensors (252 values, such as stem.weight): reads the image" in said
    assert "AdamW 1 tensor (48 values, such as classifier.weight): classifier, query or halting" in said
    assert "learning rates by name from x0.5 to x1, 0 tensors frozen" in Muon(rates={"linear": 0.5}).explain(sample)


def test_frozen_parameters_are_in_neither_half_and_not_counted(sample):
    sample.hidden.requires_grad_(False)
    halves = groups_by_half(Muon().build(sample))
    assert not {id(sample.hidden.weight), id(sample.hidden.bias)} & (halves[False] | halves[True])
    assert "Muon moves 2 matrices" in Muon().explain(sample)


@pytest.mark.parametrize("adjust", ["match_rms_adamw", "original"])
@pytest.mark.parametrize("nesterov", [True, False])
def test_a_matrix_moves_as_torchs_muon_moves_it(adjust, nesterov):
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(6, 16, bias=False), torch.nn.Linear(6, 16, bias=False)
    theirs.load_state_dict(ours.state_dict())
    one = Muon(lr=0.1, weight_decay=0.2, adjust=adjust, nesterov=nesterov).build(ours)
    settings = {"adjust_lr_fn": adjust, "nesterov": nesterov, "momentum": 0.95}
    other = torch.optim.Muon([theirs.weight], lr=0.1, weight_decay=0.2, **settings)
    for _ in range(3):
        image = torch.randn(5, 6)
        for layer, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            layer(image).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.weight, theirs.weight, atol=3e-3, rtol=0)


def test_a_convolution_moves_as_the_matrix_of_its_filters():
    """The scale follows the flattened shape: with the kernel's own sides it would be another."""
    torch.manual_seed(0)
    gradient = torch.randn(8, 4, 3, 3)
    layers = [torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(4, 8, 3, bias=False)]
    network = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)
    flat = torch.nn.Parameter(layers[1].weight.detach().reshape(8, 36).clone())
    one = Muon(lr=0.1, weight_decay=0.0).build(network)
    other = torch.optim.Muon([flat], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    layers[1].weight.grad, flat.grad = gradient.clone(), gradient.reshape(8, 36).clone()
    before = flat.detach().clone()
    one.step()
    other.step()
    torch.testing.assert_close(layers[1].weight.detach().reshape(8, 36), flat.detach(), atol=3e-3, rtol=0)
    # Nearly orthogonal rows, root mean square 0.2 times the rate.
    assert (flat - before).square().mean().sqrt().item() == pytest.approx(0.02, rel=0.3)


def test_the_rest_moves_as_torchs_adamw_moves_it(sample):
    other = Sample()
    other.load_state_dict(sample.state_dict())
    settings = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9}
    optimizer = Muon(**settings, adamw_lr=0.01, adamw_betas=(0.8, 0.9), adamw_eps=1e-6).build(sample)
    plain = torch.optim.AdamW([other.stem.weight], lr=0.01, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
    for seed in range(3):
        gradient = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
        sample.stem.weight.grad, other.stem.weight.grad = gradient.clone(), gradient.clone()
        optimizer.step()
        plain.step()
    torch.testing.assert_close(sample.stem.weight, other.stem.weight)


def test_every_gradient_is_cleared(sample):
    optimizer = Muon().build(sample)
    sample(torch.randn(1, 3, 8, 8)).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in sample.parameters())
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in sample.parameters())


def test_schedules_move_the_rate_of_both_halves_and_nothing_else(sample):
    optimizer = Muon(lr=0.02, adamw_lr=0.001).build(sample)
    before = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    assert set_rate(optimizer, 0.5) == 0.01
    rates = {not group["matrices"]: group["lr"] for group in optimizer.param_groups}
    assert rates == {False: 0.01, True: 0.0005}
    for group, old in zip(optimizer.param_groups, before, strict=True):
        changed = {key for key in old if group[key] != old[key]}
        assert changed == {"lr"}
    weights = [parameter.detach().clone() for parameter in sample.parameters()]
    set_rate(optimizer, 0.0)
    learn(sample, optimizer)
    assert all(torch.equal(old, new) for old, new in zip(weights, sample.parameters(), strict=True))


def test_the_loss_scaler_unscales_and_checks_both_halves(sample):
    optimizer = Muon().build(sample)
    for bad in (sample.hidden.weight, sample.stem.bias):
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        scaler.scale(sample(torch.randn(1, 3, 8, 8)).logits.sum()).backward()
        expected = {name: value.grad / 8 for name, value in sample.named_parameters()}
        scaler.unscale_(optimizer)
        assert all(torch.equal(value.grad, expected[name]) for name, value in sample.named_parameters())
        optimizer.zero_grad()
        scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
        scaler.scale(sample(torch.randn(1, 3, 8, 8)).logits.sum()).backward()
        bad.grad[(0,) * bad.ndim] = float("inf")
        before = [parameter.detach().clone() for parameter in sample.parameters()]
        scaler.step(optimizer)
        assert all(torch.equal(old, new) for old, new in zip(before, sample.parameters(), strict=True))
        optimizer.zero_grad()


def test_norms_and_biases_do_not_decay_in_either_half(sample):
    optimizer = Muon(weight_decay=0.3).build(sample)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0.3 if group["params"][0].ndim > 1 else 0.0)
    assert {group["weight_decay"] for group in Muon(weight_decay=0.3, decay_norms=True).build(sample).param_groups} == {
        0.3
    }


def test_rates_by_name_reach_both_halves(sample):
    optimizer = Muon(lr=0.2, adamw_lr=0.1, rates={"hidden": 0.5}).build(sample)
    rate = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    assert (rate[id(sample.hidden.weight)], rate[id(sample.hidden.bias)]) == (0.1, 0.05)
    assert (rate[id(sample.linear.weight)], rate[id(sample.linear.bias)]) == (0.2, 0.1)


def test_a_restored_optimizer_goes_on_to_the_same_bits_and_layout(sample):
    record = Muon(rates={"hidden": 0.5})
    optimizer = record.build(sample)
    learn(sample, optimizer, steps=3)
    tensors, numbers = flatten_optimizer(optimizer)
    kept = {name: value.contiguous().clone() for name, value in tensors.items()}
    other = Sample().to(memory_format=torch.channels_last)
    other.load_state_dict(sample.state_dict())
    restored = record.build(other)
    restore_optimizer(restored, Checkpoint(replace(RunState("x"), numbers=numbers), {}, kept))
    momentum = restored.state[other.hidden.weight]["momentum_buffer"]
    assert momentum.stride() == other.hidden.weight.stride()
    for network, stepper in ((sample, optimizer), (other, restored)):
        learn(network, stepper, steps=2, seed=5)
    pairs = zip(sample.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in pairs)


def test_it_learns(sample):
    optimizer = Muon(lr=0.01).build(sample)
    image = torch.randn(4, 3, 8, 8)
    target = (image[:, 0] > 0).long()
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(sample(image).logits, target)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.3 * losses[0]
