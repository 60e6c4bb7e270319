"""The encoders of segmentation_models_pytorch and timm as backbones: chosen stages, without a decoder."""

from typing import Annotated, Any, Literal, cast

import torch
from jaxtyping import Float
from pydantic import Field, JsonValue, model_validator

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Pretraining
from terrazzo.models.backbones.backbone import Backbone, BackboneNetwork, FeatureLayout
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.pooling import make_pooling_repeatable
from terrazzo.models.smp import ENCODERS, check_encoder
from terrazzo.models.smp_weights import EncoderWeights, unfetched

__all__ = ["SmpBackbone", "SmpBackboneNetwork"]

_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, KeyError, IndexError, NotImplementedError)
"""How the library and timm say that parts do not fit together."""

Stage = Annotated[int, Field(ge=1, le=5)]


class SmpBackbone(Backbone):
    """An encoder of segmentation_models_pytorch or, with `tu-` before its name, of timm.

    >>> SmpBackbone(encoder="resnet18", taps=(2, 3)).taps
    (2, 3)
    """

    name: Literal["smp"] = "smp"
    """An encoder of segmentation_models_pytorch or timm."""
    encoder: Annotated[str, Field(examples=["resnet18", "mit_b0", "tu-convnext_tiny"])] = "resnet18"
    """Encoder: one of the library's own, or `tu-` and the name of a timm model."""
    weights: str | None = None
    """Weights to start from: a .safetensors file, a name such as `imagenet`, for a timm encoder its tag such as
    `a1_in1k`; a name is fetched when the network is built. By default random."""
    taps: Annotated[tuple[Stage, ...], Field(min_length=1)] = (2, 3, 4, 5)
    """Stages whose maps are answered, rising; stage s has stride 2^s. Stages behind the last are not built."""
    encoder_settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings of a timm encoder."""

    @model_validator(mode="after")
    def _fits(self) -> "SmpBackbone":
        if self.encoder not in ENCODERS:
            check_encoder(self.encoder)
        if self.weights is not None:
            EncoderWeights.of(self.encoder, self.weights)
        if list(self.taps) != sorted(set(self.taps)):
            raise ValueError(f"taps {list(self.taps)} must rise, each stage once, such as [2, 3, 4].")
        if self.encoder_settings and not self.encoder.startswith("tu-"):
            raise ValueError(
                f'encoder_settings are for timm encoders; "{self.encoder}" takes none. Choose a `tu-` encoder.'
            )
        return self

    def build(self, *, bands: int) -> BackboneNetwork:
        """Return the encoder, its weights loaded, what the taps do not depend on frozen.

        Raises:
            ModelError: The encoder cannot answer these stages, or the weights cannot be had.
        """
        weights = None if self.weights is None else EncoderWeights.of(self.encoder, self.weights)
        try:
            encoder = self._encoder(bands, weights)
            if weights is not None:
                weights.finish(encoder, bands)
            allow_single_values(encoder)
            make_pooling_repeatable(encoder)
            return self._probed(encoder, bands)
        except OSError as error:
            raise unfetched(self.encoder, self.weights, error) from error
        except ModelError:
            raise
        except _REFUSALS as error:
            raise self._refusal(str(error)) from error

    def without_pretraining(self) -> "SmpBackbone":
        """Return the same encoder that starts from random weights."""
        return self.model_copy(update={"weights": None})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return the mean and deviation that the weights expect; None from scratch, or where unknown.

        Raises:
            ModelError: They must be fetched and cannot be.
        """
        return None if self.weights is None else EncoderWeights.of(self.encoder, self.weights).pretraining(bands)

    def _encoder(self, bands: int, weights: EncoderWeights | None) -> torch.nn.Module:
        """Return the library's encoder, a transformer free to take any size where it can be."""
        from segmentation_models_pytorch.encoders import get_encoder

        wanted: dict[str, Any] = {"encoder_name": self.encoder, "encoder_weights": None}
        wanted |= {} if weights is None else weights.arguments()
        settings: dict[str, Any] = {
            "name": wanted.pop("encoder_name"),
            "weights": wanted.pop("encoder_weights"),
            "in_channels": bands,
            "depth": max(self.taps),
            **wanted,
        }
        if not self.encoder.startswith("tu-"):
            return cast("torch.nn.Module", get_encoder(**settings))
        try:
            return cast(
                "torch.nn.Module", get_encoder(**settings, **{"dynamic_img_size": True, **self.encoder_settings})
            )
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
        return cast("torch.nn.Module", get_encoder(**settings, **self.encoder_settings))

    def _probed(self, encoder: torch.nn.Module, bands: int) -> "SmpBackboneNetwork":
        """Run one image through, see that the maps are what the stages say, freeze what they do not depend on."""
        channels: list[int] = cast("Any", encoder).out_channels
        strides = tuple(2**tap for tap in self.taps)
        empty = [tap for tap in self.taps if tap >= len(channels) or channels[tap] == 0]
        if empty:
            raise self._refusal(f"it has no map at stage {empty[0]}")
        multiple = max(int(cast("Any", encoder).output_stride), strides[-1])
        layout = FeatureLayout(tuple(channels[tap] for tap in self.taps), strides, multiple)
        network = SmpBackboneNetwork(encoder, self.taps, layout)
        network.eval()
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        size = (multiple, 2 * multiple)
        with torch.inference_mode(False), torch.enable_grad():
            maps = network(torch.zeros(1, bands, *size))
            total = torch.stack([one.sum() for one in maps]).sum()
            gradients = torch.autograd.grad(total, parameters, allow_unused=True)
        for one, count, stride in zip(maps, layout.channels, strides, strict=True):
            expected = (1, count, size[0] // stride, size[1] // stride)
            if tuple(one.shape) != expected:
                raise self._refusal(f"a map is {tuple(one.shape)} where {expected} was expected")
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(gradient is not None)
        network.train()
        return network

    def _refusal(self, reason: str) -> ModelError:
        return ModelError(
            f"Encoder {self.encoder} with encoder_settings {self.encoder_settings} and weights {self.weights} cannot "
            f"answer the stages {list(self.taps)}: {reason}. Choose another encoder or other taps; an encoder must "
            "take images of any size."
        )


class SmpBackboneNetwork(BackboneNetwork):
    """An encoder of the library that answers chosen stages.

    Args:
        encoder: The library's.
        taps: Stages to answer.
        layout: Of their maps.
    """

    def __init__(self, encoder: torch.nn.Module, taps: tuple[int, ...], layout: FeatureLayout) -> None:
        super().__init__()
        self.encoder = encoder
        self.taps = taps
        self.layout = layout

    def forward(
        self, image: Float[torch.Tensor, "batch band y x"]
    ) -> tuple[Float[torch.Tensor, "batch _channel _y _x"], ...]:
        """Answer the maps of the chosen stages."""
        maps = self.encoder(image)
        return tuple(maps[tap] for tap in self.taps)
