"""What stands around a network in an exported file: from raw values to what it sees, from logits to probabilities."""

import math

import torch
from jaxtyping import Float32, Int
from torch.nn import functional

from terrazzo.bundle import Bundle
from terrazzo.calibration.local_temperature import SIDE, SPACING, LocalTemperature, mixed, reflected
from terrazzo.calibration.record import Calibration
from terrazzo.calibration.temperature import ScalarTemperature, VectorScaling
from terrazzo.calibration.window_temperature import StepTemperatures

__all__ = ["Calibrated", "Preprocessing", "is_calibrated"]


class Preprocessing(torch.nn.Module):
    """From raw values to what the network sees, as `Normalisation` does it; missing pixels are found by their values.

    A pixel is missing where one of its bands is no finite number or the band's nodata value, or where all of them are
    the collar's.

    Args:
        bundle: Bands and normalisation.
    """

    mean: torch.Tensor
    factor: torch.Tensor
    nodata: torch.Tensor

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        deviations = torch.tensor(bundle.normalisation.std, dtype=torch.float64)
        # NaN equals nothing, so that a band without such a value has none.
        nodata = [math.nan if band.nodata is None else band.nodata for band in bundle.bands]
        for name, values in (
            ("mean", torch.tensor(bundle.normalisation.mean, dtype=torch.float64)),
            ("factor", 1.0 / deviations),
            ("nodata", torch.tensor(nodata, dtype=torch.float64)),
        ):
            self.register_buffer(name, values.float()[:, None, None])
        self._any_nodata = any(band.nodata is not None for band in bundle.bands)
        self._collar = bundle.bands.collar

    def forward(self, image: Float32[torch.Tensor, "batch band y x"]) -> Float32[torch.Tensor, "batch band y x"]:
        """Return normalised values, and 0 where a pixel is missing.

        Args:
            image: Raw values.
        """
        missing = ~(image.abs() < math.inf)
        if self._any_nodata:
            missing = missing | (image == self.nodata)
        missing = missing.any(dim=1, keepdim=True)
        if self._collar is not None:
            apart = (image - self._collar.value).abs() <= self._collar.nodata_tolerance
            missing = missing | apart.all(dim=1, keepdim=True)
        known = torch.where(missing, self.mean, image)
        return (known - self.mean) * self.factor


def is_calibrated(bundle: Bundle) -> bool:
    """Whether a bundle has temperatures."""
    found = bundle.calibration
    return found is not None and (found.temperature is not None or found.window_temperature is not None)


class Calibrated(torch.nn.Module):
    """From logits to probabilities, by a bundle's temperatures.

    Args:
        calibration: Of the bundle; None leaves probabilities as the network answers them.
    """

    def __init__(self, calibration: Calibration | None) -> None:
        super().__init__()
        self._blended = None if calibration is None else calibration.temperature
        window = None if calibration is None else calibration.window_temperature
        self._by_step = window if isinstance(window, StepTemperatures) else None
        self._local = window if isinstance(window, LocalTemperature) else None

    @property
    def reads_steps(self) -> bool:
        """Whether it makes a difference after how many steps a pixel was answered."""
        return self._by_step is not None

    def forward(
        self,
        logits: Float32[torch.Tensor, "batch class y x"],
        seen: Float32[torch.Tensor, "batch band y x"],
        steps: Int[torch.Tensor, "batch _rows _columns"] | None = None,
    ) -> Float32[torch.Tensor, "batch class y x"]:
        """Return probabilities.

        Args:
            logits: As the network answered.
            seen: What it saw.
            steps: After how many steps each image, or each of its pixels, was answered.
        """
        if self._by_step is not None:
            logits = self._by_step(logits, seen, steps)
        if self._local is not None:
            logits = logits / _local_temperatures(self._local, logits, seen)[:, None]
        if isinstance(self._blended, ScalarTemperature | VectorScaling):
            logits = self._blended(functional.log_softmax(logits, dim=1))
        return logits.softmax(dim=1)


def _local_temperatures(
    local: LocalTemperature,
    logits: Float32[torch.Tensor, "batch class y x"],
    seen: Float32[torch.Tensor, "batch band y x"],
) -> Float32[torch.Tensor, "batch y x"]:
    """Return each pixel's temperature: `LocalTemperature.temperatures` on all images at once."""
    weights = local.network(logits.device)
    reach = SPACING * (SIDE // 2)
    padded = []
    for values in (logits, seen):
        for axis in (-2, -1):
            length = values.shape[axis]
            places = reflected(torch.arange(-reach, length + reach, device=values.device), length)
            values = values.index_select(axis, places)  # noqa: PLW2901 - one axis after the other
        padded.append(values)
    answers = functional.conv2d(padded[0], weights.over_logits, weights.logits_bias, dilation=SPACING)
    from_image = functional.conv2d(padded[1], weights.over_image, weights.image_bias, dilation=SPACING)
    return mixed(answers.movedim(1, 0), from_image[:, 0])
