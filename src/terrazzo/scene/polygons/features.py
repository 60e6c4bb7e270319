"""Polygons as features of a vector file: collected on the disk, then written in one go.

A GeoPackage has one table, `polygons`, with a spatial index; GeoParquet follows version 1.1, with a column of bounds by
which readers skip what lies elsewhere.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyogrio
import pyogrio.errors
import pyproj
import shapely
from jaxtyping import Float64
from pyarrow import parquet
from rasterio.crs import CRS

from terrazzo.errors import StorageError
from terrazzo.geo.quiet import without_warnings
from terrazzo.scene.polygons.assembly import Polygons
from terrazzo.storage import atomic_path

__all__ = ["LAYER", "Features"]

LAYER = "polygons"
"""Name of a GeoPackage's table."""

_BATCH, _BATCH_BYTES = 8_192, 8 * 2**20
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_COLUMNS = (
    pa.field("class", pa.string(), nullable=False),
    pa.field("value", pa.int32(), nullable=False),
    pa.field("pixels", pa.int64(), nullable=False),
    pa.field("area_m2", pa.float64()),
)
_BOUNDS = pa.field("bbox", pa.struct([pa.field(side, pa.float64(), nullable=False) for side in _SIDES]), nullable=False)
_GEOMETRY = pa.field("geometry", pa.large_binary(), nullable=False, metadata={"ARROW:extension:name": "geoarrow.wkb"})


class Features:
    """Features of one file.

    Args:
        folder: Where they are collected.
        names: Name of each class.
        crs: Of the coordinates; None where there is none.
    """

    def __init__(self, folder: Path, names: tuple[str, ...], crs: CRS | None) -> None:
        self._names = np.array(names, dtype=object)
        self._crs = None if crs is None else crs.to_wkt()
        self._schema = pa.schema([*_COLUMNS, _BOUNDS, _GEOMETRY])
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close()
        self._stream = pa.ipc.new_stream(self._file, self._schema)
        self._waiting: list[pa.RecordBatch] = []
        self._bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._count = 0

    def add(self, polygons: Polygons) -> None:
        """Collect polygons."""
        if not len(polygons):
            return
        values = polygons.values.astype(np.int32)
        bounds: Float64[np.ndarray, "polygon 4"] = shapely.bounds(polygons.geometries)
        self._bounds = np.concatenate(
            [np.minimum(self._bounds[:2], bounds[:, :2].min(0)), np.maximum(self._bounds[2:], bounds[:, 2:].max(0))]
        )
        sides = [pa.array(np.ascontiguousarray(side)) for side in bounds.T]
        batch = pa.record_batch(
            [
                pa.array(self._names[values], pa.string()),
                pa.array(values),
                pa.array(polygons.pixels),
                pa.array(polygons.square_metres, from_pandas=True),
                pa.StructArray.from_arrays(sides, fields=list(_BOUNDS.type)),
                pa.array(shapely.to_wkb(polygons.geometries), pa.large_binary()),
            ],
            schema=self._schema,
        )
        self._waiting.append(batch)
        self._count += len(polygons)
        waiting = sum(batch.num_rows for batch in self._waiting)
        if waiting >= _BATCH or sum(batch.nbytes for batch in self._waiting) >= _BATCH_BYTES:
            self._flush()

    def write(self, path: Path, kind: Literal["gpkg", "parquet"]) -> None:
        """Write all of them; the file appears whole or not at all.

        Raises:
            StorageError: It cannot be written, or holds another number of features.
        """
        self._flush()
        self._stream.close()
        self._file.flush()
        write, count = (_write_gpkg, _count_gpkg) if kind == "gpkg" else (_write_parquet, _count_parquet)
        with atomic_path(path) as temporary:
            try:
                write(temporary, self._batches(), self._described(kind), self._crs)
                found = count(temporary)
            except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pa.ArrowException) as error:
                raise StorageError(f"{path} cannot be written: {error}.") from error
            if found != self._count:
                raise StorageError(f"{path} holds {found} polygons of {self._count}; is the disk full or failing?")

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._stream.write_batch(pa.concat_batches(self._waiting))
            self._waiting = []

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as stream:
            yield from stream

    def _described(self, kind: Literal["gpkg", "parquet"]) -> pa.Schema:
        """Return the schema of the file: a GeoPackage keeps bounds in its index."""
        if kind == "gpkg":
            return pa.schema([*_COLUMNS, _GEOMETRY])
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": ["Polygon"],
            "crs": None if self._crs is None else pyproj.CRS.from_user_input(self._crs).to_json_dict(),
            "orientation": "counterclockwise",
            "covering": {"bbox": {side: ["bbox", side] for side in _SIDES}},
        }
        if self._count:
            column["bbox"] = self._bounds.tolist()
        header = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
        return self._schema.with_metadata({"geo": json.dumps(header)})


def _write_gpkg(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema, crs: str | None) -> None:
    reader = pa.RecordBatchReader.from_batches(schema, (batch.select(schema.names) for batch in batches))
    # That a map without a coordinate reference system gives polygons without one needs no warning.
    with without_warnings(UserWarning):
        pyogrio.write_arrow(
            reader, path, layer=LAYER, driver="GPKG", geometry_name="geometry", geometry_type="Polygon", crs=crs
        )


def _write_parquet(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema, crs: str | None) -> None:
    del crs  # stands in the schema
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)


def _count_gpkg(path: Path) -> int:
    return int(pyogrio.read_info(path, layer=LAYER, force_feature_count=True)["features"])


def _count_parquet(path: Path) -> int:
    return int(parquet.read_metadata(path).num_rows)
