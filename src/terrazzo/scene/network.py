"""A bundle's network made ready for mapping: batch norms taken in, weights reduced, laid out, compiled, recorded."""

import threading

import torch
from jaxtyping import Float

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.machine import settle_compiler
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.ensemble import EnsembleNetwork
from terrazzo.models.fusing import fuse_batch_norms
from terrazzo.models.onnx_graph import OnnxNetwork
from terrazzo.models.output import Output, Steps
from terrazzo.scene.header import Decisions
from terrazzo.scene.precision import DTYPES, reduce_weights
from terrazzo.scene.recorded import RecordedNetwork, logits_of

__all__ = ["CompiledNetwork", "fused_network", "prepared_network"]

PROBE = 64
"""Side in pixels of the image that shows which batch norms follow a convolution."""


def fused_network(bundle: Bundle, *, fuse: bool) -> Network:
    """Return the bundle's network in float32 on the processor.

    Args:
        bundle: The network and what it was trained for.
        fuse: Whether batch norms are taken into the convolutions before them.

    Raises:
        ModelError: The network cannot be built.
        BundleError: The weights do not fit it.
    """
    network = bundle.network()
    if fuse:
        # On the processor and in full precision, so that every device gets the same weights.
        fuse_batch_norms(network, _image(bundle))
    return network


def prepared_network(bundle: Bundle, decisions: Decisions, *, fuse: bool, network: Network | None = None) -> Network:
    """Return the network as it computes windows.

    Args:
        bundle: The network and what it was trained for.
        decisions: Device, precision, compilation and recording.
        fuse: Whether batch norms are taken into the convolutions before them.
        network: What `fused_network` returned, to be changed in place, or what this did; made anew if None.

    Raises:
        ModelError: The network cannot be built, or not be compiled or recorded though that was decided.
        BundleError: The weights do not fit it.
    """
    network = fused_network(bundle, fuse=fuse) if network is None else network
    if isinstance(network, (CompiledNetwork, RecordedNetwork)):
        return network
    # Convolutions are fastest with the bands innermost.
    network = network.to(decisions.device).to(memory_format=torch.channels_last)
    if decisions.precision != "float32":
        dtype, image = DTYPES[decisions.precision], _image(bundle).to(decisions.device)
        reduce_weights(network, dtype, lambda: _answers(network, image, dtype))
    if decisions.compiled:
        return CompiledNetwork(network)
    return RecordedNetwork(network) if decisions.recorded else network


class CompiledNetwork(Network):
    """A network whose logits torch has compiled, for images of one shape.

    Args:
        network: In evaluation mode, on its device.

    Raises:
        ModelError: It answers in steps, so its batches change their size all the time; or it is an ensemble.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        # Slow to import, and seldom needed.
        from torch._dynamo.exc import TorchDynamoException
        from torch._inductor.exc import InductorError

        if isinstance(network, Adaptive):
            raise ModelError(f"{type(network).__name__} answers in steps and cannot be compiled; its batches change.")
        if isinstance(network, OnnxNetwork):
            raise ModelError("An ONNX graph is not compiled: ONNX Runtime prepares it itself.")
        if isinstance(network, EnsembleNetwork):
            raise ModelError(
                "An ensemble is not compiled: it answers more than logits, and its members may stop early."
            )

        settle_compiler()
        self._logits = torch.compile(logits_of(network), dynamic=False)
        self._first = threading.Lock()
        self._ready = False
        self._failures = (TorchDynamoException, InductorError)

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits; the first call compiles.

        Raises:
            ModelError: The network cannot be compiled here.
        """
        if self._ready:
            return Output(self._logits(image))
        # Threads that compile the same at once get into each other's way.
        with self._first:
            try:
                output = Output(self._logits(image))
            except self._failures as error:
                reason = str(error).strip().partition("\n")[0].rstrip(".")
                raise ModelError(
                    f"The network cannot be compiled here: {reason}. Set predict.compile=false."
                ) from error
            self._ready = True
            return output


def _image(bundle: Bundle) -> Float[torch.Tensor, "1 band y x"]:
    return torch.randn((1, len(bundle.bands), PROBE, PROBE), generator=torch.Generator().manual_seed(0))


def _answers(
    network: Network, image: Float[torch.Tensor, "batch band y x"], dtype: torch.dtype
) -> tuple[torch.Tensor, ...]:
    """Return all that counts of what the network answers under autocast."""
    with torch.inference_mode(), torch.autocast(image.device.type, dtype=dtype):
        output = network(image.contiguous(memory_format=torch.channels_last))
    steps = output.find(Steps)
    return (output.logits,) if steps is None else (output.logits, *steps.logits, *steps.halting)
