"""Weights that an encoder of segmentation_models_pytorch starts from: a file, or a name that the library fetches."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from terrazzo.errors import ModelError
from terrazzo.models.architecture import Pretraining
from terrazzo.record import nearest

__all__ = ["EncoderWeights", "unfetched"]


@dataclass(frozen=True)
class EncoderWeights:
    """Where an encoder's weights come from.

    Attributes:
        encoder: Name as the library takes it; a timm name carries the tag of its weights.
        identifier: Name of published weights, or None for a file.
        file: A .safetensors file, or None for published weights.
    """

    encoder: str
    identifier: str | None
    file: Path | None

    @classmethod
    def of(cls, encoder: str, weights: str) -> "EncoderWeights":
        """Tell a file from a name, and check the name; nothing is read or fetched.

        Raises:
            ValueError: The name is not published for this encoder, or the file has another format.
        """
        if weights.endswith(".safetensors"):
            return cls(encoder, None, Path(weights).expanduser())
        if "/" in weights or weights.endswith((".pth", ".pt", ".bin", ".ckpt", ".tar")):
            raise ValueError(
                f"weights {weights} must be a .safetensors file: a pickle can run code. Convert it where you trust it "
                "(safetensors.torch.save_file(torch.load(path, weights_only=True), new_path))."
            )
        if encoder.startswith("tu-"):
            return cls(_tagged(encoder, weights), weights, None)
        import segmentation_models_pytorch

        known = list(segmentation_models_pytorch.encoders.encoders[encoder]["pretrained_settings"])
        if weights not in known:
            raise ValueError(
                f'encoder {encoder} has no weights "{weights}".{nearest(weights, known)} '
                f"It has {', '.join(known) or 'none'}; or give the path of a .safetensors file."
            )
        return cls(encoder, weights, None)

    def arguments(self) -> dict[str, Any]:
        """Return what the library's class must be given so that it loads these weights.

        Raises:
            ModelError: The file does not exist.
        """
        if self.file is None:
            return {"encoder_name": self.encoder, "encoder_weights": self.identifier if self._own else True}
        if not self.file.is_file():
            raise ModelError(
                f"weights: {self.file} does not exist; give a .safetensors file of encoder {self.encoder}."
            )
        if self._own:
            return {"encoder_weights": None}
        return {"encoder_weights": True, "pretrained_cfg_overlay": {"file": str(self.file)}}

    def finish(self, encoder: torch.nn.Module, bands: int) -> None:
        """Load a file into a built encoder, and make sure that nothing of it was left out.

        Raises:
            ModelError: The file is damaged, or of another encoder.
        """
        if self.file is None:
            return
        tensors = _read(self.file)
        if not self._own:
            # timm loads it while building, and is content with whatever part fits.
            known = {name.replace(".", "_") for name in tensors}
            missing = [name for name in _backbone(encoder).state_dict() if name.replace(".", "_") not in known]
            self._refuse_missing(missing)
            return
        import segmentation_models_pytorch

        depth = len(encoder.out_channels) - 1  # type: ignore[arg-type]
        three = segmentation_models_pytorch.encoders.get_encoder(self.encoder, in_channels=3, depth=depth)
        self._refuse_missing([name for name in three.state_dict() if name not in tensors])
        try:
            three.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(f"weights: {self.file} does not fit encoder {self.encoder}: {error}.") from error
        three.set_in_channels(bands, pretrained=True)
        encoder.load_state_dict(three.state_dict())

    def pretraining(self, bands: int) -> Pretraining | None:
        """Return the mean and deviation that the weights expect of each band; None where a file says nothing.

        A file says it in `config.json` beside it, as model hubs lay it out.

        Raises:
            ModelError: Published weights whose settings cannot be fetched, or that expect blue before red.
        """
        settings = self._published() if self.file is None else _beside(self.file)
        if settings is None:
            return None
        if settings.get("input_space", "RGB") != "RGB":
            raise ModelError(f"encoder {self.encoder}: its weights expect {settings['input_space']}, not RGB.")
        white = float(max(settings.get("input_range", (0, 1))))
        mean, std = ([float(value) / white for value in settings[key]] for key in ("mean", "std"))
        return Pretraining(mean=_spread(mean, bands), std=_spread(std, bands), licence=settings.get("license") or "")

    @property
    def _own(self) -> bool:
        return not self.encoder.startswith("tu-")

    def _published(self) -> Mapping[str, Any]:
        if not self._own:
            from timm.models import get_arch_pretrained_cfgs

            name = self.encoder.removeprefix("tu-")
            published: Mapping[str, Any] = vars(get_arch_pretrained_cfgs(name)[name])
            return published
        import segmentation_models_pytorch

        try:
            settings: dict[str, Any] = segmentation_models_pytorch.encoders.get_preprocessing_params(
                self.encoder, self.identifier
            )
        except OSError as error:
            raise ModelError(
                f'What the weights "{self.identifier}" of encoder {self.encoder} expect cannot be fetched: {error}. '
                "Check the connection, or give the path of a .safetensors file with its config.json beside it."
            ) from error
        return settings

    def _refuse_missing(self, missing: list[str]) -> None:
        if missing:
            raise ModelError(
                f"weights: {self.file} lacks {len(missing)} tensors of encoder {self.encoder}, such as {missing[0]}; "
                "give the file of this encoder, its tensors named as the library names them."
            )


def _backbone(encoder: torch.nn.Module) -> torch.nn.Module:
    """Return timm's own model inside the library's wrapper."""
    return encoder.get_submodule("model")


def _tagged(encoder: str, tag: str) -> str:
    """Return a timm encoder's name with the tag of its weights.

    Raises:
        ValueError: timm publishes no such weights.
    """
    from timm.models import get_arch_pretrained_cfgs, is_model_pretrained

    base = encoder.removeprefix("tu-").partition(".")[0]
    if is_model_pretrained(f"{base}.{tag}"):
        return f"tu-{base}.{tag}"
    known = [name.partition(".")[2] for name in get_arch_pretrained_cfgs(base) if is_model_pretrained(name)]
    raise ValueError(
        f'timm has no weights "{tag}" for {base}.{nearest(tag, known)} It has {", ".join(known) or "none"}; '
        "or give the path of a .safetensors file."
    )


def _read(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise ModelError(f"weights: {file} is damaged or no safetensors file: {error}.") from error
    return tensors


def _beside(file: Path) -> Mapping[str, Any] | None:
    """Return the settings in `config.json` beside a file of weights, or None where they say no mean."""
    config = file.with_name("config.json")
    if not config.is_file():
        return None
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config} beside the weights is no JSON: {error}.") from error
    settings: dict[str, Any] = {**content, **content.get("pretrained_cfg", {})}
    return settings if "mean" in settings and "std" in settings else None


def _spread(channels: list[float], bands: int) -> tuple[float, ...]:
    """Return a value for each band as the library spreads the weights of its channels.

    >>> _spread([0.25, 0.5, 0.75], 4), _spread([0.25, 0.5, 0.75], 1)
    ((0.25, 0.5, 0.75, 0.25), (0.5,))
    """
    if bands == 1:
        return (sum(channels) / len(channels),)
    return tuple(channels[band % len(channels)] for band in range(bands))


def unfetched(encoder: str, weights: str | None, reason: OSError) -> ModelError:
    """Return the error that says why weights cannot be had, and what to do."""
    return ModelError(
        f'The weights "{weights}" of encoder {encoder} cannot be fetched: {reason}. Check the connection, give the '
        "path of a .safetensors file as weights, or start from random weights (null)."
    )
