"""What a network promises to those who deploy it: torch.export gives a program that answers alike."""

import torch
from jaxtyping import Float

from terrazzo.models.architecture import Network
from terrazzo.record import Component
from terrazzo.testing.outputs import near
from terrazzo.testing.verdict import require

__all__ = ["LogitsOnly", "check_export"]


class LogitsOnly(torch.nn.Module):
    """A network that returns its logits alone: exported programs know tensors, not our records.

    Args:
        network: Asked.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Float[torch.Tensor, "batch class y x"]:
        """Return the network's logits."""
        logits: torch.Tensor = self.network(image).logits
        return logits


def check_export(record: Component, network: Network, images: Float[torch.Tensor, "batch band y x"]) -> None:
    """Export a network, in evaluation mode and for the images' size, and hold the program to its answers.

    Args:
        record: The component under test.
        network: Put into evaluation mode.
        images: One batch.

    Raises:
        AssertionError: It cannot be exported, or answers otherwise.
    """
    whole = LogitsOnly(network).eval()
    with torch.no_grad():
        exact = whole(images)
        try:
            program = torch.export.export(whole, (images,), strict=False)
        except (RuntimeError, TypeError, ValueError) as error:
            raise AssertionError(f"{type(record).__name__}: torch.export must take it: {error}") from error
        require(near(program.module()(images), exact), record, "the exported program must answer like the network")
