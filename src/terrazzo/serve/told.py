"""The shapes of what the viewer's page is told: scenes, their images, classes, layers and areas."""

from typing import Annotated, Literal

from pydantic import Field

from terrazzo.record import Record
from terrazzo.serve.stretching import Stretch

__all__ = ["AreaFacts", "ClassFacts", "ImageFacts", "LayerFacts", "SceneAreas", "SceneBrief", "SceneFacts"]


class SceneBrief(Record):
    """A scene in the list."""

    id: str
    """Name in addresses."""
    name: str
    """Name for people."""
    group: str
    """Folder below its root; empty at the top."""
    mapped: bool
    """Whether there is a map of it."""
    job: str
    """Id of the job that it is the result of; empty for others."""


class ImageFacts(Record):
    """The image of a scene."""

    height: int
    """Rows."""
    width: int
    """Columns."""
    levels: int
    """Number of the finest level of tiles."""
    bands: tuple[str, ...]
    """Names of the bands; they are asked for by their numbers from 1."""
    numbers: tuple[int, ...]
    """These numbers: transparency, which is left out, may stand among the bands."""
    shown: tuple[int, ...]
    """Numbers of the bands that are shown at first: one as grey, or three."""
    stretch: Stretch
    """How it is shown at first."""
    palette: bool
    """Whether its values stand for colours of their own, so that neither bands nor stretch can be chosen."""
    x: float
    """Column of the map at which it begins."""
    y: float
    """Row likewise."""
    scale: float
    """Pixels of the map along a side of its pixel."""


class ClassFacts(Record):
    """A class of the map."""

    name: str
    """Its name."""
    colour: str
    """Its colour, as `#rrggbb`."""
    value: int
    """What the map's pixels hold."""


class LayerFacts(Record):
    """A further layer of the map."""

    name: str
    """Name in addresses."""
    title: str
    """Name for people."""
    meaning: str
    """What it shows, in one sentence."""
    kind: Literal["ramp", "flag"]
    """Whether it is shown on a ramp of colours, or as marks."""
    levels: int
    """Number of the finest level of tiles."""
    low: float
    """Value of the ramp's first colour."""
    high: float
    """Value of its last colour."""
    colours: tuple[str, ...]
    """Colours of the ramp from low to high, or the one of the marks."""
    bands: tuple[str, ...]
    """Names of its bands where there are several, one a class."""


class SceneFacts(SceneBrief):
    """A scene that is shown."""

    version: str
    """Changes with its files; part of the tiles' addresses."""
    height: int
    """Rows of the map, or of the image where there is no map."""
    width: int
    """Columns likewise."""
    levels: int
    """Number of the finest level of the map's tiles."""
    tile: int
    """Side of a tile in pixels."""
    image: ImageFacts | None
    """The image; None where it is not known or cannot be laid under the map."""
    classes: tuple[ClassFacts, ...]
    """Classes of the map; none for an image alone."""
    layers: tuple[LayerFacts, ...]
    """Further layers of the map."""
    crs: str | None
    """Coordinate reference system; None where it has none."""
    resolution_m: float | None
    """Side of a pixel in metres; None where that is unknown."""
    notes: tuple[str, ...]
    """What its reader should know."""


class AreaFacts(Record):
    """What a class covers."""

    pixels: Annotated[int, Field(ge=0)]
    """Pixels."""
    square_metres: float | None
    """Ground; None where the map's place on earth is unknown."""


class SceneAreas(Record):
    """What the classes of a map cover."""

    classes: tuple[AreaFacts, ...]
    """In the order of the classes."""
    estimated: bool
    """Whether they are estimates: from an overview, or from the mean area of pixels that differ in size."""
