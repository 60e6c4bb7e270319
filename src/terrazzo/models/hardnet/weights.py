"""The published ImageNet encoder of FC-HarDNet-70, read from its file.

Source: PingoLH/FCHarDNet, train.py, which puts `hardnet_petite_base.pth` into the network's list of layers: names are
`0.conv.weight` to `17.norm.running_var`; whole networks of that repository, `model_state` with names from
`module.base.0.conv.weight`, hold the same encoder. Licence: that
repository, a fork of the MIT-licensed pytorch-semseg, states none of its own; the authors' PingoLH/Pytorch-HarDNet is
MIT.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Pretraining
from terrazzo.models.hardnet.encoder import HardnetEncoder

__all__ = ["load_encoder", "pretrained_input", "published_name", "readable"]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
LICENCE = "none stated in PingoLH/FCHarDNet; MIT in its authors' Pytorch-HarDNet; trained on ImageNet"
FIRST, FIRST_OWN = "0.conv.weight", "stem.0.conv.weight"
PREFIXES = ("", "base.", "module.base.")
WRAPPERS = ("model_state", "state_dict")
SUFFIXES = (".pth", ".pt", ".pkl", ".safetensors")
UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    ImportError,
)
"""How the readers say that a file is no archive of tensors."""


def readable(file: Path) -> Path:
    """Return the path of a file whose format can be read; whether it is there shows when the network is built.

    Raises:
        ValueError: Its suffix is another.
    """
    if file.suffix not in SUFFIXES:
        raise ValueError(f"weights are read from files {', '.join(SUFFIXES)}, not from {file}")
    return file


def pretrained_input(bands: int) -> Pretraining:
    """Return the mean and deviation, in units of white, that the weights expect of red, green, blue and further bands.

    They are spread over other numbers of bands as the weights are: band i takes channel i mod 3, a single band the
    average of all three.
    """
    return Pretraining(mean=_spread(MEAN, bands), std=_spread(STD, bands), licence=LICENCE)


def load_encoder(encoder: HardnetEncoder, file: Path) -> None:
    """Put the published weights into an encoder of any number of bands and blocks.

    The file's first convolution takes blue, green, red; ours takes red, green, blue, so its channels are turned. For
    other numbers of bands, band i takes channel i mod 3, scaled by 3 / bands; a single band takes the sum.

    Args:
        encoder: Of FC-HarDNet-70; with fewer blocks, what is behind them in the file is left.
        file: `.pth`, `.pt` or `.pkl`, of which nothing but tensors is read, or `.safetensors`.

    Raises:
        ModelError: The file is missing, damaged, or holds other tensors than the encoder's.
    """
    tensors = _encoder_tensors(_read(file.expanduser()), file)
    with torch.device("meta"):
        whole = HardnetEncoder(3).state_dict()
    _check(tensors, {published_name(name): tuple(value.shape) for name, value in whole.items()}, file)
    state = encoder.state_dict()
    bands = state[FIRST_OWN].shape[1]
    # Counts of batches stand in no file of the first torch versions; they decide nothing.
    state = {name: tensors.get(published_name(name), value) for name, value in state.items()}
    state[FIRST_OWN] = _spread_channels(state[FIRST_OWN].flip(1), bands)
    encoder.load_state_dict(state)


def published_name(name: str) -> str:
    """Return the file's name of one of our encoder's tensors.

    >>> published_name("stem.3.norm.bias"), published_name("blocks.1.layers.0.conv.weight")
    ('3.norm.bias', '7.layers.0.conv.weight')
    >>> published_name("transitions.4.conv.weight")
    '17.conv.weight'
    """
    part, index, rest = name.split(".", 2)
    # Four layers of the stem, then block, 1x1 convolution and pooling in turn.
    number = int(index) if part == "stem" else 4 + 3 * int(index) + (part == "transitions")
    return f"{number}.{rest}"


def _read(file: Path) -> Mapping[str, object]:
    if not file.is_file():
        raise ModelError(
            f"pretrain: {file} does not exist; give hardnet_petite_base.pth, which FCHarDNet publishes, or leave "
            "pretrain out to start from random weights."
        )
    try:
        if file.suffix == ".safetensors":
            content: object = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"pretrain: {file} cannot be read: {reason}. If it is damaged, copy it again; if it holds more than "
            "tensors, which is never run, convert it to .safetensors where you trust it."
        ) from error
    if not isinstance(content, Mapping):
        raise ModelError(f"pretrain: {file} holds {type(content).__name__} instead of tensors by name.")
    return content


def _encoder_tensors(content: Mapping[str, object], file: Path) -> dict[str, torch.Tensor]:
    """Return the encoder's tensors by their published names.

    Raises:
        ModelError: The file holds no such encoder.
    """
    for wrapper in WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            content = inner
    for prefix in PREFIXES:
        if f"{prefix}{FIRST}" in content:
            found = {name.removeprefix(prefix): value for name, value in content.items() if name.startswith(prefix)}
            return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    names = ", ".join(str(name) for name in list(content)[:3]) or "nothing"
    raise ModelError(
        f"pretrain: {file} is no encoder of FC-HarDNet-70: it holds {names}, but the published one begins "
        f"with {FIRST}. Give hardnet_petite_base.pth."
    )


def _check(found: Mapping[str, torch.Tensor], wanted: Mapping[str, tuple[int, ...]], file: Path) -> None:
    """Refuse tensors that are not exactly the encoder's.

    Raises:
        ModelError: With the first that are missing, unknown, of another shape, or not finite.
    """
    complaints = {
        "lacks": [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")],
        "holds unknown": [name for name in found if name not in wanted],
        "has other shapes of": [
            f"{name} {tuple(value.shape)} instead of {wanted[name]}"
            for name, value in found.items()
            if name in wanted and tuple(value.shape) != wanted[name]
        ],
        "has values that are not finite in": [
            name for name, value in found.items() if not bool(value.isfinite().all())
        ],
    }
    for verb, names in complaints.items():
        if names:
            raise ModelError(
                f"pretrain: {file} {verb} {len(names)} tensors of FC-HarDNet-70's encoder, such as {names[0]}; give "
                "hardnet_petite_base.pth, whole."
            )


def _spread_channels(
    weight: Float[torch.Tensor, "width 3 _ky _kx"], bands: int
) -> Float[torch.Tensor, "width {bands} _ky _kx"]:
    """Return a first convolution for another number of bands whose answer to equal bands stays as large.

    Source: segmentation_models_pytorch, which spreads its encoders' weights in this way.
    """
    if bands == 1:
        return weight.sum(dim=1, keepdim=True)
    channel = torch.arange(bands) % weight.shape[1]
    return weight[:, channel] * (weight.shape[1] / bands)


def _spread(channels: tuple[float, ...], bands: int) -> tuple[float, ...]:
    """Return a value for each band.

    >>> _spread((0.25, 0.5, 0.75), 4), _spread((0.25, 0.5, 0.75), 1)
    ((0.25, 0.5, 0.75, 0.25), (0.5,))
    """
    if bands == 1:
        return (sum(channels) / len(channels),)
    return tuple(channels[band % len(channels)] for band in range(bands))
