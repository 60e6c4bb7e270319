"""The dense tiny recursive model: its contract, its recursion, its gradients and its cost."""

import pytest
import torch
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from terrazzo.errors import ModelError
from terrazzo.models import build
from terrazzo.models.architecture import Adaptive, Cacheable
from terrazzo.models.backbones.dinov3_vit import DinoV3Vit, VitShape
from terrazzo.models.backbones.smp import SmpBackbone
from terrazzo.models.backbones.stem import Stem
from terrazzo.models.output import Steps
from terrazzo.models.refiner.trm import Trm, TrmNetwork
from terrazzo.testing import check_architecture

SMALL = {"width": 8, "backbone": Stem(width=8, blocks=1), "t_max": 3}


def small(seed: int = 0, *, classes: int = 3, **settings) -> TrmNetwork:
    torch.manual_seed(seed)
    network = Trm(**{**SMALL, **settings}).build(bands=3, classes=classes)
    assert isinstance(network, TrmNetwork)
    return network


def pictures(batch: int = 2, height: int = 24, width: int = 32) -> torch.Tensor:
    return torch.randn((batch, 3, height, width), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pixel_act": True, "mixing": "dilated", "norm": "layer"},
        {"act": False, "t_min": 1, "t_max": 1},
        {"gradient": "one_with_carry", "cycles": 2, "latent_updates": 3, "random_steps": True},
        {"halting_gradient": True, "expansion": 1, "t_min": 1, "t_max": 2},
    ],
)
def test_it_conforms(settings):
    # To export and to train in two processes takes longer than all else: once is enough.
    whole = not settings
    record = Trm(**{**SMALL, **settings})
    check_architecture(record, bands=(4,), sizes=((16, 24), (9, 17), (1, 1)), export=whole, processes=whole)


@pytest.mark.parametrize(
    "backbone",
    [SmpBackbone(encoder="tu-mobilenetv3_small_050", taps=(1, 2, 4)), DinoV3Vit(size=VitShape())],
    ids=["smp", "dinov3"],
)
def test_any_backbone_gives_the_features(backbone):
    record = Trm(width=8, t_max=2, backbone=backbone)
    check_architecture(record, bands=(3,), sizes=((32, 40), (1, 1)), export=False, processes=False)


def test_the_default_net_has_the_parameters_of_its_parts():
    network = build("trm", classes=6)
    block = 49 * 64 + 64 * 256 + 128 * 64
    counts = {name: sum(one.numel() for one in part.parameters()) for name, part in network.named_children()}
    assert counts["recursive"] == 2 * block == 55_424
    assert counts["classify"] == 64 * 6 + 6
    assert counts["halting"] == (64 + 3) * 64 + 64 + 64 + 1
    assert counts["project"] == 64 * 64 + 64
    steps = [build("trm", classes=6, t_min=1, t_max=last) for last in (1, 8)]
    assert len({sum(one.numel() for one in network.parameters()) for network in steps}) == 1


def test_a_step_costs_n_plus_one_runs_of_the_net_at_a_quarter_of_the_resolution():
    network = build("trm", classes=6, latent_updates=3).eval()
    with torch.no_grad():
        state = network.start(torch.zeros(1, 3, 256, 256))
        with FlopCounterMode(display=False) as counter:
            network.step(state)
    # torch counts two operations a multiplication with addition, and none of norms, sums and activations.
    assert counter.get_total_flops() == 2 * 64 * 64 * (4 * 55_424 + 64 * 6)


def test_it_nests_latent_updates_within_answer_updates_and_sees_the_features_in_each_latent_one():
    """z <- f(z + y + F) n times, then y <- f(y + z)."""
    network = small(latent_updates=2).eval()
    with torch.no_grad():
        state = network.start(pictures())
        (features,), (z, y) = state.given, state.moving
        for _ in range(2):
            z = network.recursive(z + y + features)
        y = network.recursive(y + z)
        after = network.step(state)
    assert torch.equal(after.moving[0], z)
    assert torch.equal(after.moving[1], y)
    assert torch.equal(after.logits, network.classify(y))


def test_inner_cycles_come_before_and_send_no_gradient():
    once, thrice = small(cycles=1), small(cycles=3)
    thrice.load_state_dict(once.state_dict())
    state = once.start(pictures())
    latent, answer = state.moving
    with torch.no_grad():
        for _ in range(2):
            latent, answer = once._cycle(state.given[0], latent, answer)
    latent, answer = once._cycle(state.given[0], latent, answer)
    wanted = torch.autograd.grad(once.classify(answer).sum(), list(once.recursive.parameters()))
    logits = thrice.step(thrice.start(pictures())).logits
    found = torch.autograd.grad(logits.sum(), list(thrice.recursive.parameters()))
    assert torch.equal(logits, once.classify(answer))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_inner_cycles_under_autocast_hide_no_weight_from_its_gradient():
    network = small(cycles=2)
    with torch.autocast("cpu", torch.bfloat16):
        network(pictures()).logits.float().square().mean().backward()
    assert all(one.grad is not None and bool(one.grad.any()) for one in network.recursive.parameters())


def gradient_of_last_step(network: TrmNetwork) -> list[torch.Tensor]:
    """With respect to the features as the first of two steps sees them, and as the second does."""
    state = network.start(pictures())
    seen = [state.given[0].detach().clone().requires_grad_() for _ in range(2)]
    for features in seen:
        state = network.step(type(state)(**{**vars(state), "given": (features,)}))
    return list(torch.autograd.grad(state.logits.square().sum(), seen, allow_unused=True))


def test_gradients_run_through_all_steps_or_stop_between_them():
    first, second = gradient_of_last_step(small(gradient="all"))
    assert first.any()
    assert second.any()
    first, second = gradient_of_last_step(small(gradient="one_with_carry"))
    assert first is None
    assert second.any()


def test_the_carry_is_the_same_forwards():
    one, other = small(gradient="all"), small(gradient="one_with_carry")
    assert torch.equal(one(pictures()).logits, other(pictures()).logits)


def test_the_first_states_are_fixed_vectors_that_are_kept_but_not_trained():
    network = small()
    names = {name for name, _ in network.named_parameters()}
    for name in ("start_answer", "start_latent"):
        assert name in network.state_dict()
        assert name not in names
    assert not torch.equal(network.start_answer, network.start_latent)
    many = small(width=400, expansion=1, backbone=Stem(width=4, blocks=0))
    vectors = torch.cat([many.start_answer, many.start_latent])
    assert float(vectors.std()) == pytest.approx(0.88, abs=0.08)
    assert float(vectors.abs().max()) <= 2
    state = network.start(pictures())
    assert torch.equal(state.moving[1][0, :, 0, 0], state.moving[1][1, :, 3, 2])


def test_a_random_number_of_steps_is_drawn_by_torchs_generator_in_training_alone():
    network = small(t_min=2, t_max=5, random_steps=True)

    def drawn() -> list[int]:
        torch.manual_seed(11)
        return [network.steps_to_run() for _ in range(30)]

    numbers = drawn()
    assert set(numbers) == {2, 3, 4, 5}
    assert drawn() == numbers
    torch.manual_seed(11)
    assert len(network(pictures(1, 4, 4)).find(Steps).logits) == numbers[0]
    network.eval()
    assert set(drawn()) == {5}
    assert small(t_max=4).steps_to_run() == 4


def test_padding_leaves_no_trace():
    """What a mean over the tile or a neighbouring cell could see of it was cut off: only cells of the image remain."""
    network = small(backbone=SmpBackbone(encoder="tu-mobilenetv3_small_050", taps=(2, 5))).eval()
    with torch.no_grad():
        state = network.start(pictures(1, 33, 50))
        output = network(pictures(1, 33, 50))
    assert state.given[0].shape[-2:] == (9, 13)
    assert [tuple(one.shape[-2:]) for one in output.find(Steps).logits] == [(9, 13)] * 3
    assert output.find(Steps).stride == 4


@pytest.mark.parametrize("settings", [{}, {"cycles": 2}, {"gradient": "one_with_carry"}])
def test_gradients_are_the_same_when_steps_are_computed_again(settings):
    plain, again = small(**settings), small(**settings)
    again.checkpoint_gradients()
    for network in (plain, again):
        network(pictures()).logits.square().mean().backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        assert one.grad is None or torch.equal(one.grad, other.grad), name


def test_classifier_and_halting_head_are_no_hidden_layers():
    names = small().plain_parameters()
    assert names == {
        "classify.weight",
        "classify.bias",
        *(f"halting.{layer}.{part}" for layer in ("hidden", "last") for part in ("weight", "bias")),
    }
    assert small(act=False).plain_parameters() == {"classify.weight", "classify.bias"}


def test_the_maps_of_a_frozen_backbone_can_be_computed_once():
    frozen = Trm(width=8, t_max=2, backbone=DinoV3Vit(size=VitShape()))
    network = frozen.build(bands=3, classes=3).eval()
    assert isinstance(network, Cacheable)
    assert isinstance(network, Adaptive)
    image = pictures(2, 33, 20)
    with torch.no_grad():
        maps = network.encode(image)
        assert torch.equal(network.decode(image, maps).logits, network(image).logits)
        assert network.decode(image, tuple(one.half() for one in maps)).logits.dtype == torch.float32
        with pytest.raises(ModelError, match=r"Cached maps are .* compute them again"):
            network.decode(image, maps[:-1])
    assert frozen.feature_key() == DinoV3Vit(size=VitShape()).feature_key()
    assert not isinstance(small(), Cacheable)
    assert Trm(**SMALL).feature_key() is None


def test_the_answers_can_be_exported():
    network = small(t_max=2).eval()

    class Logits(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, image):
            return self.network(image).logits

    image = pictures(1, 24, 30)
    with torch.no_grad():
        exported = torch.export.export(Logits(), (image,)).module()
        torch.testing.assert_close(exported(image), network(image).logits)


def test_settings_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="t_min 4 is above t_max 3"):
        Trm(t_min=4, t_max=3)
    with pytest.raises(ValidationError, match="pixel_act: true needs act: true"):
        Trm(act=False, pixel_act=True)
    with pytest.raises(ValidationError, match="tau"):
        Trm(tau=1.5)


def test_a_bundle_starts_from_random_weights():
    told = Trm(backbone=SmpBackbone(weights="imagenet"))
    assert told.without_pretraining().backbone == SmpBackbone()
    assert Trm().pretraining(bands=3) is None
