"""Files of sample points: written for an interpreter to fill, and read back as they come from a table or a GIS."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.errors
import pyogrio.raw
import shapely
from jaxtyping import Float64, Shaped

from terrazzo.assessment.area_sample import SamplePoints
from terrazzo.assessment.area_strata import Strata
from terrazzo.errors import ConfigError, DataError, StorageError
from terrazzo.geo.grid import Grid
from terrazzo.geo.quiet import without_warnings
from terrazzo.geo.raster import RasterFile
from terrazzo.geo.vector import EMPTY_TEXT, text_of
from terrazzo.record import nearest
from terrazzo.storage import atomic_path, write_text

__all__ = ["COLUMNS", "FORMATS", "LabelledPoints", "read_points", "require_format", "write_points"]

COLUMNS = ("id", "x", "y", "lon", "lat", "map", "row", "column", "map_class", "reference")
"""Columns of a sample file; `reference` is for the interpreter."""
FORMATS = {".csv": "CSV", ".gpkg": "GPKG", ".geojson": "GeoJSON"}
"""Endings of sample files, and GDAL's names for what they mean."""
_LAYER = "sample"
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class LabelledPoints:
    """What a sample file says of its points, as text.

    Attributes:
        ids: The points' numbers, or the rows of the file where it has none.
        map_classes: What each is mapped as.
        references: What the interpreter says it is; empty where nothing.
    """

    ids: tuple[str, ...]
    map_classes: tuple[str, ...]
    references: tuple[str, ...]


def require_format(path: Path) -> None:
    """Refuse a file whose ending names no format of sample files.

    Raises:
        ConfigError: It names none.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f'"{path}" is no name of a sample file; it must end in {", ".join(FORMATS)}.')


def write_points(path: Path, points: SamplePoints, strata: Strata) -> None:
    """Write points with an empty column `reference`.

    In a GeoPackage they lie in the maps' coordinate reference system where all have one, else in longitude and
    latitude, as always in GeoJSON.

    Raises:
        ConfigError: The ending names no format, or GeoJSON is asked for points without place on the earth.
        StorageError: The file cannot be written.
    """
    require_format(path)
    values = _values(points, strata)
    if path.suffix.lower() == ".csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        columns = [["" if _is_missing(cell) else cell for cell in values[name].tolist()] for name in COLUMNS]
        writer.writerows(zip(*columns, strict=True))
        write_text(path, text.getvalue())
        return
    across, along, crs = _geometry(path, points, strata)
    try:
        # That points without a coordinate reference system have none needs no warning.
        with atomic_path(path) as temporary, without_warnings(UserWarning):
            pyogrio.raw.write(
                temporary,
                shapely.to_wkb(shapely.points(across, along)),
                [values[name] for name in COLUMNS],
                np.array(COLUMNS, dtype=object),
                geometry_type="Point",
                crs=crs,
                driver=FORMATS[path.suffix.lower()],
                layer=_LAYER,
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise StorageError(f"{path} cannot be written: {error}.") from error


def read_points(path: Path) -> LabelledPoints:
    """Read a sample file whose column `reference` is filled, wholly or in part.

    Args:
        path: A CSV table (commas, semicolons or tabs; with or without byte-order mark) or any vector file that GDAL
            reads; it needs the columns `map_class` and `reference`.

    Raises:
        DataError: The file is missing, damaged or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist; name the sample file whose column `reference` was filled.")
    table = _read_table(path) if path.suffix.lower() == ".csv" else _read_layer(path)
    for column in ("map_class", "reference"):
        if column not in table:
            raise DataError(
                f"{path} has no column `{column}`.{nearest(column, list(table))} Its columns are {', '.join(table)}."
            )
    count = len(table["map_class"])
    ids = table.get("id") or [str(row) for row in range(1, count + 1)]
    twice = sorted({one for one in ids if one and ids.count(one) > 1}) if len(set(ids)) < count else []
    if twice:
        raise DataError(f"{path} holds the point {twice[0]} more than once; each point counts once.")
    return LabelledPoints(tuple(ids), tuple(table["map_class"]), tuple(table["reference"]))


def _values(points: SamplePoints, strata: Strata) -> dict[str, Shaped[np.ndarray, " point"]]:
    names = np.array(strata.legend.names, dtype=object)
    return {
        "id": np.arange(1, len(points) + 1),
        "x": points.x,
        "y": points.y,
        "lon": points.longitudes,
        "lat": points.latitudes,
        "map": np.array(_map_names(strata.maps), dtype=object)[points.maps],
        "row": points.rows,
        "column": points.columns,
        "map_class": names[points.classes],
        "reference": np.full(len(points), None, dtype=object),
    }


def _map_names(maps: Sequence[Path]) -> list[str]:
    """Return the maps' file names, or their paths where two files share one."""
    short = [path.name for path in maps]
    return short if len(set(short)) == len(short) else [str(path) for path in maps]


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _geometry(
    path: Path, points: SamplePoints, strata: Strata
) -> tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"], str | None]:
    """Return the points' coordinates and what these are in."""
    systems = {grid.crs.to_wkt() if grid.crs is not None else None for grid in map(_grid, strata.maps)}
    if path.suffix.lower() == ".gpkg" and len(systems) == 1:
        return points.x, points.y, systems.pop()
    if np.isnan(points.longitudes).any():
        raise ConfigError(
            f"{path} needs longitudes and latitudes, but the maps have no place on the earth; choose a .csv file."
        )
    return points.longitudes, points.latitudes, "EPSG:4326"


def _grid(path: Path) -> Grid:
    with RasterFile(path) as file:
        return file.grid


def _read_table(path: Path) -> dict[str, list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = max(_DELIMITERS, key=head.count)
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table in UTF-8: {error}.") from error
    if not rows:
        raise DataError(f"{path} is empty.")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], 1):
        if len(row) > len(names):
            raise DataError(f"{path}: point {number} has {len(row)} cells, but there are {len(names)} columns.")
    padded = [[*row, *[""] * (len(names) - len(row))] for row in rows[1:]]
    return {name: [row[place].strip() for row in padded] for place, name in enumerate(names)}


def _read_layer(path: Path) -> dict[str, list[str]]:
    try:
        layers = [str(entry[0]) for entry in pyogrio.list_layers(path)]
        layer = _LAYER if _LAYER in layers else None
        meta, _, _, columns = pyogrio.raw.read(path, layer=layer, read_geometry=False)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
        raise DataError(f"{path} cannot be read as a sample file: {error}.") from error
    return {
        str(name): ["" if (text := text_of(value)) == EMPTY_TEXT else text.strip() for value in column]
        for name, column in zip(meta["fields"], columns, strict=True)
    }
