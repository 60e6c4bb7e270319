"""Files of polygons, read by other libraries."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pyogrio.errors
import pytest
import shapely
from pyarrow import parquet
from rasterio.crs import CRS

from terrazzo.errors import StorageError
from terrazzo.scene.polygons import features as features_module
from terrazzo.scene.polygons.assembly import Polygons
from terrazzo.scene.polygons.features import LAYER, Features

UTM = CRS.from_epsg(32612)
NAMES = ("water", "größe", "road")


def boxes(first: int, count: int) -> Polygons:
    left = np.arange(first, first + count, dtype=np.float64)
    return Polygons(
        shapely.box(left, 0, left + 1, 1),
        (np.arange(first, first + count) % 3).astype(np.uint8),
        np.arange(first, first + count) + 1,
        np.where(left % 2 == 0, left, np.nan),
    )


def written(path: Path, kind: str, *parts: Polygons, crs: CRS | None = UTM) -> gpd.GeoDataFrame:
    features = Features(path.parent, NAMES, crs)
    for part in parts:
        features.add(part)
    features.write(path, kind)
    features.close()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return gpd.read_file(path, layer=LAYER) if kind == "gpkg" else gpd.read_parquet(path)


@pytest.mark.parametrize("kind", ["gpkg", "parquet"])
@pytest.mark.parametrize("batch", [3, 1000])
def test_columns_come_back(kind: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "_BATCH", batch)
    frame = written(tmp_path / f"a ü.{kind}", kind, boxes(0, 4), boxes(4, 0), boxes(4, 3))
    assert frame["class"].tolist() == [NAMES[number % 3] for number in range(7)]
    assert frame["value"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert frame["pixels"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(frame["area_m2"], [0, np.nan, 2, np.nan, 4, np.nan, 6])
    assert shapely.equals_exact(frame.geometry.to_numpy(), boxes(0, 7).geometries).all()
    assert frame.crs.to_epsg() == 32612


@pytest.mark.parametrize("kind", ["gpkg", "parquet"])
def test_no_polygon_and_no_coordinate_reference_system(kind: str, tmp_path: Path) -> None:
    assert len(written(tmp_path / f"empty.{kind}", kind)) == 0
    folder = tmp_path / "plain"
    folder.mkdir()
    frame = written(folder / f"plain.{kind}", kind, boxes(0, 2), crs=None)
    assert len(frame) == 2
    # A GeoPackage calls it undefined; GeoParquet says null.
    assert frame.crs is None or "undefined" in frame.crs.name.lower()


def test_a_geopackage_has_a_spatial_index(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    written(path, "gpkg", boxes(0, 50))
    assert pyogrio.list_layers(path).tolist() == [[LAYER, "Polygon"]]
    found = gpd.read_file(path, bbox=(10.2, 0.2, 11.8, 0.8))
    assert sorted(found["pixels"]) == [11, 12]
    info = pyogrio.read_info(path)
    assert info["capabilities"]["fast_spatial_filter"]


def test_geoparquet_says_what_its_standard_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features_module, "_BATCH", 5)
    path = tmp_path / "map.parquet"
    written(path, "parquet", *(boxes(first, 5) for first in range(0, 50, 5)))
    header = json.loads(parquet.read_schema(path).metadata[b"geo"])
    column = header["columns"]["geometry"]
    assert (header["version"], header["primary_column"]) == ("1.1.0", "geometry")
    assert (column["encoding"], column["orientation"], column["geometry_types"]) == (
        "WKB",
        "counterclockwise",
        ["Polygon"],
    )
    assert column["bbox"] == [0, 0, 50, 1]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32612}
    assert sorted(gpd.read_parquet(path, bbox=(10.2, 0.2, 11.8, 0.8))["pixels"]) == [11, 12]
    assert parquet.ParquetFile(path).num_row_groups == 10


@pytest.mark.parametrize("kind", ["gpkg", "parquet"])
def test_what_cannot_be_written_is_told_and_leaves_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = Features(tmp_path, NAMES, UTM)
    features.add(boxes(0, 3))
    monkeypatch.setattr(features_module, f"_count_{kind}", lambda _: 2)
    with pytest.raises(StorageError, match="holds 2 polygons of 3"):
        features.write(tmp_path / f"map.{kind}", kind)
    features.close()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_gdal_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise pyogrio.errors.DataSourceError("the disk is gone")

    monkeypatch.setattr(pyogrio, "write_arrow", fail)
    features = Features(tmp_path, NAMES, UTM)
    features.add(boxes(0, 3))
    with pytest.raises(StorageError, match=r"map.gpkg cannot be written: the disk is gone"):
        features.write(tmp_path / "map.gpkg", "gpkg")
    features.close()
