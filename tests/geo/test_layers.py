"""Layers as they are stored."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pyogrio
import pytest
import shapely
from shapely import Point, box

from terrazzo.errors import DataError
from terrazzo.geo import layers
from terrazzo.geo.layers import open_layer, read_layer

FORMATS = ["a.gpkg", "a.geojson", "a.shp", "a.fgb", "a.parquet", "Grüße vom See/ä 1.GPKG", "ü b.GeoJSON"]


def frame(crs="EPSG:32633"):
    return gpd.GeoDataFrame(
        {"kind": ["road", "wald", None], "size": [3, 4, 5]},
        geometry=[box(0, 0, 1, 1), box(10, 10, 12, 12), Point(20, 20)],
        crs=crs,
    )


def write(path, table=None, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = frame() if table is None else table
    if path.suffix.lower() == ".parquet":
        table.to_parquet(path, **settings)
    elif path.suffix.lower() == ".shp":
        table[table.geom_type == "Polygon"].to_file(path, **settings)
    else:
        drivers = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
        table.to_file(path, driver=drivers[path.suffix.lower()], **settings)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_shapes_and_columns(tmp_path, name):
    path = write(tmp_path / name, **({"SPATIAL_INDEX": "NO"} if name.endswith("fgb") else {}))
    layer = open_layer(path)
    count = 2 if name.endswith("shp") else 3
    assert (layer.count, layer.fields) == (count, ("kind", "size"))
    assert layer.bounds == ((0, 0, 12, 12) if count == 2 else (0, 0, 20, 20))
    table = layer.read(("size", "kind"))
    assert shapely.equals(table.geometries, frame().geometry.to_numpy()[:count]).all()
    assert table.columns["size"].tolist() == [3, 4, 5][:count]
    assert table.columns["kind"].tolist()[:2] == ["road", "wald"]
    assert sum(len(part) for part in layer.parts()) == count


@pytest.mark.parametrize("name", ["a.gpkg", "a.parquet"])
def test_an_indexed_file_is_read_around_a_place(tmp_path, name):
    path = write(tmp_path / name, **({"write_covering_bbox": True} if name.endswith("parquet") else {}))
    layer = open_layer(path)
    assert layer.indexed
    assert layer.fields == ("kind", "size")
    found = read_layer(layer, ("kind",), (9.0, 9.0, 13.0, 13.0))
    assert found.columns["kind"].tolist() == ["wald"]


def test_the_order_is_that_of_the_file_whatever_the_index_says(tmp_path):
    draw = np.random.default_rng(1)
    places = draw.uniform(0, 1000, (500, 2))
    table = gpd.GeoDataFrame({"n": range(500)}, geometry=gpd.points_from_xy(*places.T), crs="EPSG:32633")
    layer = open_layer(write(tmp_path / "a.gpkg", table))
    found = read_layer(layer, ("n",), (200.0, 300.0, 900.0, 700.0))
    inside = [n for n, (x, y) in enumerate(places.tolist()) if 200 <= x <= 900 and 300 <= y <= 700]
    assert found.columns["n"].tolist() == inside


def test_a_file_without_index_is_read_once_while_it_is_unchanged(tmp_path, monkeypatch):
    path = write(tmp_path / "a.geojson")
    asked = []
    read = layers.OgrLayer.read
    monkeypatch.setattr(layers.OgrLayer, "read", lambda *given: asked.append(given) or read(*given))
    for _ in range(3):
        assert len(read_layer(open_layer(path), ("kind",), (0.0, 0.0, 1.0, 1.0)).geometries) == 3
    assert len(asked) == 1
    write(path, frame().iloc[:2])
    assert len(read_layer(open_layer(path), ("kind",), (0.0, 0.0, 1.0, 1.0)).geometries) == 2
    monkeypatch.setattr(layers, "KEPT_BYTES", 10)
    assert len(read_layer(open_layer(path), ("kind",), (9.0, 9.0, 13.0, 13.0)).geometries) == 1


def test_a_large_layer_is_looked_through_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(layers, "PART", 2)
    assert [len(part) for part in open_layer(write(tmp_path / "a.gpkg")).parts()] == [2, 1]


def test_layers_are_named_and_near_misses_too(tmp_path):
    path = write(tmp_path / "a.gpkg", layer="buildings")
    frame().to_file(path, layer="roads", driver="GPKG", mode="a")
    with pytest.raises(DataError, match=r"layers buildings, roads; say which"):
        open_layer(path)
    with pytest.raises(DataError, match=r'no layer "road"; it has buildings, roads\. Did you mean "roads"'):
        open_layer(path, "road")
    assert open_layer(path, "roads").name == "roads"


def test_a_table_without_shapes(tmp_path):
    pyogrio.write_dataframe(pd.DataFrame({"a": [1]}), tmp_path / "a.gpkg", layer="plain")
    with pytest.raises(DataError, match="plain is a table without shapes"):
        open_layer(tmp_path / "a.gpkg")


def test_an_empty_layer(tmp_path):
    layer = open_layer(write(tmp_path / "a.gpkg", frame().iloc[:0]))
    assert (layer.count, layer.bounds) == (0, None)
    assert len(layer.read(("kind",)).geometries) == 0
    assert list(layer.parts()) == []


@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.parquet"])
def test_files_that_are_missing_or_cut_off(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        open_layer(tmp_path / name)
    path = write(tmp_path / name)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="cannot be read"):
        open_layer(path).read(("kind",))


def test_an_empty_file(tmp_path):
    (tmp_path / "a.geojson").touch()
    with pytest.raises(DataError, match="cannot be read"):
        open_layer(tmp_path / "a.geojson")


def test_parquet_has_no_layers(tmp_path):
    with pytest.raises(DataError, match='no layers; leave out "roads"'):
        open_layer(write(tmp_path / "a.parquet"), "roads")


def test_plain_parquet_holds_no_shapes(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="no GeoParquet header"):
        open_layer(tmp_path / "a.parquet")


def rewrite_header(path, change):
    """Change the GeoParquet header of a file by hand."""
    table = pyarrow.parquet.read_table(path)
    header = json.loads(table.schema.metadata[b"geo"])
    change(header["columns"]["geometry"])
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"geo": json.dumps(header).encode()}), path)


def test_parquet_without_and_with_null_and_own_system(tmp_path):
    path = write(tmp_path / "a.parquet")
    assert "32633" in str(open_layer(path).crs)
    rewrite_header(path, lambda column: column.pop("crs"))
    # The format's default: longitude and latitude.
    assert open_layer(path).crs == "OGC:CRS84"
    rewrite_header(path, lambda column: column.update(crs=None))
    assert open_layer(path).crs is None


def test_parquet_whose_columns_are_damaged(tmp_path):
    path = write(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(path)
    broken = table.set_column(table.schema.names.index("geometry"), "geometry", pa.array([b"no", b"shape", b"here"]))
    pyarrow.parquet.write_table(broken.replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(DataError, match="cannot be read as GeoParquet"):
        open_layer(path).read()
