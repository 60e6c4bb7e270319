import copy

import pytest
import torch

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Network
from terrazzo.models.recomputed_blocks import RecomputedBlock, recompute_blocks
from terrazzo.models.smp import Smp


class Block(torch.nn.Module):
    """A block with a norm and dropout, which counts its calls."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(width, width, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(width)
        self.calls = 0

    def forward(self, image: torch.Tensor, *, scale: float = 1.0) -> torch.Tensor:
        self.calls += 1
        return torch.nn.functional.dropout(self.norm(self.conv(image)).relu(), 0.3, self.training) * scale


def blocks() -> torch.nn.Sequential:
    torch.manual_seed(0)
    stage = torch.nn.Sequential(Block(4), Block(4))
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), stage, torch.nn.Conv2d(4, 2, 1))


def trained(network: torch.nn.Module, image: torch.Tensor) -> dict[str, torch.Tensor]:
    """State after two updates, with the gradients of the last."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network.train()
    for step in range(2):
        torch.manual_seed(step)
        optimizer.zero_grad()
        answer = network(image)
        (answer if isinstance(answer, torch.Tensor) else answer.logits).square().mean().backward()
        optimizer.step()
    gradients = {f"{name} gradient": value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {**network.state_dict(), **gradients}


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_innermost_blocks_are_computed_twice_in_training_alone():
    network = blocks()
    assert recompute_blocks(network) == 2
    assert [isinstance(module, RecomputedBlock) for module in network[1]] == [True, True]
    assert not isinstance(network[1], RecomputedBlock)
    assert recompute_blocks(network) == 0
    network(torch.randn(2, 3, 6, 6)).sum().backward()
    assert [block.calls for block in network[1]] == [2, 2]
    network.eval()(torch.randn(2, 3, 6, 6)).sum().backward()
    assert [block.calls for block in network[1]] == [3, 3]


def test_training_comes_to_the_same_bits_statistics_and_names():
    network, image = blocks(), torch.randn(2, 3, 8, 8)
    plain = copy.deepcopy(network)
    recompute_blocks(network)
    assert_same(trained(plain, image), trained(network, image))


def test_a_copy_is_no_part_of_the_first():
    network = blocks()
    recompute_blocks(network)
    other = copy.deepcopy(network)
    torch.nn.init.zeros_(other[1][1].norm.weight)
    answer = other(torch.randn(2, 3, 6, 6))
    assert torch.equal(answer, other[2].bias[:, None, None].expand_as(answer))
    assert [block.calls for block in network[1]] == [0, 0]


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("unet", "resnet18"), ("deeplabv3plus", "tu-convnext_atto"), ("segformer", "mit_b0"), ("fpn", "efficientnet-b0")],
)
def test_networks_of_the_library_come_to_the_same_bits(architecture, encoder):
    torch.manual_seed(0)
    network = Smp(architecture=architecture, encoder=encoder).build(bands=3, classes=2)
    plain, image = copy.deepcopy(network), torch.randn(2, 3, 64, 64)
    network.checkpoint_gradients()
    assert sum(isinstance(module, RecomputedBlock) for module in network.modules()) > 3
    assert_same(trained(plain, image), trained(network, image))


def test_what_is_kept_for_the_backward_pass_shrinks():
    def kept(network: Network) -> int:
        sizes = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            answer = network(torch.randn(2, 3, 64, 64))
        assert answer.logits.requires_grad
        return sum(sizes.values()) - sum(value.nbytes for value in network.state_dict().values())

    network = Smp(architecture="unet", encoder="resnet18").build(bands=3, classes=2)
    before = kept(network)
    network.checkpoint_gradients()
    assert kept(network) < 0.6 * before


def test_the_matrices_of_the_classifier_are_named():
    network = Smp(architecture="unet", encoder="resnet18").build(bands=3, classes=2)
    assert network.plain_parameters() == {"model.segmentation_head.0.weight"}


def test_a_network_without_a_way_says_so():
    with pytest.raises(ModelError, match=r"set train\.gradient_checkpointing: false"):
        Network().checkpoint_gradients()
