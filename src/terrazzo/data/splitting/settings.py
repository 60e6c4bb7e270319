"""How images are divided further: into blocks of the ground, into folds, and named sets to validate on."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from terrazzo.data.sources.source import SOURCES, Source
from terrazzo.geo.side_files import files_of
from terrazzo.record import Record, family

__all__ = [
    "BlockSettings",
    "FoldSettings",
    "PolygonSettings",
    "Role",
    "SetName",
    "Share",
    "ValidationList",
    "ValidationSettings",
]

Role = Literal["train", "val", "calibrate", "test"]
Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Gap = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _free_name(name: str) -> str:
    """Refuse names under which figures of a set would be called as those of `val` are."""
    if name == "mean" or name.startswith("iou_"):
        raise ValueError(f'"{name}" would make columns of log.csv that mean something else; choose another name')
    return name


SetName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$"), AfterValidator(_free_name)]
"""Name of a validation set: small letters, digits and `_`; neither "mean" nor a beginning of "iou_"."""


class BlockSettings(Record):
    """Squares of the ground, each with one role: images that overlap or touch never leak into each other."""

    size_m: Length | None = None
    """Side of a block in metres; every image needs a coordinate reference system."""
    size_pixels: Annotated[int, Field(ge=1)] | None = None
    """Side of a block in pixels, instead of metres; images without coordinate reference system are divided one by one,
    in the others a pixel is as large as in the median image."""
    guard_m: Gap | None = None
    """Metres that pixels of one role keep from blocks of another; nearer ones belong to nobody. Training gives way to
    every other role, val to calibrate and test, calibrate to test, and folds that train to the one that selects."""
    guard_pixels: Annotated[int, Field(ge=0)] | None = None
    """The same in pixels, beside `size_pixels`."""
    fractions: dict[Role, Share] | None = None
    """Share of each role among the blocks; four in five train and one in five selects if not given."""
    crs: str | None = None
    """Coordinate reference system of the blocks, such as EPSG:3035; if not given, that of the images where they share
    one that is true to scale, else an equal-area one around them. Give it where images of other systems may join."""
    seed: int = 0
    """Draws another division."""

    @model_validator(mode="after")
    def _one_unit(self) -> "BlockSettings":
        if (self.size_m is None) == (self.size_pixels is None):
            raise ValueError("give one of size_m and size_pixels")
        if self.size_m is not None and self.guard_pixels is not None:
            raise ValueError("blocks in metres need a guard in metres: guard_m")
        if self.size_pixels is not None and self.guard_m is not None:
            raise ValueError("blocks in pixels need a guard in pixels: guard_pixels")
        if self.fractions is not None and abs(sum(self.fractions.values()) - 1) > 1e-6:
            raise ValueError(f"fractions must sum to 1, not {sum(self.fractions.values()):g}")
        return self


class FoldSettings(Record):
    """Parts of the data that take turns: one selects (`data.fold`), the others train."""

    count: Annotated[int, Field(ge=2)]
    """Number of folds."""
    by: Literal["image", "region", "block"] = "image"
    """What is never divided between folds; blocks are those of data.split.blocks."""
    stratify: bool = False
    """Give every fold the same share of each class as nearly as whole images, regions or blocks allow. Otherwise folds
    have about equally many images, and blocks draw theirs by a hash of their place."""
    seed: int = 0
    """Draws another division."""


class PolygonSettings(Record):
    """Polygons that say which part of the ground has which role; what lies in none is ignored."""

    bare_fields: ClassVar[tuple[str, ...]] = ("file",)

    file: Path | None = None
    """Vector file whose polygons say their role in a field."""
    field: str = "split"
    """The field of `file`: train, val, calibrate or test; a polygon where it is empty belongs to nobody."""
    files: dict[Role, Path] | None = None
    """A vector file for each role, instead of `file`."""
    layer: str | None = None
    """Layer of the files; needed where a file has several."""

    @model_validator(mode="before")
    @classmethod
    def _bare_file(cls, value: object) -> object:
        """Accept `polygons: areas.gpkg` for `polygons: {file: areas.gpkg}`."""
        return {"file": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _one_way(self) -> "PolygonSettings":
        if (self.file is None) == (not self.files):
            raise ValueError("give one of `file`, whose polygons say their role in a field, and `files`, one a role")
        return self

    @property
    def paths(self) -> tuple[Path, ...]:
        """The vector files."""
        return (self.file,) if self.file is not None else tuple((self.files or {}).values())

    @property
    def all_files(self) -> tuple[Path, ...]:
        """The vector files, with what lies beside a shapefile."""
        return tuple(file for path in self.paths for file in files_of(path))


class ValidationSettings(Record):
    """A named set to validate on, with the classes and bands of the data."""

    source: Annotated[Source, family(SOURCES)]
    """Where its images and labels lie; all of them are used, whatever role their folders say."""
    every: Annotated[int, Field(ge=1)] = 1
    """Measured in training every so many epochs, and in the last one."""


class ValidationList(Record):
    """A text file that names a folder a line, each a validation set that is read as data.source is."""

    bare_fields: ClassVar[tuple[str, ...]] = ("file",)

    file: Path
    """A line is a folder, below the file's own unless it is absolute; a number after a comma, semicolon or tab is its
    own `every`. Lines that begin with # are skipped. A set is called as its folder, in small letters."""
    every: Annotated[int, Field(ge=1)] = 1
    """Measured in training every so many epochs, and in the last one, where a line says nothing else."""

    @model_validator(mode="before")
    @classmethod
    def _bare_file(cls, value: object) -> object:
        """Accept `validation_list: sets.txt` for `validation_list: {file: sets.txt}`."""
        return {"file": value} if isinstance(value, str | Path) else value
