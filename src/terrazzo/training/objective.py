"""What one batch asks of a network: its forward pass and its loss, as one module."""

import random
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from terrazzo.losses import Loss
from terrazzo.machine import settle_compiler
from terrazzo.models.architecture import Cacheable, Network
from terrazzo.models.output import Output

__all__ = ["MEMORY_FORMAT", "Objective", "forward", "seed_step"]

MEMORY_FORMAT = torch.channels_last
"""Order of weights and images in memory: the one that convolutions are fastest in, in reduced precision above all."""
SIZES = 64
"""Sizes of batches, and numbers of steps of a network that draws them, that may be compiled."""


class Objective(torch.nn.Module):
    """A network and its loss.

    One module, so that processes that train together meet in one forward pass whatever records a network's `Output`
    holds.

    Args:
        network: Trained in place.
        loss: Of its answers.
        class_weights: Weight of each class in the loss; None for equal weights.
        compiled: Compile the network's part; its names and its own calls, as in evaluation, stay as they are.
    """

    class_weights: torch.Tensor | None

    def __init__(
        self,
        network: Network,
        loss: Loss,
        class_weights: Float[torch.Tensor, " class"] | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self._forward = compiled_forward() if compiled else forward
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(
        self,
        image: Float[torch.Tensor, "batch band y x"],
        target: Int64[torch.Tensor, "batch y x"],
        ignored: Bool[torch.Tensor, "batch y x"],
        features: tuple[torch.Tensor, ...] = (),
    ) -> Float[torch.Tensor, ""]:
        """Return the mean loss of a batch, computed in float32 whatever the network computes in.

        Args:
            image: Normalised values.
            target: Class of each pixel.
            ignored: Where the loss looks away.
            features: Cached, of a frozen backbone; none where the network computes its own.
        """
        output = self._forward(self.network, image, features)
        with torch.autocast(image.device.type, enabled=False):
            loss: torch.Tensor = self.loss(output, target, ignored, self.class_weights)
            return loss


def forward(
    network: Network, image: Float[torch.Tensor, "batch band y x"], features: tuple[torch.Tensor, ...] = ()
) -> Output:
    """Return a network's answer, from cached features of exactly this image where there are some.

    Features come to the network in the image's type and in the house's order in memory, whatever they are kept in.
    """
    image = image.contiguous(memory_format=MEMORY_FORMAT)
    if not features:
        output: Output = network(image)
        return output
    if not isinstance(network, Cacheable):
        raise TypeError(f"{type(network).__name__} has no use for cached features")
    widened = [maps.to(image.dtype).contiguous(memory_format=MEMORY_FORMAT) for maps in features]
    return network.decode(image, widened)


def compiled_forward() -> Callable[[Network, torch.Tensor, tuple[torch.Tensor, ...]], Output]:
    """Return `forward`, compiled anew for each size of a batch.

    Sizes are never generalised, and none is left uncompiled: which code computes a batch must not depend on the batches
    before it, or a run taken up again would end with other bits.
    """
    settle_compiler()
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SIZES)  # noqa: SLF001 - no other way
    compiled: Callable[[Network, torch.Tensor, tuple[torch.Tensor, ...]], Output] = torch.compile(
        forward, dynamic=False
    )
    return compiled


def seed_step(seed: int, step: int, *, part: int = 0, rank: int = 0) -> None:
    """Seed every global generator for one batch: dropout and the like are functions of these numbers alone.

    Args:
        seed: Of the run.
        step: Update.
        part: Batch within the update.
        rank: Process.
    """
    mixed = int(np.random.SeedSequence([seed, step, part, rank]).generate_state(1, np.uint64)[0])
    torch.manual_seed(mixed & (2**63 - 1))
    random.seed(mixed)
    # Networks of plug-ins may draw from NumPy's global generator; ours do not.
    np.random.seed(mixed & (2**32 - 1))  # noqa: NPY002
