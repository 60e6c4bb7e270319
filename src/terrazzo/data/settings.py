"""What data a run learns from: where it lies, which bands and classes it has, how it is cut and split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from terrazzo.data.classes import Classes
from terrazzo.data.features.names import StoredType, View
from terrazzo.data.normalisation import Normalisation
from terrazzo.data.sources.source import SOURCES, Source
from terrazzo.data.splitting.settings import (
    BlockSettings,
    FoldSettings,
    PolygonSettings,
    Role,
    SetName,
    Share,
    ValidationList,
    ValidationSettings,
)
from terrazzo.geo.bands import Collar
from terrazzo.record import Record, family

__all__ = ["BandSettings", "DataSettings", "PatchSettings", "PrepareSettings", "Role", "SplitSettings"]

AnySource = Annotated[Source, family(SOURCES)]


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
    blocks: BlockSettings | None = None
    """Squares of the ground, each with a role by a hash of its place, or with a fold: images are divided along them.
    Images whose folder says another role than train keep that whole."""
    polygons: PolygonSettings | None = None
    """Polygons of a vector file that say which part of the ground has which role: images are divided along them, and
    what lies in none is ignored, whatever their folders say."""
    folds: FoldSettings | None = None
    """Folds that take turns to select, one by `data.fold`; beside another way, they divide what trains or selects."""
    seed: int = 0
    """Draws another division by `fractions`."""

    @model_validator(mode="after")
    def _one_way(self) -> "SplitSettings":
        given = _given(self)
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(_ways(self))}, not {' and '.join(given)}")
        _check_folds(self)
        if self.fractions is not None and abs(sum(self.fractions.values()) - 1) > 1e-6:
            raise ValueError(f"fractions must sum to 1, not {sum(self.fractions.values()):g}")
        if self.regions is not None:
            owners: dict[str, str] = {}
            for role, regions in self.regions.items():
                for region in regions:
                    if owners.setdefault(region, role) != role:
                        raise ValueError(f'region "{region}" is in {owners[region]} and in {role}; it has one role')
        return self


def _check_folds(settings: SplitSettings) -> None:
    """Refuse folds of blocks without blocks, and blocks whose roles are told twice."""
    folds, blocks = settings.folds, settings.blocks
    if folds is None:
        return
    if (folds.by == "block") != (blocks is not None):
        raise ValueError("folds by block need `blocks`, which say how large they are; other folds take none")
    if blocks is not None and blocks.fractions is not None:
        raise ValueError("the folds say which blocks select, so `blocks` takes no fractions")


def _given(settings: SplitSettings) -> list[str]:
    return [name for name, way in _ways(settings).items() if way is not None]


def _ways(settings: SplitSettings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in ("lists", "regions", "fractions", "blocks", "polygons")}


def _without_classes(schema: dict[str, Any]) -> None:
    """Let classes be left out in the JSON Schema: some sources know them."""
    schema["required"].remove("classes")


class DataSettings(Record):
    """What a run learns from."""

    model_config = ConfigDict(json_schema_extra=_without_classes)

    source: AnySource
    """Where images and labels lie."""
    classes: Classes
    """Which classes there are and how labels name them; sources with classes of their own need none. Without `items`,
    what is given changes the source's classes."""
    bands: tuple[str | BandSettings, ...] | None = None
    """Bands in channel order, by name or as records; all bands of the first image if not given. Names for bands that
    the file leaves nameless go by order."""
    patch: PatchSettings = PatchSettings()
    """How images are cut."""
    split: SplitSettings = SplitSettings()
    """Which image plays which role."""
    fold: Annotated[int, Field(ge=0)] | None = None
    """Fold that selects (val) while the others train, from 0; of data.split.folds, or as the source says."""
    validation: dict[SetName, ValidationSettings] = Field(default_factory=dict)
    """Further sets to validate on, by name; `city` is the split val_city, and its figures are val_city_miou, ..."""
    validation_list: ValidationList | None = None
    """Validation sets from a text file of folders; they join those of `validation`."""
    resolution_m: Annotated[float, Field(gt=0)] | None = None
    """Side of a pixel in metres; images of another resolution are resampled as they are read. Each keeps its own if not
    given."""
    collar: Collar | None = None
    """Border around images that counts as missing although no nodata value or mask says so."""
    normalisation: Normalisation | None = None
    """Mean and deviation of each band in raw units, in channel order; where they are given, as for pretrained weights
    that bring their own, images are not decoded to measure them."""
    max_ignored_share: Share = 0.9
    """Training leaves out patches of which a larger share is ignored or invalid; evaluation leaves out none."""

    @model_validator(mode="after")
    def _fold_is_said(self) -> "DataSettings":
        folds = self.split.folds
        if folds is not None and self.fold is None:
            raise ValueError("data.split.folds needs data.fold, the fold that selects: 0 for the first")
        if folds is not None and self.fold is not None and self.fold >= folds.count:
            raise ValueError(f"fold {self.fold} does not exist among {folds.count} folds, 0 to {folds.count - 1}")
        return self

    @model_validator(mode="after")
    def _classes_suit_the_source(self) -> "DataSettings":
        self.source.require_classes(self.classes)
        return self

    @model_validator(mode="before")
    @classmethod
    def _classes_of_the_source(cls, given: object) -> object:
        """Fill what is not said about classes with what the source knows about them."""
        if not isinstance(given, Mapping) or "source" not in given:
            return given
        said = given.get("classes")
        if said is not None and not (isinstance(said, Mapping) and "items" not in said):
            return given
        try:
            source = TypeAdapter[Source](AnySource).validate_python(given["source"])
        except ValidationError:
            # Said again, with its place, when the field itself is checked.
            return given
        known = source.known_classes()
        if known is None:
            return given
        return {**given, "source": source, "classes": {**known.model_dump(), **(said or {})}}


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
    masks: Literal["none", "index", "colour", "both"] = "none"
    """Write each label as an image into `masks/`: its class numbers, its colours, or both, with the colour map."""
    store: Literal["auto", "original", "tiles"] = "auto"
    """Whether images of which a patch cannot be read without decoding much more are written once as tiles, below
    `folder`: never (original), always (tiles), or where images are too large or too many to be kept in memory, or their
    labels to be kept drawn, and tiles take at most a quarter of the free disk (auto). Samples are the same."""
    cache: Literal["none", "features"] = "none"
    """What is computed once for all epochs: nothing, or the features of a frozen backbone, below `folder`."""
    cache_dtype: StoredType = "float16"
    """Type that features are kept in; bfloat16 where values leave the range of float16."""
    cache_views: Annotated[tuple[View, ...], Field(min_length=1)] = ("identity",)
    """Views of each training patch to compute features of, of which training draws one for each sample; each takes the
    room of all training patches again. Turns are anticlockwise."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """What features are computed on; auto takes a GPU where there is one."""
    cache_batch_size: Annotated[int, Field(ge=1)] = 16
    """Patches that the backbone sees at a time; another number may change the last bits of features."""

    @field_validator("cache_views")
    @classmethod
    def _each_view_once(cls, views: tuple[View, ...]) -> tuple[View, ...]:
        if repeated := sorted({view for view in views if views.count(view) > 1}):
            raise ValueError(f"{', '.join(repeated)} may be listed once")
        return views
