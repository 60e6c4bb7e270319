"""The whole segmentation_models_pytorch family behind one record: any architecture, encoder, band count and size.

The library is imported when something of it is needed, since that takes seconds.
"""

import inspect
from typing import Annotated, Any, Literal, cast

import torch
from jaxtyping import Float
from pydantic import Field, JsonValue, TypeAdapter, ValidationError, model_validator

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Architecture, Network, Pretraining
from terrazzo.models.normalisation_layers import allow_single_values
from terrazzo.models.output import Output
from terrazzo.models.padding import crop, pad, padded
from terrazzo.models.pooling import make_pooling_repeatable
from terrazzo.models.recomputed_blocks import recompute_blocks
from terrazzo.models.smp_weights import EncoderWeights, unfetched
from terrazzo.record import nearest

__all__ = ["ENCODERS", "Smp", "SmpNetwork", "check_encoder"]

Name = Literal[
    "unet",
    "unetplusplus",
    "manet",
    "linknet",
    "fpn",
    "pspnet",
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    "upernet",
    "segformer",
    "dpt",
]

ENCODERS = tuple(
    """resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x4d resnext101_32x8d
    resnext101_32x16d resnext101_32x32d resnext101_32x48d dpn68 dpn68b dpn92 dpn98 dpn107 dpn131 vgg11 vgg11_bn vgg13
    vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn senet154 se_resnet50 se_resnet101 se_resnet152 se_resnext50_32x4d
    se_resnext101_32x4d densenet121 densenet169 densenet201 densenet161 inceptionresnetv2 inceptionv4 efficientnet-b0
    efficientnet-b1 efficientnet-b2 efficientnet-b3 efficientnet-b4 efficientnet-b5 efficientnet-b6 efficientnet-b7
    mobilenet_v2 xception mit_b0 mit_b1 mit_b2 mit_b3 mit_b4 mit_b5 mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3
    mobileone_s4""".split()  # noqa: SIM905 - one name a line says no more
)
"""The library's own encoders, known without importing it; it adds every timm model as `tu-<name>`."""

_OURS = {"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params", "upsampling"}
"""Parameters of the library's classes that the record's own fields or the contract decide."""
_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError, KeyError, IndexError, NotImplementedError)
"""How the library and timm say that parts do not fit together."""


class Smp(Architecture):
    """A network of segmentation_models_pytorch.

    >>> Smp(architecture="fpn", encoder="resnet18", settings={"decoder_dropout": 0.0}).encoder
    'resnet18'
    """

    name: Literal["smp"] = "smp"
    """The segmentation_models_pytorch family."""
    architecture: Name = "unet"
    """Decoder and head."""
    encoder: Annotated[str, Field(examples=["resnet18", "mit_b0", "tu-convnext_tiny"])] = "resnet34"
    """Encoder: one of the library's own, or `tu-` and the name of a timm model."""
    weights: str | None = None
    """Weights of the encoder to start from: a .safetensors file, a name such as `imagenet`, for a timm encoder its tag
    such as `a1_in1k`; a name is fetched when the network is built. By default random."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings of the library's class, such as `decoder_channels` or `encoder_depth`."""
    encoder_settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Further settings of a timm encoder."""

    @model_validator(mode="after")
    def _fits(self) -> "Smp":
        if self.encoder not in ENCODERS:
            check_encoder(self.encoder)
        if self.weights is not None:
            EncoderWeights.of(self.encoder, self.weights)
        if self.settings:
            _check_settings(self.architecture, self.settings)
        if self.encoder_settings and not self.encoder.startswith("tu-"):
            raise ValueError(
                f'encoder_settings are for timm encoders; "{self.encoder}" takes none. Choose a `tu-` encoder.'
            )
        return self

    def build(self, *, bands: int, classes: int) -> Network:
        """Return the network, its encoder's weights loaded.

        One image runs through it, forwards and backwards: a combination that cannot answer is refused here, and
        parameters that the answer does not depend on (PSPNet leaves out an encoder's last stages) are frozen, since
        distributed training waits for the gradient of every parameter that is not. Under `torch.no_grad()`, where
        nothing is to be trained, it runs forwards alone.

        Raises:
            ModelError: The architecture cannot take this encoder or these settings; the weights cannot be had.
        """
        model = self._model(bands, classes)
        allow_single_values(model)
        make_pooling_repeatable(model)
        multiple: int = cast("Any", model).encoder.output_stride
        if self.architecture == "dpt":
            # The library asks for the patch size alone, but its decoder also halves what it doubles later.
            multiple = max(multiple, 2 ** (len(cast("Any", model).decoder.fusion_blocks) + 1))
        network = SmpNetwork(model, multiple)
        self._probe(network, bands, classes)
        return network

    def without_pretraining(self) -> "Smp":
        """Return the same architecture that starts from random weights."""
        return self.model_copy(update={"weights": None})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return the mean and deviation that the encoder's weights expect; None from scratch, or where unknown.

        The library spreads weights of three channels over other numbers of bands: band i takes channel i mod 3, a
        single band takes all three summed. Mean and deviation go the same way, a single band gets their averages.

        Raises:
            ModelError: They must be fetched and cannot be.
        """
        return None if self.weights is None else EncoderWeights.of(self.encoder, self.weights).pretraining(bands)

    def _model(self, bands: int, classes: int) -> torch.nn.Module:
        import segmentation_models_pytorch

        settings: dict[str, Any] = {"encoder_name": self.encoder, "in_channels": bands, "classes": classes}
        settings |= self.settings
        if self.architecture == "pspnet":
            settings["upsampling"] = 2 ** int(settings.get("encoder_depth", 3))
        weights = None if self.weights is None else EncoderWeights.of(self.encoder, self.weights)
        settings |= {"encoder_weights": None} if weights is None else weights.arguments()
        create = segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING[self.architecture]
        try:
            model = self._created(create, settings)
            if weights is not None:
                weights.finish(model.get_submodule("encoder"), bands)
        except OSError as error:
            raise unfetched(self.encoder, self.weights, error) from error
        except ModelError:
            raise
        except _REFUSALS as error:
            raise self._refusal(error) from error
        return model

    def _created(self, create: type[torch.nn.Module], settings: dict[str, Any]) -> torch.nn.Module:
        """Return the library's model, its transformer free to take any size where it can be."""
        if not self.encoder.startswith("tu-"):
            return create(**settings)
        try:
            return create(**settings, **{"dynamic_img_size": True, **self.encoder_settings})
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
        return create(**settings, **self.encoder_settings)

    def _probe(self, network: "SmpNetwork", bands: int, classes: int) -> None:
        """Find the smallest size that the network takes, and freeze what its answer does not depend on."""
        trainable = torch.is_grad_enabled() or torch.is_inference_mode_enabled()
        parameters = [parameter for parameter in network.parameters() if parameter.requires_grad and trainable]
        refusal: Exception | None = None
        was_training = network.training
        network.eval()
        for blocks in (1, 2, 4, 8, 16):
            network.minimum = blocks * network.multiple
            size = (network.minimum, network.minimum + network.multiple)
            try:
                with torch.inference_mode(False), torch.set_grad_enabled(trainable):
                    network(torch.zeros(1, bands, 1, 1))
                    logits = network(torch.zeros(1, bands, *size)).logits
                    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True) if trainable else ()
            except _REFUSALS as error:
                refusal = error
                continue
            if logits.shape[1:] != (classes, *size):
                raise self._refusal(ModelError(f"for {size} it answers {tuple(logits.shape[1:])}"))
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.requires_grad_(gradient is not None)
            network.train(was_training)
            return
        raise self._refusal(refusal) from refusal

    def _refusal(self, reason: Exception | None) -> ModelError:
        return ModelError(
            f"segmentation_models_pytorch cannot build or run {self.architecture} with encoder {self.encoder}, "
            f"settings {self.settings}, encoder_settings {self.encoder_settings} and weights {self.weights}: {reason}. "
            "Choose another architecture, encoder or setting; an encoder must take images of any size."
        )


class SmpNetwork(Network):
    """A model of the library that pads its input to a size it takes, and crops the answer back.

    Args:
        model: The library's model.
        multiple: Height and width must be multiples of this.
    """

    def __init__(self, model: torch.nn.Module, multiple: int) -> None:
        super().__init__()
        self.model = model
        self.multiple = multiple
        self.minimum = multiple
        """Smallest height and width that the model takes."""

    def forward(self, image: Float[torch.Tensor, "batch band y x"]) -> Output:
        """Answer logits at the size of the input.

        Args:
            image: Normalised values; 0 where a pixel is missing.
        """
        height, width = image.shape[-2:]
        full = pad(
            image,
            height=padded(height, multiple=self.multiple, minimum=self.minimum),
            width=padded(width, multiple=self.multiple, minimum=self.minimum),
        )
        return Output(crop(self.model(full), height=height, width=width))

    def plain_parameters(self) -> frozenset[str]:
        """Return the names of the classifier's matrices."""
        head = self.model.get_submodule("segmentation_head")
        names = (name for name, parameter in head.named_parameters() if parameter.ndim > 1)
        return frozenset(f"model.segmentation_head.{name}" for name in names)

    def checkpoint_gradients(self) -> None:
        """Compute the activations of encoder and decoder blocks again in the backward pass instead of keeping them.

        Raises:
            ModelError: The encoder and the decoder are no sequences of blocks.
        """
        if recompute_blocks(self.model) == 0:
            super().checkpoint_gradients()


def check_encoder(name: str) -> None:
    """Refuse an encoder that neither the library nor timm knows.

    Raises:
        ValueError: With the nearest right name.
    """
    import segmentation_models_pytorch
    import timm

    own = [each for each in segmentation_models_pytorch.encoders.get_encoder_names() if not each.startswith("timm-")]
    if name in own or (name.startswith("tu-") and timm.is_model(name.removeprefix("tu-"))):
        return
    hint = nearest(name, [*own, *(f"tu-{each}" for each in timm.list_models())])
    raise ValueError(
        f'no encoder is called "{name}".{hint} `terrazzo list encoders` shows the {len(own)} of the library; '
        "`tu-` with the name of a timm model is one too."
    )


def _check_settings(architecture: str, settings: dict[str, JsonValue]) -> None:
    """Refuse settings that the library's class does not declare, or whose type differs.

    Raises:
        ValueError: With the names that are accepted.
    """
    import segmentation_models_pytorch

    create = segmentation_models_pytorch.MODEL_ARCHITECTURES_MAPPING[architecture]
    declared = inspect.signature(create.__init__).parameters
    accepted = [
        name for name, one in declared.items() if name not in {"self", *_OURS} and one.kind is not one.VAR_KEYWORD
    ]
    for name, value in settings.items():
        if name not in accepted:
            raise ValueError(
                f'{architecture} has no setting "{name}".{nearest(name, accepted)} It takes {", ".join(accepted)}.'
            )
        try:
            TypeAdapter(declared[name].annotation).validate_python(value)
        except ValidationError as error:
            raise ValueError(f'{architecture} setting "{name}": {error.errors()[0]["msg"]}, not {value!r}.') from error
