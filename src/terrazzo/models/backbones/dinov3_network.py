"""A DINOv3 network inside Terrazzo: what is trained of it, the mode it stays in, and how weights get into it."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field

from terrazzo.errors import ModelError
from terrazzo.models.backbones.backbone import BackboneNetwork, FeatureLayout
from terrazzo.models.external import ExternalWeights
from terrazzo.models.weight_files import read_tensors, weights_sha256
from terrazzo.models.weight_source import WeightSource

__all__ = ["LICENCE", "DinoV3Network", "Unfreeze"]

Unfreeze = bool | Annotated[int, Field(ge=1)]
LICENCE = "DINOv3 License (19 August 2025): weights and derivatives only under the same terms, with a copy of them"
LOG = logging.getLogger(__name__)


class DinoV3Network(BackboneNetwork):
    """A DINOv3 network that answers maps.

    Args:
        model: transformers' own.
        layout: What it answers.
        taps: After which blocks, 0-based.
        channels: Positions of red, green and blue among the image's bands.
        unfreeze: What is trained.
    """

    layout: FeatureLayout

    def __init__(
        self,
        model: torch.nn.Module,
        layout: FeatureLayout,
        *,
        taps: Sequence[int],
        channels: Sequence[int],
        unfreeze: Unfreeze,
    ) -> None:
        super().__init__()
        self.model = model
        self.layout = layout
        self.taps = tuple(taps)
        self._channels = list(channels)
        self._unfreeze = unfreeze
        self._recomputes = False
        self._freeze()

    @property
    def frozen(self) -> bool:
        """Whether nothing of it is trained."""
        return self._unfreeze is False

    def train(self, mode: bool = True) -> "DinoV3Network":
        """Stay in evaluation mode: in training mode the library rescales positions at random.

        Nothing else differs between the modes, since no released size drops anything, so that an unfrozen backbone
        is trained in it too.
        """
        del mode
        return super().train(False)

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the maps, each after the network's final norm where that fits it.

        Args:
            image: Normalised values; height and width are multiples of `layout.multiple`. Of more bands than three,
                only those that stand for red, green and blue are seen.
        """
        # Slices, not a list of positions: that would have to be sent to the device each time.
        pixels = torch.stack([image[:, channel] for channel in self._channels], dim=1)
        if not self.frozen:
            return self._maps(pixels)
        with torch.no_grad():
            return self._maps(pixels)

    def load_external(self, path: Path) -> None:
        """Read the weights from a file or folder in Hugging Face's layout.

        Raises:
            ModelError: There are none, or they are of another network.
        """
        self._read(WeightSource.of(path, licence=LICENCE))

    def checkpoint_gradients(self) -> None:
        """Compute activations again in the backward pass.

        Raises:
            ModelError: Nothing is trained, so nothing is kept anyway.
        """
        if self.frozen:
            raise ModelError(
                "A frozen backbone keeps no activations to save memory on; set train.gradient_checkpointing: false."
            )
        self._recomputes = True

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of trained embeddings, which are no hidden layers."""
        trained = ((name, one) for name, one in self.named_parameters() if one.requires_grad and one.ndim > 1)
        return frozenset(name for name, _ in trained if "embeddings." in name)

    @abstractmethod
    def blocks(self) -> list[torch.nn.Module]:
        """Return the parts that `taps` and `unfreeze` count, first to last."""

    @abstractmethod
    def _maps(self, pixels: Float[torch.Tensor, "batch 3 y x"]) -> tuple[torch.Tensor, ...]:
        """Run the blocks up to the last tap."""

    @abstractmethod
    def _norm(self) -> torch.nn.Module | None:
        """Return the norm that taps pass through; None where none of them does."""

    @abstractmethod
    def _stem(self) -> torch.nn.Module | None:
        """Return what comes before the first block; None where that is part of it."""

    def _rebuild_buffers(self) -> None:
        """Compute anew what the weights do not hold."""

    def _freeze(self) -> None:
        """Let gradients reach what is trained, and nothing else."""
        self.requires_grad_(False)
        self.train()
        if self._unfreeze is False:
            return
        run = self.blocks()[: self.taps[-1] + 1]
        if self._unfreeze is not True and self._unfreeze > len(run):
            raise ModelError(
                f"unfreeze: {self._unfreeze} blocks are asked for, but only {len(run)} come before the last tap; "
                "give fewer, or true for all."
            )
        first = 0 if self._unfreeze is True else len(run) - self._unfreeze
        trained = [*run[first:], self._norm(), self._stem() if self._unfreeze is True else None]
        for part in trained:
            if part is not None:
                part.requires_grad_(True)
        for name, parameter in self.named_parameters():
            if name.endswith("mask_token"):
                # Stands for masked patches, which there are only in pre-training.
                parameter.requires_grad_(False)

    def _run(self, block: torch.nn.Module, hidden: torch.Tensor, **inputs: object) -> torch.Tensor:
        """Run one block; its activations are kept, or computed again."""
        if self._recomputes and torch.is_grad_enabled():
            from torch.utils.checkpoint import checkpoint

            again: torch.Tensor = checkpoint(partial(block, **inputs), hidden, use_reentrant=False)
            return again
        answered: torch.Tensor = block(hidden, **inputs)
        return answered

    def _read(self, source: WeightSource) -> None:
        """Put weights in whose names, with or without the library's newer prefix, are exactly the network's."""
        found = {name.removeprefix("model."): tensor for name, tensor in read_tensors(source.path).items()}
        wanted = {name.removeprefix("model."): name for name in self.model.state_dict()}
        missing, foreign = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        if missing or foreign:
            raise ModelError(
                f"weights: {source.path} is of another network or size: it lacks {len(missing)} tensors "
                f"({', '.join(missing[:2])}) and holds {len(foreign)} unknown ones ({', '.join(foreign[:2])})."
            )
        try:
            self.model.load_state_dict({wanted[name]: found[name] for name in found}, assign=True)
        except RuntimeError as error:
            raise ModelError(f"weights: {source.path} is of another network or size: {error}") from error
        self._rebuild_buffers()
        self._freeze()
        digest = weights_sha256(source.path)
        LOG.info("Read %s, revision %s, SHA-256 %s; %s.", source.identifier, source.revision, digest[:12], LICENCE)
        if self.frozen:
            self.external = ExternalWeights(source.identifier, source.revision, digest, "")
