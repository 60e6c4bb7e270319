"""What a sample was drawn from and how: kept beside its points, since estimates need it."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from terrazzo.calibration.sample_design import Allocation
from terrazzo.errors import DataError
from terrazzo.record import Record
from terrazzo.storage import read_json, write_json

__all__ = ["SampleDesign", "Stratum", "design_path", "read_design", "write_design"]

Count = Annotated[int, Field(ge=0)]


class Stratum(Record):
    """A map class and what was drawn from it."""

    name: str
    """The class."""
    value: int
    """What stands for it in the maps."""
    colour: tuple[int, int, int] | None = None
    """Red, green, blue, 0..255; null where the maps have no palette."""
    pixels: Count
    """Pixels mapped as it."""
    area: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Their ground, in the design's unit."""
    points: Count
    """Points drawn from them."""


class SampleDesign(Record):
    """A stratified random sample, drawn by area within each map class, without replacement."""

    format: Literal[1] = 1
    """Version of this file."""
    unit: Literal["m2", "pixels"]
    """What areas count: square metres on the ellipsoid, or pixels of maps without coordinate reference system."""
    strata: Annotated[tuple[Stratum, ...], Field(min_length=1)]
    """Every class of the maps, in their order."""
    maps: tuple[str, ...]
    """Files of the maps."""
    left_out: tuple[str, ...]
    """Classes and values that are no part of the population."""
    allocation: Allocation
    """How points were divided between classes."""
    minimum: Count
    """Fewest points of a class under the allocation `olofsson`."""
    seed: int
    """Of the draw."""
    target_error: float | None
    """Standard error of the overall accuracy that was asked for; null where the number of points was."""
    expected_accuracies: tuple[float, ...] | None
    """User's accuracies that were expected, one a class; null where none were."""
    expected_error: float | None
    """Standard error of the overall accuracy that these points will have if accuracies are as expected."""


def design_path(sample: Path) -> Path:
    """Return where the design of a sample file lies.

    >>> design_path(Path("area/points.gpkg")).name
    'points.design.json'
    """
    return sample.with_name(f"{sample.stem}.design.json")


def write_design(path: Path, design: SampleDesign) -> None:
    """Write a design.

    Raises:
        StorageError: The file cannot be written.
    """
    write_json(path, design.model_dump(mode="json"))


def read_design(path: Path) -> SampleDesign:
    """Read a design.

    Raises:
        StorageError: The file cannot be read.
        DataError: It is no design, or one of a newer version.
    """
    try:
        return SampleDesign.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is no sample design: {where}: {first['msg']}. `terrazzo areas sample` writes it; without it "
            "name the maps with --map."
        ) from error
