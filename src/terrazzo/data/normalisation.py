"""From raw band values to what a network sees: one mean and one deviation a band, never a window's own."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from pydantic import Field, model_validator

from terrazzo.errors import ConfigError, ContractError
from terrazzo.record import Record

__all__ = ["Normalisation"]

Positive = Annotated[float, Field(gt=0)]


class Normalisation(Record):
    """Mean and standard deviation of each band's raw values over the valid training pixels."""

    mean: tuple[float, ...]
    """One value a band, in raw units."""
    std: tuple[Positive, ...]
    """One value a band, in raw units; 1 where a band is constant."""

    @model_validator(mode="after")
    def _same_length(self) -> "Normalisation":
        if len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means but {len(self.std)} standard deviations")
        return self

    def require_fitting(self, names: Sequence[str]) -> None:
        """Refuse bands of another number.

        Args:
            names: Names of the bands, in channel order.

        Raises:
            ConfigError: How many there are of each.
        """
        if len(self.mean) != len(names):
            raise ConfigError(
                f"data.normalisation has {len(self.mean)} means, but there are {len(names)} bands: {', '.join(names)}; "
                "give one of each, or leave it out to have them measured."
            )

    def __call__(
        self, values: Shaped[np.ndarray, "band y x"], valid: Bool[np.ndarray, "y x"]
    ) -> Float32[np.ndarray, "band y x"]:
        """Return (values - mean) / std in float32, and 0 (the training mean) where not valid.

        Training and mapping both come through here, so that a missing pixel looks alike in both.

        Raises:
            ContractError: The number of bands differs.

        >>> normalisation = Normalisation(mean=(10.0,), std=(2.0,))
        >>> normalisation(np.array([[[14, 9]]], dtype=np.uint8), np.array([[True, False]]))
        array([[[2., 0.]]], dtype=float32)
        """
        if len(values) != len(self.mean):
            raise ContractError(f"{len(values)} bands were given, but the normalisation knows {len(self.mean)}.")
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        factor = (1.0 / np.asarray(self.std, dtype=np.float64)).astype(np.float32)[:, None, None]
        normalised: Float32[np.ndarray, "band y x"]
        if valid.all():
            normalised = np.subtract(values, mean, dtype=np.float32)
        else:
            normalised = values.astype(np.float32)
            # Before the arithmetic, so that a NaN or an infinite raw value never takes part in it.
            np.copyto(normalised, mean, where=~valid)
            normalised -= mean
        normalised *= factor
        return normalised
