"""A network whose passes are recorded as CUDA graphs: on little work, launching kernels takes longer than they do.

Source: PyTorch, "CUDA semantics", section "CUDA Graphs".
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Adaptive, Network
from terrazzo.models.ensemble import EnsembleNetwork
from terrazzo.models.onnx_graph import OnnxNetwork
from terrazzo.models.output import Output

__all__ = ["RecordedNetwork", "Recording", "logits_of", "record_on_gpu"]

# Passes before one is recorded: libraries set up their workspaces and choose their kernels in the first ones.
_WARMING_PASSES = 3
# Each recording keeps the memory of a pass; images of further shapes are answered without one.
_MOST_RECORDINGS = 8


@dataclass(frozen=True)
class Recording:
    """A pass that can be run again on other values.

    Attributes:
        image: Where the pass reads: what is to be seen is copied there.
        logits: Where it writes.
        replay: Runs it again on the current stream.
    """

    image: torch.Tensor
    logits: torch.Tensor
    replay: Callable[[], None]


Record = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], Recording]


def record_on_gpu(answer: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor) -> Recording:
    """Record a pass as a CUDA graph.

    Args:
        answer: The pass; must not wait for the device, nor read values back from it.
        image: An example; later ones have its shape and layout.

    Raises:
        RuntimeError: Something in the pass cannot be recorded.
    """
    own = image.clone()
    stream = torch.cuda.Stream(image.device)  # type: ignore[no-untyped-call] # as torch has it
    stream.wait_stream(torch.cuda.current_stream(image.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARMING_PASSES):
            answer(own)
    torch.cuda.current_stream(image.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    # Other threads may go on with what they do on the device meanwhile.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        logits = answer(own)
    return Recording(own, logits, graph.replay)


class RecordedNetwork(Network):
    """A network whose logits are recorded once for each shape of images, and replayed after that.

    The kernels are those of the network itself, in its order, so that the bits are its own.

    Args:
        network: In evaluation mode, on its device.
        record: Records a pass.

    Raises:
        ModelError: Its passes differ from batch to batch, or it answers more than logits.
    """

    def __init__(self, network: Network, *, record: Record = record_on_gpu) -> None:
        super().__init__()
        if isinstance(network, (Adaptive, EnsembleNetwork, OnnxNetwork)):
            raise ModelError(f"Passes of {type(network).__name__} differ from batch to batch and cannot be recorded.")
        # Not a child: this network has no weights of its own.
        self._answer = logits_of(network)
        self._record = record
        self._recordings: dict[torch.Size, Recording] = {}
        self._lock = threading.Lock()

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits; the first image of a shape is recorded.

        Raises:
            ModelError: The network cannot be recorded here.
        """
        # A recording reads and writes in one place: one image at a time, in the order of the stream.
        with self._lock:
            recording = self._recordings.get(image.shape)
            if recording is None and len(self._recordings) == _MOST_RECORDINGS:
                return Output(self._answer(image))
            if recording is None:
                recording = self._recordings[image.shape] = self._recorded(image)
            recording.image.copy_(image)
            recording.replay()
            return Output(recording.logits.clone())

    def _recorded(self, image: Float[torch.Tensor, "batch band y x"]) -> Recording:
        kind = image.device.type
        try:
            # Weights that autocast has brought to another type must not outlive the recording that reads them.
            with torch.autocast(
                kind,
                dtype=torch.get_autocast_dtype(kind),
                enabled=torch.is_autocast_enabled(kind),
                cache_enabled=False,
            ):
                return self._record(self._answer, image)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise ModelError(
                f"The network cannot be recorded as a CUDA graph: {reason}. Set predict.cuda_graphs=false."
            ) from error


def logits_of(network: Network) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what answers a network's logits alone.

    Args:
        network: Of which nothing else is wanted.
    """

    def logits(image: torch.Tensor) -> torch.Tensor:
        output: Output = network(image)
        return output.logits

    return logits
