"""The STAC item: checked by the specification's own rules, written out by hand."""

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from shapely.geometry import shape

from terrazzo.geo.grid import Grid
from terrazzo.scene.layer import NOWHERE, Georeference, Layer, LegendEntry
from terrazzo.scene.stac import Asset, file_asset, raster_asset, stac_item, stac_path, write_stac_item

UTM = Grid(CRS.from_epsg(32612), Affine(2, 0, 300_000, 0, -2, 4_100_000), 100, 200)
SOMEWHERE = Georeference((), None, None, present=True)
LEGEND = (
    LegendEntry(0, "wälder", (1, 2, 3)),
    LegendEntry(1, "Äcker", (255, 0, 171)),
    LegendEntry(2, "Öcker", (0, 0, 0)),
)
CLASS = Layer("class", np.dtype(np.uint8), nodata=255, legend=LEGEND)
SHARES = Layer("probabilities", np.dtype(np.float16), channels=2, nodata=float("nan"), band_names=("wälder", "Äcker"))
CONFIDENCE = Layer("confidence", np.dtype(np.uint8), nodata=255, scale=1 / 254)
NOTES = {
    "TERRAZZO_BUNDLE": "ab" * 32, "TERRAZZO_SCENE": "s.tif", "TERRAZZO_INPUT": "cd" * 32,
    "TERRAZZO_SETTINGS": '{"blend": "probabilities"}', "TERRAZZO_DECISIONS": '{"precision": "float32"}',
    "TERRAZZO_VERSIONS": '{"terrazzo": "1", "torch": "2"}',
}  # fmt: skip
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
DATA_TYPES = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"}


def require_valid(item: Mapping[str, Any]) -> None:
    """Check what the JSON schemas of STAC 1.1.0 and of the four extensions demand."""
    text = json.dumps(item, allow_nan=False)
    assert json.loads(text) == item
    assert set(item) <= {
        "type", "stac_version", "stac_extensions", "id", "geometry", "bbox", "properties", "links", "assets",
    }  # fmt: skip
    assert (item["type"], item["stac_version"]) == ("Feature", "1.1.0")
    assert isinstance(item["id"], str)
    assert item["id"]
    assert len(set(item["stac_extensions"])) == len(item["stac_extensions"])
    if item["geometry"] is None:
        assert "bbox" not in item
    else:
        assert shape(item["geometry"]).is_valid
        west, south, east, north = item["bbox"]
        assert -180 <= west <= 180
        assert -180 <= east <= 180
        assert -90 <= south < north <= 90
    require_valid_properties(item["properties"])
    assert isinstance(item["links"], list)
    for asset in item["assets"].values():
        require_valid_asset(asset)


def require_valid_properties(properties: Mapping[str, Any]) -> None:
    assert "datetime" in properties
    if properties["datetime"] is None:
        assert {"start_datetime", "end_datetime"} <= set(properties)
        assert properties["start_datetime"] <= properties["end_datetime"]
    for key in ("datetime", "start_datetime", "end_datetime"):
        assert properties.get(key) is None or TIME.match(properties[key])
    code = properties["proj:code"]
    assert code is None or re.fullmatch(r"[A-Z]+:\d+", code)
    assert isinstance(properties.get("proj:wkt2", ""), str)
    assert len(properties["proj:shape"]) == 2
    assert len(properties.get("proj:transform", [0] * 6)) in {6, 9}
    assert len(properties.get("proj:bbox", [0] * 4)) in {4, 6}
    assert properties.get("gsd", 1) > 0
    assert all(isinstance(version, str) for version in properties["processing:software"].values())
    assert {"format", "expression"} <= set(properties["processing:expression"])


def require_valid_asset(asset: Mapping[str, Any]) -> None:
    assert asset["href"].startswith("./")
    assert re.fullmatch(r"[A-Za-z0-9._~%/-]+", asset["href"]), "not a URI"
    assert len(set(asset["roles"])) == len(asset["roles"]) > 0
    for band in asset.get("bands", []):
        assert band["data_type"] in DATA_TYPES
        assert isinstance(band.get("nodata", 0), (int, float)) or band["nodata"] in {"nan", "inf", "-inf"}
        assert band["raster:sampling"] in {"area", "point"}
    classes = asset.get("classification:classes", [])
    for entry in classes:
        assert isinstance(entry["value"], int)
        assert re.fullmatch(r"[0-9A-Za-z_-]+", entry["name"])
        assert re.fullmatch(r"[0-9A-F]{6}", entry.get("color_hint", "000000"))
        assert isinstance(entry.get("nodata", False), bool)
    assert len({entry["name"] for entry in classes}) == len(classes)
    assert len({entry["value"] for entry in classes}) == len(classes)


def item_of(
    out: Path = Path("maps/m ü.tif"),
    grid: Grid = UTM,
    where: Georeference = SOMEWHERE,
    *,
    tags: Mapping[str, str] | None = None,
    files: tuple[str, ...] = (),
    assets: Mapping[str, Asset] | None = None,
) -> dict[str, Any]:
    default = {"class": raster_asset(out, CLASS, cloud_optimised=True)}
    item = stac_item(out, grid, where, assets or default, notes=NOTES, tags=tags or {}, files=files)
    assert item is not None
    require_valid(item)
    return item


def test_where_it_lies() -> None:
    item = item_of()
    properties = item["properties"]
    assert item["id"] == "m ü"
    assert properties["proj:code"] == "EPSG:32612"
    assert "proj:wkt2" not in properties
    assert properties["proj:shape"] == [100, 200]
    assert properties["proj:transform"] == [2, 0, 300_000, 0, -2, 4_100_000]
    assert properties["proj:bbox"] == [300_000, 4_099_800, 300_400, 4_100_000]
    assert properties["gsd"] == 2
    west, south, east, north = item["bbox"]
    there = Transformer.from_crs(32612, 4326, always_xy=True)
    corners = [there.transform(300_000 + x, 4_100_000 - y) for x in (0, 400) for y in (0, 200)]
    longitudes, latitudes = zip(*corners, strict=True)
    assert (west, east) == pytest.approx((min(longitudes), max(longitudes)), abs=1e-7)
    assert (south, north) == pytest.approx((min(latitudes), max(latitudes)), abs=1e-7)


def test_a_system_without_a_code_is_told_whole() -> None:
    own = CRS.from_proj4("+proj=laea +lat_0=12.5 +lon_0=7.25 +datum=WGS84 +units=m")
    properties = item_of(grid=Grid(own, Affine(2, 0, 0, 0, -2, 0), 10, 10))["properties"]
    assert properties["proj:code"] is None
    assert CRS.from_wkt(properties["proj:wkt2"]) == own


def test_control_points_alone() -> None:
    points = tuple(
        GroundControlPoint(row, column, 5 + column / 10, 50 - row / 10, 0) for row in (0, 10) for column in (0, 20)
    )
    where = Georeference(points, CRS.from_epsg(4326), None, present=True)
    item = item_of(grid=Grid(None, Affine.identity(), 10, 20), where=where)
    assert item["bbox"] == pytest.approx([5, 49, 7, 50], abs=1e-6)
    assert not {"gsd", "proj:transform", "proj:bbox", "proj:wkt2"} & set(item["properties"])


def test_a_transform_without_a_system_has_no_geometry() -> None:
    item = item_of(grid=Grid(None, Affine(2, 0, 1, 0, -2, 1), 10, 20))
    assert item["geometry"] is None
    assert item["properties"]["proj:transform"] == [2, 0, 1, 0, -2, 1]


def test_a_picture_has_no_item() -> None:
    bare = Grid(None, Affine.identity(), 10, 20)
    assert stac_item(Path("m.png"), bare, NOWHERE, {}, notes=NOTES, tags={}) is None


def test_when_it_was_taken(tmp_path: Path) -> None:
    told = item_of(tags={"TIFFTAG_DATETIME": "2021:07:03 10:20:30"})["properties"]
    assert told["datetime"] == "2021-07-03T10:20:30Z"
    assert "start_datetime" not in told
    both = {"PRODUCT_START_TIME": "2021-07-03T12:00:00Z", "PRODUCT_STOP_TIME": "2021-07-03T12:00:20Z"}
    told = item_of(tags=both)["properties"]
    assert (told["datetime"], told["end_datetime"]) == (None, "2021-07-03T12:00:20Z")
    # Nothing is known: before the file was written, and no instant is made up.
    scene = tmp_path / "s.tif"
    scene.write_bytes(b"")
    os.utime(scene, (1e9, 1e9))
    told = item_of(files=(str(scene),))["properties"]
    assert (told["datetime"], told["end_datetime"]) == (None, "2001-09-09T01:46:40Z")
    assert told["terrazzo:acquisition"] == "unknown"
    before = datetime.now(UTC).replace(microsecond=0)
    told = item_of(files=("/vsicurl/https://example.org/s.tif",))["properties"]
    assert datetime.fromisoformat(told["end_datetime"]) >= before


def test_assets_say_what_their_values_mean(tmp_path: Path) -> None:
    out = tmp_path / "m ü.tif"
    assets = {
        "class": raster_asset(out, CLASS, cloud_optimised=True),
        "confidence": raster_asset(tmp_path / "m ü_confidence.tif", CONFIDENCE, cloud_optimised=False),
        "probabilities": raster_asset(tmp_path / "m ü_probabilities.tif", SHARES, cloud_optimised=True),
        "quick_look": file_asset(tmp_path / "m ü_quicklook.png", "quick look"),
        "polygons": file_asset(tmp_path / "m ü.gpkg", "polygons"),
        "other": file_asset(tmp_path / "m ü.odd", "other"),
    }
    found = item_of(out, assets=assets)["assets"]
    assert list(found) == list(assets)
    assert unquote(found["class"]["href"]) == "./m ü.tif"
    assert found["class"]["type"] == "image/tiff; application=geotiff; profile=cloud-optimized"
    assert found["confidence"]["type"] == "image/tiff; application=geotiff"
    assert found["class"]["classification:classes"] == [
        {"value": 0, "name": "w-lder", "title": "wälder", "color_hint": "010203"},
        {"value": 1, "name": "cker", "title": "Äcker", "color_hint": "FF00AB"},
        {"value": 2, "name": "cker-2", "title": "Öcker", "color_hint": "000000"},
        {"value": 255, "name": "nodata", "title": "not measured", "nodata": True},
    ]
    (band,) = found["confidence"]["bands"]
    assert (band["nodata"], band["data_type"], band["raster:scale"]) == (255, "uint8", 1 / 254)
    assert [band["name"] for band in found["probabilities"]["bands"]] == ["wälder", "Äcker"]
    assert {band["nodata"] for band in found["probabilities"]["bands"]} == {"nan"}
    assert found["quick_look"]["roles"] == ["thumbnail", "overview"]
    assert found["other"]["type"] == "application/octet-stream"


def test_colours_are_four_bands_to_look_at() -> None:
    layer = Layer("class", np.dtype(np.uint8), channels=4, colours=True)
    found = item_of(assets={"class": raster_asset(Path("m.tif"), layer, cloud_optimised=True)})["assets"]["class"]
    assert [band["name"] for band in found["bands"]] == ["red", "green", "blue", "alpha"]
    assert found["roles"] == ["visual"]
    assert "classification:classes" not in found


def test_what_made_it() -> None:
    properties = item_of()["properties"]
    assert properties["processing:software"] == {"terrazzo": "1", "torch": "2"}
    assert properties["processing:expression"]["expression"]["bundle_sha256"] == "ab" * 32
    assert "s.tif" in properties["processing:lineage"]


def test_the_item_lies_beside_the_map(tmp_path: Path) -> None:
    out = tmp_path / "m ü.tif"
    item = item_of(out, tags={"TIFFTAG_DATETIME": "2021:07:03 10:20:30"})
    path = write_stac_item(out, item)
    assert path == stac_path(out) == tmp_path / "m ü.stac.json"
    assert json.loads(path.read_text(encoding="utf-8")) == item


def test_a_class_called_nodata_keeps_its_name_apart() -> None:
    layer = Layer("class", np.dtype(np.uint8), nodata=255, legend=(LegendEntry(0, "nodata", (1, 1, 1)),))
    found = item_of(assets={"class": raster_asset(Path("m.tif"), layer, cloud_optimised=True)})["assets"]["class"]
    assert [entry["name"] for entry in found["classification:classes"]] == ["nodata-0", "nodata"]
