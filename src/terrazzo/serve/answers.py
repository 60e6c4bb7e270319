"""What an answer is written as: a picture, a GeoTIFF, a summary or polygons, each from rows as they come."""

import json
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pyproj
import shapely
from pyarrow import parquet

from terrazzo.data.classes import Classes
from terrazzo.geo.grid import Grid
from terrazzo.scene.layer import Georeference, Layer
from terrazzo.scene.layers import encoded_classes
from terrazzo.scene.pixel_area import row_areas
from terrazzo.scene.polygons import PolygonWriter
from terrazzo.scene.products import CONFIDENCE_STEPS, ProductRows
from terrazzo.scene.settings import PolygonSettings, PredictSettings, Values
from terrazzo.scene.writer import open_writer

__all__ = ["MEDIA_TYPES", "Output", "PolygonAnswer", "RasterAnswer", "RowsTaker", "SummaryAnswer"]

Output = Literal["png", "geotiff", "json", "geojson"]
MEDIA_TYPES: dict[Output, str] = {
    "png": "image/png",
    "geotiff": "image/tiff",
    "json": "application/json",
    "geojson": "application/geo+json",
}

_DEGREES_DIGITS = 8
"""Decimals of longitudes and latitudes: about a millimetre."""


@runtime_checkable
class RowsTaker(Protocol):
    """Takes rows of all products from top to bottom, and is then asked for the answer."""

    def take(self, rows: ProductRows) -> None:
        """Take the next rows."""
        ...

    def finish(self) -> bytes:
        """Return the answer."""
        ...

    def abandon(self) -> None:
        """Give up what was begun."""
        ...


class RasterAnswer:
    """A PNG or GeoTIFF of one product.

    Args:
        path: Scratch file; its suffix decides the format.
        product: Name of the product.
        layer: What its values mean.
        classes: How class numbers are written.
        values: Likewise.
        grid: Where it lies.
        georeference: What else says so.
        settings: Compression, and whether there are overviews.
    """

    def __init__(
        self,
        path: Path,
        product: str,
        layer: Layer,
        *,
        classes: Classes,
        values: Values,
        grid: Grid,
        georeference: Georeference,
        settings: PredictSettings,
    ) -> None:
        self._path = path
        self._product = product
        self._classes = classes
        self._values = values
        self._opened = open_writer(
            path,
            layer,
            grid,
            georeference,
            goal=path,
            compression=settings.compression,
            overviews=settings.overviews,
        )
        self._writer = self._opened.__enter__()

    def take(self, rows: ProductRows) -> None:
        """Take the next rows."""
        values = rows[self._product]
        of_classes = self._product == "class"
        self._writer.write(encoded_classes(values[0], self._classes, self._values) if of_classes else values)

    def finish(self) -> bytes:
        """Return the file's bytes."""
        self._opened.__exit__(None, None, None)
        return self._path.read_bytes()

    def abandon(self) -> None:
        """Close the file as it is."""
        self._writer.abandon()


class SummaryAnswer:
    """Shares, areas and confidence of each class.

    Args:
        classes: The classes.
        grid: Where the map lies.
        about: What else the summary says.
    """

    def __init__(self, classes: Classes, grid: Grid, about: dict[str, Any]) -> None:
        self._classes = classes
        self._grid = grid
        self._about = about
        self._areas = row_areas(grid)
        self._y = 0
        self._pixels = np.zeros(len(classes), dtype=np.int64)
        self._confidence = np.zeros(len(classes), dtype=np.int64)
        self._square_metres = np.zeros(len(classes))

    def take(self, rows: ProductRows) -> None:
        """Count the next rows."""
        target, confidence = rows["class"][0], rows["confidence"][0]
        height, number = target.shape[0], len(self._classes)
        measured = target < number
        by_row = (np.arange(height)[:, None] * number + target)[measured]
        counts = np.bincount(by_row, minlength=height * number).reshape(height, number)
        self._pixels += counts.sum(axis=0)
        sums = np.bincount(target[measured], weights=confidence[measured], minlength=number)
        self._confidence += sums.astype(np.int64)
        if self._areas is not None:
            self._square_metres += self._areas[self._y : self._y + height] @ counts
        self._y += height

    def finish(self) -> bytes:
        """Return the summary as JSON."""
        valid, pixels = int(self._pixels.sum()), self._grid.height * self._grid.width
        found = {
            **self._about,
            "height": self._grid.height,
            "width": self._grid.width,
            "crs": None if self._grid.crs is None else self._grid.crs.to_string(),
            "valid_share": valid / pixels,
            "confidence": _mean(int(self._confidence.sum()), valid),
            "classes": [
                {
                    "number": number,
                    "name": item.name,
                    "colour": "#" + "".join(f"{int(part):02x}" for part in item.colour),
                    "pixels": int(self._pixels[number]),
                    "share": int(self._pixels[number]) / valid if valid else None,
                    "area_m2": None if self._areas is None else float(self._square_metres[number]),
                    "confidence": _mean(int(self._confidence[number]), int(self._pixels[number])),
                }
                for number, item in enumerate(self._classes.items)
            ],
        }
        return json.dumps(found, ensure_ascii=False, allow_nan=False).encode()

    def abandon(self) -> None:
        """Do nothing: no file was begun."""


class PolygonAnswer:
    """The polygons of a map's areas as GeoJSON, in longitude and latitude, or in pixels where the map lies nowhere.

    Source: RFC 7946, "The GeoJSON Format".

    Args:
        path: Scratch file, ending in `.parquet`.
        classes: The classes.
        grid: Where the map lies.
        settings: Smallest area, simplification, classes.
        about: Foreign members of the collection.
    """

    def __init__(
        self, path: Path, classes: Classes, grid: Grid, settings: PolygonSettings, about: dict[str, Any]
    ) -> None:
        self._path = path
        self._grid = grid
        self._about = about
        own = settings.model_copy(update={"format": "parquet"})
        self._writer = PolygonWriter(path, grid, classes, own, ignore=classes.ignore)

    def take(self, rows: ProductRows) -> None:
        """Follow areas through the next rows."""
        self._writer.write(rows["class"][0])

    def finish(self) -> bytes:
        """Return the collection."""
        self._writer.complete()
        table = parquet.read_table(self._path, columns=["class", "value", "pixels", "area_m2", "geometry"])
        geometries = shapely.from_wkb(table.column("geometry").to_numpy(zero_copy_only=False))
        crs = self._grid.crs
        if crs is not None:
            geographic = pyproj.Transformer.from_crs(crs.to_wkt(), "OGC:CRS84", always_xy=True)
            geometries = shapely.transform(
                geometries,
                lambda places: np.round(np.stack(geographic.transform(*places.T), axis=1), _DEGREES_DIGITS),
            )
            # Right-handed rings, as the format asks.
            geometries = shapely.orient_polygons(geometries)
        drawn = shapely.to_geojson(geometries)
        rows = table.drop_columns(["geometry"]).to_pylist()
        head = {"type": "FeatureCollection", "coordinates": "pixels" if crs is None else "degrees", **self._about}
        features = ",".join(
            f'{{"type":"Feature","properties":{json.dumps(row, ensure_ascii=False)},"geometry":{shape}}}'
            for row, shape in zip(rows, drawn, strict=True)
        )
        return f'{json.dumps(head, ensure_ascii=False)[:-1]},"features":[{features}]}}'.encode()

    def abandon(self) -> None:
        """Give back what was taken."""
        self._writer.abandon()


def _mean(steps: int, pixels: int) -> float | None:
    """Return a mean share from a sum of stored steps; None of no pixel."""
    return steps / CONFIDENCE_STEPS / pixels if pixels else None
