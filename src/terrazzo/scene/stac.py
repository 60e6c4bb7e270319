"""The STAC item beside a map: what it is, where, of when, and by what, for catalogues and those who search them.

Source: STAC specification 1.1.0, items, assets and common metadata; its extensions projection 2.0.0, raster 2.0.0,
classification 2.0.0 and processing 1.1.0.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene.acquisition import Acquisition, acquired
from terrazzo.scene.footprint import footprint
from terrazzo.scene.layer import Georeference, Layer
from terrazzo.storage import write_json

__all__ = ["Asset", "file_asset", "raster_asset", "stac_item", "stac_path", "write_stac_item"]

_EXTENSIONS = "https://stac-extensions.github.io"
_PROJECTION = f"{_EXTENSIONS}/projection/v2.0.0/schema.json"
_RASTER = f"{_EXTENSIONS}/raster/v2.0.0/schema.json"
_CLASSIFICATION = f"{_EXTENSIONS}/classification/v2.0.0/schema.json"
_PROCESSING = f"{_EXTENSIONS}/processing/v1.1.0/schema.json"

_GEOTIFF = "image/tiff; application=geotiff"
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".png": ("image/png", ("thumbnail", "overview")),
    ".gpkg": ("application/geopackage+sqlite3", ("data",)),
    ".parquet": ("application/vnd.apache.parquet", ("data",)),
    ".html": ("text/html", ("metadata",)),
    ".xml": ("application/xml", ("metadata",)),
}
_FIRST_AERIAL_PHOTOGRAPH = datetime(1858, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Asset:
    """A file of the map.

    Attributes:
        path: Where it lies; beside the item.
        title: What it shows.
        media_type: What kind of file it is.
        roles: What it is for.
        layer: What its values mean, where it is a raster.
    """

    path: Path
    title: str
    media_type: str
    roles: tuple[str, ...]
    layer: Layer | None = None


def stac_path(out: Path) -> Path:
    """Return where a map's item lies: beside it.

    >>> stac_path(Path("maps/a.tif")).name
    'a.stac.json'
    """
    return out.with_name(f"{out.stem}.stac.json")


def raster_asset(path: Path, layer: Layer, *, cloud_optimised: bool) -> Asset:
    """Return the map or one of its further layers as an asset.

    Args:
        path: A GeoTIFF.
        layer: What its values mean.
        cloud_optimised: Whether it is laid out to be read by parts.
    """
    media_type = f"{_GEOTIFF}; profile=cloud-optimized" if cloud_optimised else _GEOTIFF
    roles = ("visual",) if layer.colours else ("data",)
    return Asset(path, layer.name, media_type, roles, layer)


def file_asset(path: Path, title: str) -> Asset:
    """Return another file as an asset; its suffix says what it is.

    Args:
        path: A picture, polygons, a page or a side file.
        title: What it shows.

    >>> file_asset(Path("a_quicklook.png"), "quick look").media_type
    'image/png'
    """
    media_type, roles = _KINDS.get(path.suffix.lower(), ("application/octet-stream", ("metadata",)))
    return Asset(path, title, media_type, roles)


def write_stac_item(out: Path, item: Mapping[str, Any]) -> Path:
    """Write a map's item beside it, whole or not at all.

    Raises:
        StorageError: The file cannot be written.
    """
    path = stac_path(out)
    write_json(path, dict(item))
    return path


def stac_item(
    out: Path,
    grid: Grid,
    georeference: Georeference,
    assets: Mapping[str, Asset],
    *,
    notes: Mapping[str, str],
    tags: Mapping[str, str],
    files: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Return the STAC item of a map.

    Args:
        out: The map; its name is the item's.
        grid: Coordinate reference system, transform and size.
        georeference: Ground control points and sensor model, where the scene has them.
        assets: Files of the map by key.
        notes: The map's provenance.
        tags: The scene's metadata, which may say when it was taken.
        files: Files that the scene is read from; they date it where no tag does.

    Returns:
        None for a picture that does not say where it lies: an item without a place is not found by any search.
    """
    if not georeference.present and grid.crs is None:
        return None
    place = footprint(grid, georeference)
    properties: dict[str, Any] = {**_times(acquired(tags), files), **_projection(grid)}
    if grid.resolution_m is not None:
        properties["gsd"] = grid.resolution_m
    properties |= _processing(notes)
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [_PROJECTION, _RASTER, _CLASSIFICATION, _PROCESSING],
        "id": out.stem,
        "geometry": place.geometry if place else None,
    }
    if place:
        item["bbox"] = list(place.box)
    listed = {key: _asset(asset) for key, asset in assets.items()}
    return {**item, "properties": properties, "links": [], "assets": listed}


def _times(taken: Acquisition | None, files: Sequence[str]) -> dict[str, Any]:
    """Return when the scene was taken.

    STAC wants an instant, or null with both ends of an interval. Where nothing is known, the time of a file would be a
    lie as an instant, and leaving the item out would hide the map. What is true is an interval: no earlier than the
    first photograph from the air, and no later than the scene's files were last written.
    """
    if taken is None:
        taken = Acquisition(_FIRST_AERIAL_PHOTOGRAPH, _last_change(files))
        told: dict[str, Any] = {"terrazzo:acquisition": "unknown"}
    else:
        told = {}
    if taken.begin == taken.end:
        return {"datetime": _text(taken.begin)}
    return {"datetime": None, "start_datetime": _text(taken.begin), "end_datetime": _text(taken.end), **told}


def _last_change(files: Sequence[str]) -> datetime:
    times = [Path(file).stat().st_mtime for file in files if Path(file).exists()]
    return datetime.fromtimestamp(max(times), UTC) if times else datetime.now(UTC)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _projection(grid: Grid) -> dict[str, Any]:
    found: dict[str, Any] = {"proj:shape": [grid.height, grid.width], "proj:code": None}
    if grid.transform != Affine.identity():
        found["proj:transform"] = list(grid.transform)[:6]
    if grid.crs is not None:
        authority = grid.crs.to_authority()
        if authority is not None and CRS.from_authority(*authority) == grid.crs:
            found["proj:code"] = ":".join(authority)
        else:
            found["proj:wkt2"] = grid.crs.to_wkt(version="WKT2_2019")
        found["proj:bbox"] = list(grid.bounds)
    return found


def _processing(notes: Mapping[str, str]) -> dict[str, Any]:
    """Return how the map came about, from the same notes that its file holds."""
    bundle = notes["TERRAZZO_BUNDLE"]
    return {
        "processing:lineage": f"Classes of {notes['TERRAZZO_SCENE']} by the segmentation model {bundle} (SHA-256).",
        "processing:software": json.loads(notes["TERRAZZO_VERSIONS"]),
        "processing:expression": {
            "format": "terrazzo",
            "expression": {
                "bundle_sha256": bundle,
                "input_sha256": notes["TERRAZZO_INPUT"],
                "settings": json.loads(notes["TERRAZZO_SETTINGS"]),
                "decisions": json.loads(notes["TERRAZZO_DECISIONS"]),
            },
        },
    }


def _asset(asset: Asset) -> dict[str, Any]:
    found: dict[str, Any] = {
        "href": f"./{quote(asset.path.name)}",
        "title": asset.title,
        "type": asset.media_type,
        "roles": list(asset.roles),
    }
    if asset.layer is not None:
        names = ("red", "green", "blue", "alpha") if asset.layer.colours else asset.layer.band_names
        found["bands"] = [_band(name, asset.layer) for name in names or (asset.layer.name,)]
        if asset.layer.legend:
            found["classification:classes"] = _classes(asset.layer)
    return found


def _band(name: str, layer: Layer) -> dict[str, Any]:
    band: dict[str, Any] = {"name": name, "data_type": layer.dtype.name}
    if layer.nodata is not None:
        band["nodata"] = "nan" if math.isnan(layer.nodata) else layer.nodata
    if layer.scale != 1.0:
        band |= {"raster:scale": layer.scale, "raster:offset": 0.0}
    return {**band, "raster:sampling": "area"}


def _classes(layer: Layer) -> list[dict[str, Any]]:
    """Return the legend; names for machines know letters, digits, - and _ alone, titles any sign."""
    found: list[dict[str, Any]] = []
    taken = {"nodata"}
    for entry in layer.legend:
        name = re.sub(r"[^0-9A-Za-z_-]+", "-", entry.name).strip("-")
        if not name or name in taken:
            name = f"{name or 'class'}-{entry.value}"
        taken.add(name)
        colour = "".join(f"{level:02X}" for level in entry.colour)
        found.append({"value": entry.value, "name": name, "title": entry.name, "color_hint": colour})
    if layer.nodata is not None:
        found.append({"value": int(layer.nodata), "name": "nodata", "title": "not measured", "nodata": True})
    return found
