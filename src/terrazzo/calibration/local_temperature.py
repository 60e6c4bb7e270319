"""A temperature for each pixel, from what lies around it in logits and image.

Source: Ding, Han, Liu and Niethammer, Local Temperature Scaling for Semantic Segmentation, ICCV 2021, section 3.3, and
    the authors' `uncbiag/LTS`, `LTS_CamVid_With_Image`.
Differs: The published code adds 1 to every branch and 1 to their mixture, so that it starts from temperature 2; here 1
    is added once. It starts all gates from 0, so that its four branches over the logits stay equal for ever; here gates
    start from small seeded noise, which leaves the first temperature at 1. It lets a temperature fall to 1e-8, where
    one pixel costs as much as all others together; here `LEAST` bounds it.
"""

import base64
import binascii
import functools
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64
from pydantic import Field, model_validator
from torch.nn.functional import conv2d

from terrazzo.record import Record

__all__ = ["BRANCHES", "LEAST", "SIDE", "SPACING", "LocalTemperature", "LocalWeights", "around", "mixed", "reflected"]

SIDE = 5
"""Side of every kernel."""
SPACING = 2
"""Pixels from one of its values to the next."""
BRANCHES = 4
"""Temperatures that are read from the logits; each has a gate beside it, the last one towards the image's."""
LEAST = 0.05
"""Lowest temperature."""
_REACH = SPACING * (SIDE // 2)
_MOST_CHANNELS = 1024


@dataclass(frozen=True)
class LocalWeights:
    """Kernels of a local temperature.

    Attributes:
        over_logits: Of the four temperatures, and then of the four gates.
        logits_bias: What is added to each.
        over_image: Of the temperature that is read from the image.
        image_bias: What is added to it.
    """

    over_logits: Float32[torch.Tensor, "eight class 5 5"]
    logits_bias: Float32[torch.Tensor, " eight"]
    over_image: Float32[torch.Tensor, "1 band 5 5"]
    image_bias: Float32[torch.Tensor, " 1"]

    def to(self, device: torch.device) -> "LocalWeights":
        """Return the same on a device."""
        return LocalWeights(
            self.over_logits.to(device),
            self.logits_bias.to(device),
            self.over_image.to(device),
            self.image_bias.to(device),
        )


class LocalTemperature(Record):
    """A temperature for each pixel of a window: a gated mixture of convolutions over logits and image."""

    name: Literal["local"] = "local"
    """Kind of temperature."""
    classes: Annotated[int, Field(ge=1, le=_MOST_CHANNELS)]
    """Classes of the logits."""
    bands: Annotated[int, Field(ge=1, le=_MOST_CHANNELS)]
    """Bands of the image."""
    weights: Annotated[str, Field(max_length=4 * (4 * _MOST_CHANNELS * 9 * SIDE * SIDE) // 3)]
    """Kernels and offsets over the logits, then over the image: base64 of little-endian 32-bit numbers."""

    @model_validator(mode="after")
    def _weights_fit(self) -> "LocalTemperature":
        try:
            content = base64.b64decode(self.weights, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"the weights are no base64: {error}") from error
        wanted = 4 * sum(int(np.prod(shape)) for shape in _shapes(self.classes, self.bands))
        if len(content) != wanted:
            raise ValueError(
                f"{self.classes} classes and {self.bands} bands need {wanted} bytes of weights, not {len(content)}"
            )
        if not np.isfinite(np.frombuffer(content, dtype="<f4")).all():
            raise ValueError("a weight is not a finite number")
        return self

    @classmethod
    def of(cls, weights: LocalWeights) -> "LocalTemperature":
        """Return the record of fitted weights."""
        parts = (weights.over_logits, weights.logits_bias, weights.over_image, weights.image_bias)
        content = b"".join(part.detach().cpu().contiguous().numpy().astype("<f4").tobytes() for part in parts)
        return cls(
            classes=weights.over_logits.shape[1],
            bands=weights.over_image.shape[1],
            weights=base64.b64encode(content).decode("ascii"),
        )

    def network(self, device: torch.device) -> LocalWeights:
        """Return the kernels on a device; the same ones each time."""
        return _on_device(self.weights, self.classes, self.bands, str(device))

    def temperatures(
        self, logits: Float[torch.Tensor, "batch class y x"], image: Float[torch.Tensor, "batch band y x"]
    ) -> Float32[torch.Tensor, "batch y x"]:
        """Return each pixel's temperature, at least `LEAST`.

        Window by window, so that the bits of one do not depend on those beside it.

        Args:
            logits: Of windows.
            image: What the network saw.
        """
        weights = self.network(logits.device)
        with torch.autocast(logits.device.type, enabled=False):
            return torch.stack(
                [_of_window(weights, one.float(), seen.float()) for one, seen in zip(logits, image, strict=True)]
            )

    def __call__(
        self,
        logits: Float[torch.Tensor, "batch class y x"],
        image: Float[torch.Tensor, "batch band y x"],
        steps: Int[torch.Tensor, "batch _rows _columns"] | None,
    ) -> Float32[torch.Tensor, "batch class y x"]:
        """Return logits of the calibrated probabilities.

        Args:
            logits: Of windows, as the network answered them.
            image: What it saw.
            steps: Makes no difference.
        """
        return logits.float() / self.temperatures(logits, image)[:, None]


def mixed(
    answers: Float[torch.Tensor, "eight *pixel"], from_image: Float[torch.Tensor, " *pixel"]
) -> Float[torch.Tensor, " *pixel"]:
    """Return temperatures from what the convolutions answered.

    Two and two temperatures meet at a gate, then both pairs, then these and the image's.

    Args:
        answers: Of the four temperatures over the logits, each less 1, and of the four gates.
        from_image: Of the temperature over the image, less 1.
    """
    first, second, third, fourth = answers[:BRANCHES]
    upper, lower, between, towards = answers[BRANCHES:].sigmoid()
    pairs = torch.lerp(second, first, upper), torch.lerp(fourth, third, lower)
    mixture = torch.lerp(from_image, torch.lerp(pairs[1], pairs[0], between), towards)
    return (mixture + (1 - LEAST)).relu() + LEAST


def around(positions: Int64[torch.Tensor, " pixel"], length: int) -> Int64[torch.Tensor, "pixel five"]:
    """Return along one axis which pixels a kernel reads around each; beyond the edge stands the mirror image.

    The edge pixel itself is not repeated; where the reflection is used up, its last pixel goes on.

    >>> around(torch.tensor([0, 3]), 9).tolist()
    [[4, 2, 0, 2, 4], [1, 1, 3, 5, 7]]
    """
    offsets = torch.arange(-_REACH, _REACH + 1, SPACING, device=positions.device)
    return reflected(positions[:, None] + offsets, length)


def reflected(positions: Int64[torch.Tensor, "..."], length: int) -> Int64[torch.Tensor, "..."]:
    """Return which pixels stand at positions along one axis that may lie beyond its ends."""
    before_end = positions.abs().clamp_max(length - 1)
    after_end = (2 * (length - 1) - positions).clamp_min(0)
    return torch.where(positions < length, before_end, after_end)


def _of_window(
    weights: LocalWeights, logits: Float32[torch.Tensor, "class y x"], image: Float32[torch.Tensor, "band y x"]
) -> Float32[torch.Tensor, "y x"]:
    height, width = logits.shape[-2:]
    rows, columns = (
        reflected(torch.arange(-_REACH, length + _REACH, device=logits.device), length) for length in (height, width)
    )
    answers, from_image = (
        conv2d(values.contiguous()[:, rows][:, :, columns][None], kernels, bias, dilation=SPACING)[0]
        for values, kernels, bias in (
            (logits, weights.over_logits, weights.logits_bias),
            (image, weights.over_image, weights.image_bias),
        )
    )
    return mixed(answers, from_image[0])


def _shapes(classes: int, bands: int) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of the parts in their order."""
    return (2 * BRANCHES, classes, SIDE, SIDE), (2 * BRANCHES,), (1, bands, SIDE, SIDE), (1,)


@functools.lru_cache(maxsize=8)
def _on_device(weights: str, classes: int, bands: int, device: str) -> LocalWeights:
    content = np.frombuffer(base64.b64decode(weights), dtype="<f4").astype(np.float32)
    shapes = _shapes(classes, bands)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    with torch.inference_mode(False):
        parts = [
            torch.from_numpy(part.copy()).reshape(shape)
            for part, shape in zip(np.split(content, ends), shapes, strict=True)
        ]
        return LocalWeights(*parts).to(torch.device(device))
