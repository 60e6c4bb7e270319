"""The network on one batch of windows: device, precision, resize and margin."""

import time

import torch

from terrazzo.bundle import Bundle
from terrazzo.errors import ModelError
from terrazzo.machine import Execution
from terrazzo.models.fusing import fuse_batch_norms
from terrazzo.scene.reader import WindowGroup
from terrazzo.scene.settings import Blend
from terrazzo.scene.work import WindowScores

__all__ = ["WindowForward"]

PROBE = 64
"""Side in pixels of the image that shows which batch norms follow a convolution."""


class WindowForward:
    """A bundle's network, ready to answer batches of windows.

    Args:
        bundle: The network and what it was trained for.
        execution: Device and precision.
        blend: Whether the answers are probabilities or logits.
        margin: Context around each window, cropped from the answer.
        fuse: Whether batch norms are taken into the convolutions before them.
    """

    def __init__(self, bundle: Bundle, execution: Execution, *, blend: Blend, margin: int, fuse: bool = True) -> None:
        self.device = torch.device(execution.device)
        self.classes = len(bundle.classes)
        self._name = bundle.architecture.name
        self._execution = execution
        self._resize = bundle.resize
        self._blend = blend
        self._margin = margin
        self.lanes = 1
        network = bundle.network()
        if fuse:
            # On the processor and in full precision, so that every device gets the same weights.
            generator = torch.Generator().manual_seed(0)
            fuse_batch_norms(network, torch.randn((1, len(bundle.bands), PROBE, PROBE), generator=generator))
        # Convolutions are fastest with the bands innermost.
        self._network = network.to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, group: WindowGroup) -> WindowScores:
        """Return each window's probabilities, or logits, on the device, without the margin.

        Raises:
            ModelError: The network answered another shape than its contract says.
        """
        begun = time.monotonic()
        image = group.image.to(self.device, non_blocking=True)
        size = image.shape[-2:]
        if self._resize is not None:
            image, _ = self._resize.forward(image, group.valid.to(self.device))
        image = image.contiguous(memory_format=torch.channels_last)
        reduced = self._execution.precision != "float32"
        with torch.autocast(self.device.type, dtype=self._execution.dtype, enabled=reduced):
            logits: torch.Tensor = self._network(image).logits
        # Softmax and blending in full precision: seams show what is rounded here. One plane a class is their layout.
        logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
        expected = (len(image), self.classes, *image.shape[-2:])
        if tuple(logits.shape) != expected:
            raise ModelError(f"{self._name} answered logits of shape {tuple(logits.shape)} instead of {expected}.")
        if self._resize is not None:
            logits = self._resize.undo(logits, (size[0], size[1]))
        if self._margin:
            logits = logits[..., self._margin : -self._margin, self._margin : -self._margin]
        scores = logits.softmax(dim=1) if self._blend == "probabilities" else logits
        return WindowScores(scores, steps=0.0, seconds=time.monotonic() - begun)
