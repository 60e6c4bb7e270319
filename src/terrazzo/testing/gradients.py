"""Gradients of all that a network answers, and what is asked of them."""

import copy
from collections.abc import Mapping

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Network
from terrazzo.models.output import Output
from terrazzo.record import Component
from terrazzo.testing.answers import tensors
from terrazzo.testing.verdict import require

__all__ = ["check_checkpointing", "check_gradients", "gradients", "objective"]

Gradients = Mapping[str, torch.Tensor | None]


def objective(output: Output) -> Float[torch.Tensor, ""]:
    """Return a loss that reads everything: logits and every tensor of every auxiliary record.

    Squared, so that no norm's constraint on its sum hides a gradient.
    """
    return torch.stack([one.float().square().mean() for one in tensors(output)]).sum()


def gradients(network: Network, images: Float[torch.Tensor, "batch band y x"]) -> tuple[Output, Gradients]:
    """Return a training answer and the gradient of all of it, under each trainable parameter's name.

    Args:
        network: Put into training mode; its earlier gradients are dropped.
        images: One batch.
    """
    network.train()
    network.zero_grad(set_to_none=True)
    torch.manual_seed(0)
    output: Output = network(images)
    torch.autograd.backward(objective(output))
    return output, {name: one.grad for name, one in network.named_parameters() if one.requires_grad}


def check_gradients(record: Component, found: Gradients, size: tuple[int, int]) -> None:
    """Hold gradients to reach every trainable parameter, finite, and not all zero.

    Args:
        record: The component under test.
        found: Of `gradients`.
        size: Height and width of the image.

    Raises:
        AssertionError: A promise is broken.
    """
    missing = [name for name, gradient in found.items() if gradient is None]
    require(not missing, record, f"no gradient reaches {len(missing)} trainable parameters, such as {missing[:3]}")
    wild = [name for name, one in found.items() if one is not None and not one.isfinite().all()]
    require(not wild, record, f"the gradient of {wild[:3]} is not finite for one image of {size}")
    moved = any(one is not None and bool(one.any()) for one in found.values())
    require(moved, record, "all gradients are zero")


def check_checkpointing(record: Component, network: Network, images: Float[torch.Tensor, "batch band y x"]) -> None:
    """Hold activations that are computed again to the same gradients and running statistics.

    A network that refuses, by a ModelError, has nothing to be held to.

    Args:
        record: The component under test.
        network: Left as it was.
        images: One batch.

    Raises:
        AssertionError: A promise is broken.
    """
    plain, again = copy.deepcopy(network), copy.deepcopy(network)
    try:
        again.checkpoint_gradients()
    except ModelError:
        return
    _, kept = gradients(plain, images)
    _, computed = gradients(again, images)
    for name, one in kept.items():
        other = computed.get(name)
        same = (one is None and other is None) or (
            one is not None and other is not None and torch.allclose(one, other, rtol=1e-4, atol=1e-6)
        )
        require(same, record, f"checkpointed activations give {name} another gradient")
    moved = [name for name, value in plain.state_dict().items() if not torch.equal(value, again.state_dict()[name])]
    require(not moved, record, f"checkpointed activations leave {moved[:3]} otherwise than kept ones")
