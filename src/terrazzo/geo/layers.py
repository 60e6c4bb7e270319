"""Layers of vector files as they are stored: geometries and columns, whole or around a place.

GeoPackage, shapefile, GeoJSON, FlatGeobuf and whatever else GDAL reads go through pyogrio, GeoParquet through Arrow.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow.lib
import pyarrow.parquet
import pyogrio
import pyogrio.errors
import shapely
from jaxtyping import Shaped

from terrazzo.errors import DataError
from terrazzo.geo.quiet import without_warnings
from terrazzo.record import nearest

__all__ = ["Bounds", "Layer", "Table", "open_layer", "read_layer"]

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""

KEPT_BYTES = 64 * 2**20
"""Largest file without spatial index that is kept in memory once it was read."""
PART = 65536
"""Shapes that are held at once where a whole layer is looked through."""
_ARROW_SUFFIXES = frozenset({".parquet", ".geoparquet"})


@dataclass(frozen=True)
class Table:
    """Features as they are stored, in the order of their file.

    Attributes:
        geometries: Of each feature; None where it has none.
        columns: Attributes by field.
    """

    geometries: Shaped[np.ndarray, " shape"]
    columns: Mapping[str, Shaped[np.ndarray, " shape"]]


@dataclass(frozen=True)
class Layer(ABC):
    """One layer of a vector file; its header was read.

    Attributes:
        path: File.
        name: Name of the layer; None in a format without layers.
        crs: Coordinate reference system as text; None where the file says none.
        fields: Names of the attributes.
        indexed: Whether reading around a place is fast.
        bounds: Of all shapes; None where there are none or the file does not say.
        count: Features.
    """

    path: Path
    name: str | None
    crs: str | None
    fields: tuple[str, ...]
    indexed: bool
    bounds: Bounds | None
    count: int

    @abstractmethod
    def read(self, fields: Sequence[str] = (), around: Bounds | None = None) -> Table:
        """Read features.

        Args:
            fields: Attributes to read; they exist.
            around: Only what may touch this rectangle, in the layer's own coordinates; all if None.

        Raises:
            DataError: The file is damaged.
        """

    @abstractmethod
    def parts(self) -> Iterator[Shaped[np.ndarray, " shape"]]:
        """Yield all geometries, a bounded number at a time where the format can."""


class OgrLayer(Layer):
    """A layer that GDAL reads."""

    def read(self, fields: Sequence[str] = (), around: Bounds | None = None) -> Table:
        """Read features through pyogrio."""
        return self._read(fields, around, None)

    def parts(self) -> Iterator[Shaped[np.ndarray, " shape"]]:
        """Yield all geometries, `PART` at a time."""
        for begin in range(0, self.count, PART):
            yield self._read((), None, begin).geometries

    def _read(self, fields: Sequence[str], around: Bounds | None, begin: int | None) -> Table:
        part = {} if begin is None else {"skip_features": begin, "max_features": PART}
        try:
            with without_warnings(RuntimeWarning):
                _, numbers, shapes, columns = pyogrio.raw.read(
                    self.path, layer=self.name, columns=list(fields), bbox=around, return_fids=True, **part
                )
            # Rings that are not closed are closed; what is no shape at all counts as missing.
            geometries = shapely.from_wkb(shapes, on_invalid="fix")
        except (*_OGR_ERRORS, shapely.errors.GEOSException) as error:
            raise DataError(f"{self.path} cannot be read: {error}.") from error
        # With a spatial index GDAL answers in the order of the index; what lies on top must not depend on that.
        order = np.argsort(numbers, kind="stable") if self.indexed else np.arange(len(numbers))
        # Columns come in the order of the file, not of the question.
        names = [name for name in self.fields if name in fields]
        return Table(geometries[order], {name: column[order] for name, column in zip(names, columns, strict=True)})


class ParquetLayer(Layer):
    """A GeoParquet file."""

    def read(self, fields: Sequence[str] = (), around: Bounds | None = None) -> Table:
        """Read features through Arrow; around a place only where the file holds a column of bounds."""
        try:
            geometry = _parquet_header(self.path)["primary_column"]
            frame = gpd.read_parquet(self.path, columns=[*fields, geometry], bbox=around if self.indexed else None)
        except _PARQUET_ERRORS as error:
            raise DataError(f"{self.path} cannot be read as GeoParquet: {error}.") from error
        columns = {name: frame[name].astype(object).to_numpy() for name in fields}
        return Table(np.asarray(frame[geometry].array), columns)

    def parts(self) -> Iterator[Shaped[np.ndarray, " shape"]]:
        """Yield all geometries at once."""
        yield self.read().geometries


_OGR_ERRORS = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError, OSError)
_PARQUET_ERRORS = (OSError, ValueError, KeyError, pyarrow.lib.ArrowException, shapely.errors.GEOSException)


def open_layer(path: Path, name: str | None = None) -> Layer:
    """Read the header of a layer; one that was read lately is not read again.

    Args:
        path: File.
        name: Name of the layer; None where the file has one.

    Raises:
        DataError: The file is missing, damaged or no vector file; there is no such layer, or several and none is named.
    """
    return _opened(path, name, _state(path))


def read_layer(layer: Layer, fields: Sequence[str], around: Bounds | None) -> Table:
    """Read features that may touch a place; a small file without spatial index is read once and kept whole.

    Raises:
        DataError: The file is damaged.
    """
    state = _state(layer.path)
    if layer.indexed or state[0] > KEPT_BYTES:
        return layer.read(fields, around)
    return _whole(layer, tuple(fields), state)


def _state(path: Path) -> tuple[int, int]:
    """Return size and time of a file: another size or time is another file."""
    try:
        facts = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return facts.st_size, facts.st_mtime_ns


@lru_cache(maxsize=64)
def _opened(path: Path, name: str | None, _at: tuple[int, int]) -> Layer:
    return _open_parquet(path, name) if path.suffix.lower() in _ARROW_SUFFIXES else _open_ogr(path, name)


@lru_cache(maxsize=4)
def _whole(layer: Layer, fields: tuple[str, ...], _at: tuple[int, int]) -> Table:
    return layer.read(fields)


def _open_ogr(path: Path, name: str | None) -> Layer:
    try:
        with without_warnings(RuntimeWarning):
            layers = [str(entry[0]) for entry in pyogrio.list_layers(path)]
            chosen = _chosen(path, name, layers)
            info: dict[str, Any] = pyogrio.read_info(
                path, layer=chosen, force_feature_count=True, force_total_bounds=True
            )
    except _OGR_ERRORS as error:
        raise DataError(f"{path} cannot be read as a vector file: {error}.") from error
    if info["geometry_type"] is None:
        raise DataError(f"{path}: the layer {chosen} is a table without shapes.")
    return OgrLayer(
        path=path,
        name=chosen,
        crs=info["crs"],
        fields=tuple(map(str, info["fields"])),
        indexed=bool(info["capabilities"]["fast_spatial_filter"]),
        bounds=_bounds(info["total_bounds"]),
        count=max(int(info["features"]), 0),
    )


def _chosen(path: Path, name: str | None, layers: list[str]) -> str:
    if not layers:
        raise DataError(f"{path} holds no layer.")
    if name is None and len(layers) > 1:
        raise DataError(f"{path} holds the layers {', '.join(layers)}; say which one with `layer`.")
    if name is not None and name not in layers:
        raise DataError(f'{path} has no layer "{name}"; it has {", ".join(layers)}.{nearest(name, layers)}')
    return name or layers[0]


def _open_parquet(path: Path, name: str | None) -> Layer:
    if name is not None:
        raise DataError(f'{path}: GeoParquet has no layers; leave out "{name}".')
    try:
        header = _parquet_header(path)
        facts = header["columns"][header["primary_column"]]
        schema = pyarrow.parquet.read_schema(path)
        count = pyarrow.parquet.read_metadata(path).num_rows
    except _PARQUET_ERRORS as error:
        raise DataError(f"{path} cannot be read as GeoParquet: {error}.") from error
    covering = facts.get("covering", {}).get("bbox", {})
    hidden = {*header["columns"], *(places[0] for places in covering.values())}
    # A file that says nothing of a system is in longitude and latitude; one that says null has none.
    crs = json.dumps(facts["crs"]) if facts.get("crs") else (None if "crs" in facts else "OGC:CRS84")
    return ParquetLayer(
        path=path,
        name=None,
        crs=crs,
        fields=tuple(field for field in schema.names if field not in hidden),
        indexed=bool(covering),
        bounds=_bounds(facts.get("bbox")),
        count=count,
    )


def _parquet_header(path: Path) -> dict[str, Any]:
    metadata = pyarrow.parquet.read_schema(path).metadata or {}
    if b"geo" not in metadata:
        raise DataError(f"{path} is a Parquet file without shapes: it has no GeoParquet header.")
    header: dict[str, Any] = json.loads(metadata[b"geo"])
    return header


def _bounds(found: Sequence[float] | None) -> Bounds | None:
    if found is None or not np.isfinite(np.asarray(found, dtype=np.float64)).all():
        return None
    middle = len(found) // 2
    left, bottom, right, top = float(found[0]), float(found[1]), float(found[middle]), float(found[middle + 1])
    return left, bottom, right, top
