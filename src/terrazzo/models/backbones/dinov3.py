"""What DINOv3's transformers and ConvNeXts share as frozen backbones: weights, bands, what is trained, what is kept.

The networks themselves are transformers' own. A backbone that nobody unfroze stays in evaluation mode, builds no graph
of gradients, and stands in no checkpoint and no bundle where its weights come from a file.

Source: O. Simeoni et al., DINOv3, arXiv 2508.10104; github.com/facebookresearch/dinov3; transformers 5.23,
`models/dinov3_vit` and `models/dinov3_convnext`.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, JsonValue, model_validator

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Pretraining
from terrazzo.models.backbones.backbone import Backbone, FeatureLayout
from terrazzo.models.backbones.dinov3_check import NORMALISATIONS, Variant, check_kind, check_normalisation
from terrazzo.models.backbones.dinov3_network import LICENCE, DinoV3Network, Unfreeze
from terrazzo.models.external import ExternalWeights
from terrazzo.models.weight_files import weights_sha256
from terrazzo.models.weight_source import WeightSource

__all__ = ["DinoV3Backbone", "created"]

Block = Annotated[int, Field(ge=0)]
Band = Annotated[int, Field(ge=1)]


def created(kind: Literal["DINOv3ViT", "DINOv3ConvNext"], figures: Mapping[str, JsonValue]) -> torch.nn.Module:
    """Return the library's network with random weights.

    Args:
        kind: Beginning of the names of its classes.
        figures: Settings of its configuration.

    Raises:
        ModelError: The library is not installed, or too old.
    """
    try:
        import transformers

        configuration, network = getattr(transformers, f"{kind}Config"), getattr(transformers, f"{kind}Model")
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f'DINOv3 needs the package transformers, version 4.56 or later ({error}): install "terrazzo[dinov3]".'
        ) from error
    return cast("torch.nn.Module", network(configuration(**figures)))


class DinoV3Backbone(Backbone):
    """Settings that transformers and ConvNeXts share."""

    weights: Annotated[str, Field(min_length=1)] | None = None
    """A folder or .safetensors file in Hugging Face's layout; or `owner/name@revision` of a publication there, which is
    fetched if it is not on this machine; random weights if not given."""
    taps: tuple[Block, ...] | None = None
    """After which blocks maps are taken, counted from 0; four of them, evenly spread, if not given."""
    unfreeze: Unfreeze = False
    """Whether its weights are trained: none, all (true), or those of this many of the last blocks."""
    rgb: tuple[Band, Band, Band] | None = None
    """Positions of red, green and blue among the bands, counted from 1; the first three, or one band thrice, if not
    given. Heads see every band."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of random weights that stay frozen, so that they are the same whenever they are built."""

    @model_validator(mode="after")
    def _taps_exist(self) -> "DinoV3Backbone":
        chosen, depth = self.chosen_taps, self.depth
        if not chosen or list(chosen) != sorted(set(chosen)) or chosen[-1] >= depth:
            raise ValueError(f"taps {list(chosen)} must rise and lie between 0 and {depth - 1}, the last block.")
        return self

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of blocks."""

    @property
    def chosen_taps(self) -> tuple[int, ...]:
        """The taps, given or not."""
        if self.taps is not None:
            return self.taps
        count = min(4, self.depth)
        return tuple((part + 1) * self.depth // count - 1 for part in range(count))

    @property
    def variant_of_weights(self) -> Variant:
        """What imagery the weights were trained on."""
        return "web"

    @property
    @abstractmethod
    def layout(self) -> FeatureLayout:
        """What the network answers."""

    @abstractmethod
    def figures(self) -> Mapping[str, JsonValue]:
        """Return the settings of the library's configuration that make this size."""

    @abstractmethod
    def _network(self, *, channels: Sequence[int]) -> DinoV3Network:
        """Return the network with fresh weights, on torch's default device."""

    def build(self, *, bands: int) -> DinoV3Network:
        """Return the network, with the named weights or random ones.

        Raises:
            ModelError: The library is missing, or the weights are not to be had or are of another network.
        """
        if self.weights is None:
            if self.unfreeze is not False:
                return self._network(channels=_channels(self.rgb, bands))
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                return self._network(channels=_channels(self.rgb, bands))
        source = WeightSource.of(self.weights, licence=LICENCE)
        self._check(source)
        network = self._empty(bands)
        network._read(source)  # noqa: SLF001 - with the name under which they were published
        return network

    def build_without_external(self, *, bands: int) -> DinoV3Network:
        """Return the network without weights, which take no memory until `load_external` reads them.

        Raises:
            ModelError: It is trained, so that its weights are its own.
        """
        if self.unfreeze is not False:
            raise ModelError(f"unfreeze: {self.unfreeze} makes the weights of {self.name} its own; it takes no file.")
        network = self._empty(bands)
        network.external = ExternalWeights("", "", "", "")
        return network

    def without_pretraining(self) -> "DinoV3Backbone":
        """Return the same backbone that starts from random weights."""
        return self.model_copy(update={"weights": None})

    def pretraining(self, *, bands: int) -> Pretraining | None:
        """Return the mean and deviation that the weights expect of each band; None of random weights.

        Bands that are neither red, green nor blue get the mean of these.

        Raises:
            ModelError: What lies beside the weights contradicts these settings.
        """
        if self.weights is None:
            return None
        self._check(WeightSource.of(self.weights, licence=LICENCE))
        channels = _channels(self.rgb, bands)
        mean, std = (
            tuple(_of_band(values, channels, band) for band in range(bands))
            for values in NORMALISATIONS[self.variant_of_weights]
        )
        return Pretraining(mean=mean, std=std, licence=LICENCE)

    def external_path(self) -> Path | None:
        """Return the file or folder that holds the frozen weights; None where they are the network's own."""
        if self.weights is None or self.unfreeze is not False:
            return None
        return WeightSource.of(self.weights, licence=LICENCE).path

    def feature_key(self) -> Mapping[str, object] | None:
        """Return all that decides the maps of a normalised image; None where they change in training."""
        if self.unfreeze is not False:
            return None
        path = self.external_path()
        mean, std = NORMALISATIONS[self.variant_of_weights]
        layout = self.layout
        return {
            "network": self.name,
            "figures": dict(self.figures()),
            "weights": f"sha256 {weights_sha256(path)}" if path is not None else _random_weights(self.seed),
            "taps": list(self.chosen_taps),
            "norm": "final",
            "mean": list(mean) if path is not None else None,
            "std": list(std) if path is not None else None,
            "rgb": list(self.rgb) if self.rgb is not None else None,
            "layout": [list(layout.channels), list(layout.strides), layout.multiple],
        }

    def _empty(self, bands: int) -> DinoV3Network:
        """Return the network without weights."""
        with torch.device("meta"):
            return self._network(channels=_channels(self.rgb, bands))

    def _check(self, source: WeightSource) -> None:
        """Refuse weights whose own settings, beside them, are not these."""
        check_kind(source, self.name, self.figures())
        check_normalisation(source, self.variant_of_weights)


def _random_weights(seed: int) -> str:
    """Say what random weights depend on."""
    try:
        library = version("transformers")
    except PackageNotFoundError:
        # Whether features can be cached is asked before anything is built, which will name what is missing.
        library = "missing"
    return f"random, seed {seed}, torch {version('torch')}, transformers {library}"


def _channels(rgb: Sequence[int] | None, bands: int) -> list[int]:
    """Return the 0-based bands that stand for red, green and blue.

    >>> _channels(None, 1), _channels(None, 2), _channels(None, 5), _channels((3, 2, 1), 4)
    ([0, 0, 0], [0, 1, 1], [0, 1, 2], [2, 1, 0])
    """
    if rgb is None:
        return [min(channel, bands - 1) for channel in range(3)]
    if max(rgb) > bands:
        raise ModelError(f"rgb {list(rgb)} names band {max(rgb)}, but the imagery has {bands}.")
    return [band - 1 for band in rgb]


def _of_band(values: Sequence[float], channels: Sequence[int], band: int) -> float:
    """Return the mean over the colours that a band stands for, over all of them where it stands for none."""
    colours = [value for value, channel in zip(values, channels, strict=True) if channel == band] or list(values)
    return sum(colours) / len(colours)
