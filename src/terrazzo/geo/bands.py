"""Which measurements a raster holds, and in which order."""

import math
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Shaped
from pydantic import Field, field_validator

from terrazzo.errors import ContractError
from terrazzo.record import Record, nearest

__all__ = ["Band", "Bands", "Collar"]


class Band(Record):
    """One measurement at each pixel: physical value = raw value x scale + offset."""

    name: str
    """Name that selects the band, such as "red" or "nir"."""
    unit: str = ""
    """Unit of the physical value; empty where it is a plain digital number."""
    scale: float = 1.0
    """Factor from raw to physical value."""
    offset: float = 0.0
    """Added after scaling."""
    nodata: float | None = None
    """Raw value that marks a missing pixel; NaN and infinities are always missing."""
    dtype: str = "uint8"
    """numpy type of the raw values; a scene of another type is refused."""

    @field_validator("nodata")
    @classmethod
    def _not_finite_is_missing_anyway(cls, value: float | None) -> float | None:
        # NaN equals nothing, itself included, and JSON cannot hold it.
        return None if value is None or not math.isfinite(value) else value


class Collar(Record):
    """A border without measurements that no nodata value marks, such as the black one around a rotated scene."""

    value: float
    """Raw value of the border, in every band."""
    nodata_tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Largest difference from it; JPEG compression blurs a border by about 6."""

    def missing(self, values: Shaped[np.ndarray, "band y x"]) -> Bool[np.ndarray, "y x"]:
        """Return the pixels of which every band lies within the tolerance of the value."""
        low, high = self.value - self.nodata_tolerance, self.value + self.nodata_tolerance
        return np.asarray(((values >= low) & (values <= high)).all(axis=0))


class Bands(Record):
    """Ordered bands; the order is the channel order of every array."""

    items: Annotated[tuple[Band, ...], Field(min_length=1)]
    """The bands, each name once."""
    collar: Collar | None = None
    """Border that counts as missing beside each band's nodata value; None where there is none."""

    @field_validator("items")
    @classmethod
    def _each_once(cls, items: tuple[Band, ...]) -> tuple[Band, ...]:
        names = [band.name for band in items]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"band names must differ; {', '.join(twice)} stands there more than once")
        return items

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Band]:  # type: ignore[override]
        return iter(self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in channel order."""
        return tuple(band.name for band in self.items)

    def positions(self, names: Sequence[str]) -> list[int]:
        """Return the channel of each named band.

        Raises:
            ContractError: A name is not among the bands.
        """
        for name in names:
            if name not in self.names:
                hint = nearest(name, list(self.names))
                raise ContractError(f'No band is called "{name}"; the bands are {", ".join(self.names)}.{hint}')
        return [self.names.index(name) for name in names]

    def select(self, names: Sequence[str]) -> "Bands":
        """Return the named bands in the order asked for."""
        return Bands(items=tuple(self.items[position] for position in self.positions(names)), collar=self.collar)
