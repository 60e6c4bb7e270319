"""The refiner of DeepGlobe-TRM as it was published, for those who know its figures; `trm` is the one to use."""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pydantic import Field

from terrazzo.models.architecture import Network
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.refiner.network import RefinerNetwork, RefinerState
from terrazzo.models.refiner.settings import Refiner

__all__ = ["TrmDeepglobe", "TrmDeepglobeNetwork"]

_REACH = 2
"""Cells to each side that a step sees: two depthwise 3 x 3."""


class TrmDeepglobe(Refiner):
    """One state, refined at full resolution by separable convolutions: 67,181 parameters with 6 classes.

    It is no tiny recursive model: one state only, the image is seen in the first step alone, the receptive field is
    5 + 4 t pixels after t steps, and all steps share the statistics of their batch norms.

    Source: DeepGlobe-TRM (layer list, 67,181 parameters, 2.529 GMAC of the encoder and 1.549 a step at 256 x 256).
    Differs: Steps really stop; the halting head begins at a bias of -5 (cells: -3) with weight 0; its training targets
        are ours. Where the published description is silent (biases, first logits 0), the parameter count decides.
    """

    name: Literal["trm_deepglobe"] = "trm_deepglobe"
    """The published net of DeepGlobe-TRM."""
    width: Annotated[int, Field(ge=4)] = 64
    """Channels of the features."""

    def build(self, *, bands: int, classes: int) -> Network:
        """Return a freshly initialised network."""
        return TrmDeepglobeNetwork(self, bands, classes)


class TrmDeepglobeNetwork(RefinerNetwork):
    """A built net of DeepGlobe-TRM.

    Args:
        settings: Of the refiner.
        bands: Input channels.
        classes: Output channels.
    """

    def __init__(self, settings: TrmDeepglobe, bands: int, classes: int) -> None:
        width = settings.width
        head = Halting(width, per_cell=settings.pixel_act) if settings.act else None
        super().__init__(settings, stride=1, halting=head, reach=_REACH)
        self.classes = classes
        seen = width + classes
        self.encoder = torch.nn.Sequential(*_dense(bands, width), *_dense(width, width))
        self.refine = torch.nn.Sequential(*_separable(seen), torch.nn.Conv2d(seen, width, 1), *_separable(width))
        self.shortcut = torch.nn.Conv2d(seen, width, 1)
        self.difference = torch.nn.Conv2d(width, classes, 1)
        self.onward = torch.nn.Conv2d(width, width, 1)
        # One step hands nothing on, and processes that train together wait for every gradient.
        self.onward.requires_grad_(settings.t_max > 1)
        allow_single_values(self)

    def start(self, image: Float[torch.Tensor, "batch band y x"]) -> RefinerState:
        """Encode the image; all classes begin equally likely."""
        features = self.encoder(image)
        height, width = image.shape[-2:]
        logits = torch.zeros((image.shape[0], self.classes, height, width), device=image.device)
        change = torch.zeros((image.shape[0], height, width), device=image.device)
        return RefinerState((), (features, torch.zeros_like(features)), logits, change, None, height, width)

    def refined(
        self, state: RefinerState
    ) -> tuple[tuple[Float[torch.Tensor, "batch _ y x"], ...], Float[torch.Tensor, "batch class y x"]]:
        """Return (next features, hidden map) and the running logits after one more step."""
        features = state.moving[0]
        seen = torch.cat([features, state.logits.softmax(dim=1).to(features.dtype)], dim=1)
        hidden = self.refine(seen) + self.shortcut(seen)
        return (self.onward(hidden), hidden), state.logits + self.difference(hidden)

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of what makes logits, and of the halting head."""
        return frozenset(name for name, _ in self.named_parameters() if name.startswith(("difference.", "halting.")))


class Halting(torch.nn.Module):
    """The published halting head, a hidden layer over the mean of the hidden map; per cell, the same without the mean.

    Args:
        width: Channels of the hidden map.
        per_cell: Whether each cell gets a logit.
    """

    def __init__(self, width: int, *, per_cell: bool) -> None:
        super().__init__()
        self.per_cell = per_cell
        self.hidden = torch.nn.Linear(width, width)
        self.last = torch.nn.Linear(width, 1)
        torch.nn.init.zeros_(self.last.weight)
        torch.nn.init.constant_(self.last.bias, -3.0 if per_cell else -5.0)

    def forward(
        self,
        state: Float[torch.Tensor, "batch channel y x"],
        logits: Float[torch.Tensor, "batch class y x"],
        change: Float[torch.Tensor, "batch y x"],
    ) -> Float[torch.Tensor, "batch *_"]:
        """Return the logit of the probability that a tile, or each cell, is done; only the hidden map is read."""
        seen = state.float().movedim(1, -1) if self.per_cell else state.float().mean(dim=(2, 3))
        logit: torch.Tensor = self.last(torch.nn.functional.silu(self.hidden(seen)))
        return logit[..., 0]


def _dense(inside: int, outside: int) -> list[torch.nn.Module]:
    convolution = torch.nn.Conv2d(inside, outside, 3, padding=1, bias=False)
    return [convolution, torch.nn.BatchNorm2d(outside), torch.nn.SiLU()]


def _separable(channels: int) -> list[torch.nn.Module]:
    """A depthwise 3 x 3, a 1 x 1, batch norm and SiLU."""
    return [
        torch.nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        torch.nn.Conv2d(channels, channels, 1, bias=False),
        torch.nn.BatchNorm2d(channels),
        torch.nn.SiLU(),
    ]
