"""Sentinel-2 products as they are downloaded: SAFE folders of levels 1C and 2A, of old and new names."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.sources.pattern import Pattern, raster_files
from terrazzo.data.sources.safe_metadata import Radiometry, read_radiometry
from terrazzo.data.sources.source import Listing, Pair, Source
from terrazzo.data.sources.vector_labels import SceneVectors
from terrazzo.data.validity import ValidityMask
from terrazzo.errors import DataError
from terrazzo.geo.bands import Band

__all__ = ["COMMON_NAMES", "SafeSource", "safe_folders"]

COMMON_NAMES: Mapping[str, str] = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B10": "cirrus",
    "B11": "swir16",
    "B12": "swir22",
}
"""A second name of each band, by which `data.bands` may ask for it.

Source: STAC Electro-Optical Extension Specification, common band names; the three red edges are numbered.
"""

_BANDS = {
    "L1C": tuple(COMMON_NAMES),
    "L2A": tuple(band for band in COMMON_NAMES if band != "B10"),
}
"""Bands of each level; the surface product has no cirrus band."""

_BAND_FILE = re.compile(r".*_(B(?:0[1-9]|1[0-2]|8A))(?:_(10|20|60)m)?\.jp2", re.IGNORECASE)
_CLASSES_FILE = re.compile(r".*_SCL(?:_.*)?_(20|60)m\.jp2", re.IGNORECASE)
_METADATA_FILE = re.compile(r"(?:MTD_MSI|S2._(?:OPER|USER)_MTD_SAF)(L1C|L2A).*\.xml", re.IGNORECASE)


@dataclass(frozen=True)
class _Granule:
    """One tile of a product.

    Attributes:
        name: Its name in the listing.
        folder: Where its `IMG_DATA` lies.
        level: "L1C" or "L2A".
        metadata: Metadata file of the product.
    """

    name: str
    folder: Path
    level: str
    metadata: Path


class SafeSource(Source):
    """Sentinel-2 products, levels 1C and 2A, each tile with all its bands at their finest resolution.

    Raw values follow one convention, whatever their processing baseline: reflectance = raw value x scale + offset, 0
    where nothing was measured.
    """

    name: Literal["safe"] = "safe"
    """Name of this source."""
    folder: Path
    """A SAFE folder, or a folder that holds SAFE folders at any depth, unpacked."""
    labels: str | None = None
    """Label rasters below the folder, or beside it where it is a SAFE folder itself: one file for all tiles, or a
    pattern such as "labels/*.tif" whose star stands for the name of the SAFE folder (without `.SAFE`); none if not
    given."""
    label_vectors: VectorLabel | None = None
    """Vector files that label the tiles, instead of rasters: for all of them, patterns such as "cover/*.gpkg" too, or
    named after each SAFE folder, such as "labels/{stem}.geojson"."""
    bands: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Bands that every product must hold, such as [B02, B03, B04]; all of its level if not given."""
    missing: tuple[int, ...] = (0, 1, 3, 8, 9, 10)
    """Classes of the scene classification of level 2A that count as not measured: no data, defective, cloud shadow,
    clouds of medium and high probability, cirrus. An empty list uses no scene classification."""

    @model_validator(mode="after")
    def _one_way(self) -> "SafeSource":
        if self.labels is not None and self.label_vectors is not None:
            raise ValueError("give `labels`, which are rasters, or `label_vectors`, not both")
        return self

    @property
    def georeferenced(self) -> bool:
        """Yes: a product without coordinates is damaged."""
        return True

    def pairs(self) -> Listing:
        """List the tiles, opening no image; each product's metadata is read.

        Raises:
            DataError: There is no SAFE folder; one lacks bands or metadata; labels are missing.
        """
        folder = self.folder.absolute()
        products = safe_folders(folder)
        if not products:
            raise DataError(
                f"{folder} holds no folder called *.SAFE; unpack the products and name the folder above them."
            )
        granules = [granule for product in products for granule in _granules(product)]
        names = [granule.name for granule in granules]
        if double := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"{folder} holds two products called {double}; keep one.")
        labels = self._labels(folder, granules)
        pairs = [self._pair(granule, labels.get(granule.name)) for granule in granules]
        pairs.sort(key=lambda pair: pair.image_id)
        return Listing(tuple(pairs))

    def _pair(self, granule: _Granule, label: Label | None) -> Pair:
        """Gather the files of one tile."""
        found, classes = _files(granule.folder)
        wanted = self._wanted(granule)
        if missing := [band for band in wanted if band not in found]:
            raise DataError(
                f"{granule.folder} lacks {', '.join(missing)} of level {granule.level}; it holds "
                f"{', '.join(sorted(found)) or 'no band'}. Download it whole, or name the bands that you have in "
                "data.source.bands."
            )
        if empty := next((found[band] for band in wanted if not found[band].stat().st_size), None):
            raise DataError(f"{empty} is empty; the product was not downloaded whole.")
        radiometry = read_radiometry(granule.metadata, level=granule.level)
        mask = None
        if granule.level == "L2A" and self.missing:
            if classes is None:
                raise DataError(
                    f"{granule.folder} lacks its scene classification (SCL); set data.source.missing: [] to use none."
                )
            mask = ValidityMask(file=classes, missing=self.missing)
        return Pair(
            image_id=granule.name,
            image=found[wanted[0]],
            extra=tuple(found[band] for band in wanted[1:]),
            label=label,
            mask=mask,
            band_records=tuple(_record(band, radiometry) for band in wanted),
            band_aliases=tuple(COMMON_NAMES[band] for band in wanted),
        )

    def _wanted(self, granule: _Granule) -> list[str]:
        """Return the bands of one tile, in their order."""
        of_level = _BANDS[granule.level]
        if self.bands is None:
            return list(of_level)
        numbers = {common: band for band, common in COMMON_NAMES.items()}
        asked = [numbers.get(name, name) for name in self.bands]
        if unknown := [name for name in asked if name not in of_level]:
            raise DataError(
                f'data.source.bands: level {granule.level} has no band "{unknown[0]}"; it has {", ".join(of_level)}.'
            )
        return [band for band in of_level if band in asked]

    def _labels(self, folder: Path, granules: Sequence[_Granule]) -> dict[str, Label]:
        """Return the label of each tile, by its name."""
        if self.label_vectors is not None:
            vectors = SceneVectors(self.label_vectors, folder)
            shaped = {granule.name: vectors.of(folder / f"{_product(granule)}.SAFE") for granule in granules}
            if bare := [name for name, label in shaped.items() if label is None]:
                raise DataError(f"{folder}: no file of data.source.label_vectors is called after {bare[0]}.")
            return {name: label for name, label in shaped.items() if label is not None}
        if self.labels is None:
            return {}
        base = folder.parent if folder.suffix.upper() == ".SAFE" else folder
        pattern = Pattern(self.labels)
        files = [path for path in raster_files(base) if pattern.match(path) is not None]
        if not files:
            raise DataError(f'{base}: no raster matches data.source.labels "{self.labels}".')
        if not pattern.stars:
            return {granule.name: RasterLabel(rasters=(base / files[0],)) for granule in granules}
        by_stem = {PurePosixPath(path).stem: base / path for path in files}
        found: dict[str, Label] = {}
        for granule in granules:
            words = [path for stem, path in by_stem.items() if stem == granule.name.rpartition("/")[2]]
            product = [path for stem, path in by_stem.items() if stem == _product(granule)]
            if not (words or product):
                raise DataError(
                    f'{base}: no label is called "{_product(granule)}" among {", ".join(sorted(by_stem)[:5])}.'
                )
            found[granule.name] = RasterLabel(rasters=((words or product)[0],))
        return found


def _product(granule: _Granule) -> str:
    """Return the name of the SAFE folder that holds a tile, without its suffix."""
    return granule.name.partition("/")[0]


def safe_folders(folder: Path) -> list[Path]:
    """Return the SAFE folders at or below a folder, sorted; linked folders are followed, each once.

    Raises:
        DataError: The folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; data.source.folder names where SAFE folders lie.")
    if folder.suffix.upper() == ".SAFE":
        return [folder]
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found += [Path(place) / name for name in folders if name.upper().endswith(".SAFE")]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not name.upper().endswith(".SAFE"))
    return sorted(found)


def _granules(product: Path) -> list[_Granule]:
    """Return the tiles of a product: one in new products, one or several in old ones."""
    metadata = sorted(path for path in product.iterdir() if _METADATA_FILE.fullmatch(path.name))
    if len(metadata) != 1:
        held = "holds no" if not metadata else "holds more than one"
        raise DataError(f"{product} {held} metadata file MTD_MSIL1C.xml or MTD_MSIL2A.xml; download it whole.")
    kind = _METADATA_FILE.fullmatch(metadata[0].name)
    level = kind.group(1).upper() if kind else ""
    above = product / "GRANULE"
    folders = sorted(path for path in above.iterdir() if path.is_dir()) if above.is_dir() else []
    folders = [path for path in folders if not path.name.startswith(".")]
    if not folders:
        raise DataError(f"{product} has no tile below GRANULE; download it whole.")
    return [
        _Granule(product.stem if len(folders) == 1 else f"{product.stem}/{path.name}", path, level, metadata[0])
        for path in folders
    ]


def _files(granule: Path) -> tuple[dict[str, Path], Path | None]:
    """Return the finest file of each band, and of the scene classification."""
    bands: dict[str, tuple[int, Path]] = {}
    classes: dict[int, Path] = {}
    for path in sorted((granule / "IMG_DATA").rglob("*")):
        if (band := _BAND_FILE.fullmatch(path.name)) is not None:
            entry = (int(band.group(2) or 0), path)
            name = band.group(1).upper()
            bands[name] = min(entry, bands.get(name, entry))
        elif (scene := _CLASSES_FILE.fullmatch(path.name)) is not None:
            classes[int(scene.group(1))] = path
    return {name: path for name, (_, path) in bands.items()}, classes[min(classes)] if classes else None


def _record(band: str, radiometry: Radiometry) -> Band:
    return Band(name=band, scale=radiometry.scale, offset=radiometry.offset(band), nodata=0.0)
