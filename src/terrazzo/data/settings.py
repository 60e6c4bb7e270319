"""What data a run learns from: where it lies, which bands and classes it has, how it is cut and split."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.data.classes import Classes
from terrazzo.data.sources.source import SOURCES, Source
from terrazzo.record import Record, family

__all__ = ["BandSettings", "DataSettings", "PatchSettings", "PrepareSettings", "Role", "SplitSettings"]

Role = Literal["train", "val", "calibrate", "test"]
Share = Annotated[float, Field(ge=0, le=1)]


class BandSettings(Record):
    """One band that is used, and what its raw values mean where the file does not say."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the band; the file's own where `number` is not given."""
    number: Annotated[int, Field(ge=1)] | None = None
    """Position among the image's bands, from 1, those of extra files after its own; transparency is not counted."""
    unit: str | None = None
    """Unit of the physical value; as the file says if not given."""
    scale: float | None = None
    """Factor from raw to physical value; as the file says if not given."""
    offset: float | None = None
    """Added after scaling; as the file says if not given."""
    nodata: float | None = None
    """Raw value that marks a missing pixel, beside the file's own."""


class PatchSettings(Record):
    """How images are cut into patches."""

    size: Annotated[int, Field(ge=1)] = 256
    """Side of a patch in pixels; an image that is smaller gives one smaller patch."""
    stride: Annotated[int, Field(ge=1)] | None = None
    """Step between patches in pixels; above `size` it leaves gaps, in training only."""
    overlap: Annotated[int, Field(ge=0)] | None = None
    """Pixels that neighbouring patches share; 0 where neither this nor `stride` is given."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "PatchSettings":
        if self.stride is not None and self.overlap is not None:
            raise ValueError("give `stride` or `overlap`, not both")
        if self.overlap is not None and self.overlap >= self.size:
            raise ValueError(f"an overlap of {self.overlap} leaves no step; it must be below the size, {self.size}")
        return self

    @property
    def step(self) -> int:
        """Pixels from one patch to the next."""
        if self.stride is not None:
            return self.stride
        return self.size - (self.overlap or 0)


class SplitSettings(Record):
    """Which image plays which role; always whole images, never patches. At most one of the three ways.

    Where none is given the folders decide (`train/`, `val/`, ...); where these say nothing either, four in five images
    train and one in five selects.
    """

    lists: dict[Role, Path] | None = None
    """A text file for each role, one image a line: its stem, its path, or image and label path. Images in no list are
    left out."""
    regions: dict[Role, tuple[str, ...]] | None = None
    """Regions of each role. Images of other regions are left out."""
    fractions: dict[Role, Share] | None = None
    """Share of each role; by a hash of each image's name, so that images keep their role when others join. Images whose
    folder says another role than train keep that."""
    seed: int = 0
    """Draws another division by `fractions`."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitSettings":
        given = [name for name in ("lists", "regions", "fractions") if name in _given(self)]
        if len(given) > 1:
            raise ValueError(f"give one of lists, regions and fractions, not {' and '.join(given)}")
        if self.fractions is not None and abs(sum(self.fractions.values()) - 1) > 1e-6:
            raise ValueError(f"fractions must sum to 1, not {sum(self.fractions.values()):g}")
        if self.regions is not None:
            owners: dict[str, str] = {}
            for role, regions in self.regions.items():
                for region in regions:
                    if owners.setdefault(region, role) != role:
                        raise ValueError(f'region "{region}" is in {owners[region]} and in {role}; it has one role')
        return self


def _given(settings: SplitSettings) -> list[str]:
    ways = {"lists": settings.lists, "regions": settings.regions, "fractions": settings.fractions}
    return [name for name, way in ways.items() if way is not None]


class DataSettings(Record):
    """What a run learns from."""

    source: Annotated[Source, family(SOURCES)]
    """Where images and labels lie."""
    classes: Classes
    """Which classes there are and how labels name them."""
    bands: tuple[str | BandSettings, ...] | None = None
    """Bands in channel order, by name or as records; all bands of the first image if not given. Names for bands that
    the file leaves nameless go by order."""
    patch: PatchSettings = PatchSettings()
    """How images are cut."""
    split: SplitSettings = SplitSettings()
    """Which image plays which role."""
    max_ignored_share: Share = 0.9
    """Training leaves out patches of which a larger share is ignored or invalid; evaluation leaves out none."""


class PrepareSettings(Record):
    """How data is prepared."""

    enable: bool = True
    """Prepare as a phase of `run`."""
    folder: Path = Path("prepared")
    """Where catalog, patch index and statistics are written."""
    preview: Annotated[int, Field(ge=0)] = 0
    """Augmented training samples to draw with their labels."""
    csv: bool = False
    """Write catalog and patch index as CSV too."""
