"""What every layout of data answers: which image belongs to which label, before any file is opened."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from terrazzo.data.areas.area import Area
from terrazzo.data.catalog import Catalog
from terrazzo.data.classes import Classes
from terrazzo.data.labels.label import Label
from terrazzo.data.validity import ValidityMask
from terrazzo.geo.bands import Band
from terrazzo.record import Component, Table

__all__ = ["ROLE_FOLDERS", "SOURCES", "Listing", "Pair", "Source", "role_of"]

SOURCES = Table(
    "sources",
    {
        "band_files": "terrazzo.data.sources.band_files:BandFilesSource",
        "camvid": "terrazzo.data.sources.camvid:CamvidSource",
        "cityscapes": "terrazzo.data.sources.cityscapes:CityscapesSource",
        "cvat": "terrazzo.data.sources.cvat:CvatSource",
        "deepglobe": "terrazzo.data.sources.deepglobe:DeepglobeSource",
        "folder": "terrazzo.data.sources.folder:FolderSource",
        "geotiff": "terrazzo.data.sources.geotiff:GeotiffSource",
        "safe": "terrazzo.data.sources.safe:SafeSource",
        "table": "terrazzo.data.sources.table:TableSource",
    },
)
"""Sources by name; plug-ins join through the entry-point group `terrazzo.sources`."""

ROLE_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "calib": "calibrate",
    "calibrate": "calibrate",
    "calibration": "calibrate",
    "test": "test",
    "testing": "test",
}
"""Folder names that say a role, in lower case."""


def role_of(folder: str) -> str | None:
    """Return the role that a folder's name says, or None.

    >>> role_of("Validation"), role_of("images")
    ('val', None)
    """
    return ROLE_FOLDERS.get(folder.lower())


@dataclass(frozen=True)
class Pair:
    """Files that belong together.

    Attributes:
        image_id: Name that is once in the listing and does not change when images join.
        image: File of the image.
        label: How its classes are known; None where nothing is labelled.
        extra: Further band files, in the same order for every image.
        split: Role that the layout says; None where it says none.
        region: Place that the image belongs to; None where the layout says none.
        fold: Fold that the layout says, from 0; None where it says none.
        area: Part of the image that counts; None for all of it.
        mask: Raster that says which pixels were not measured; None where there is none.
        band_records: The bands of all its files in order, where the layout knows better than the files; what such a
            record does not state is as the file says.
        band_aliases: A second name for each of these bands, such as "red" for "B04"; empty where it has none.
    """

    image_id: str
    image: Path
    label: Label | None = None
    extra: tuple[Path, ...] = ()
    split: str | None = None
    region: str | None = None
    fold: int | None = None
    area: Area | None = None
    mask: ValidityMask | None = None
    band_records: tuple[Band, ...] = ()
    band_aliases: tuple[str, ...] = ()

    @property
    def all_files(self) -> tuple[Path, ...]:
        """All files of the pair: image, label, further bands, area and mask."""
        others = [part.files for part in (self.label, self.area) if part is not None]
        mask = () if self.mask is None else (self.mask.file,)
        return (self.image, *(path for files in others for path in files), *self.extra, *mask)


@dataclass(frozen=True)
class Listing:
    """What a layout holds.

    Attributes:
        pairs: Images in the order of their names.
        notes: Sentences that a user should read, such as files that were left out.
    """

    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()


class Source(Component):
    """Settings of a layout: `pairs` lists it, and `catalog` opens every header once."""

    @abstractmethod
    def pairs(self) -> Listing:
        """List images with their labels, opening none of them.

        Raises:
            DataError: Nothing is there, or images and labels do not match.
        """

    def known_classes(self) -> Classes | None:
        """Return the classes that the layout itself says, for settings that list none; None where it says nothing."""
        return None

    def elsewhere(self, folder: Path) -> "Source | None":
        """Return the same layout in another folder; None for a layout that is not one folder."""
        return self.model_copy(update={"folder": folder}) if "folder" in type(self).model_fields else None

    def require_classes(self, classes: Classes) -> None:
        """Refuse classes that contradict the layout's own settings.

        Raises:
            ValueError: They do.
        """

    def check_labels(self, pairs: Sequence[Pair], classes: Classes) -> None:
        """Look into a few labels for what contradicts the layout's own settings; most layouts have nothing to look for.

        Args:
            pairs: Images of this layout.
            classes: How labels are read.

        Raises:
            DataError: They do.
        """

    @property
    def georeferenced(self) -> bool:
        """Whether images and labels must have a coordinate reference system."""
        return False

    def catalog(self) -> Catalog:
        """Open the header of every file and return the checked table of images.

        Raises:
            DataError: A file cannot be read, or a label does not fit its image.
        """
        from terrazzo.data.sources.headers import read_header

        listing = self.pairs()
        return Catalog([read_header(pair, georeferenced=self.georeferenced).entry for pair in listing.pairs])
