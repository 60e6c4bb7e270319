"""Scenes labelled by vector files, for all of them or named after each."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError
from rasterio.features import rasterize
from shapely import box

from terrazzo.data.catalog import Catalog
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.prepare import prepare_data
from terrazzo.data.settings import DataSettings, PrepareSettings
from terrazzo.data.sources.geotiff import GeotiffSource
from terrazzo.data.sources.vector_labels import SceneVectors
from terrazzo.errors import ConfigError, DataError


def scene(path, left=500_000.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = Affine(1, 0, left, 0, -1, 5_200_000)
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, height=8, width=8, crs="EPSG:32633", transform=transform
    ) as file:
        file.write(np.arange(64, dtype=np.uint8).reshape(1, 8, 8) + 1)


def shapes(path, boxes, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    gpd.GeoDataFrame(columns, geometry=[box(*one) for one in boxes], crs="EPSG:32633").to_file(path)
    return path


def test_a_file_or_a_pattern_labels_all_scenes(tmp_path):
    one, two = (shapes(tmp_path / "cover" / f"{name}.gpkg", [(0, 0, 1, 1)]) for name in ("ä 1", "2"))
    finder = SceneVectors(VectorLabel(vectors=(tmp_path / "cover" / "*.gpkg",), value="a"), tmp_path / "s")
    assert finder.of(tmp_path / "s" / "x.tif").vectors == (two, one)
    finder = SceneVectors(VectorLabel(vectors=(one, tmp_path / "cover" / "*.gpkg"), value="a"), tmp_path / "s")
    assert finder.of(tmp_path / "s" / "x.tif").vectors == (one, two)
    missing = SceneVectors(VectorLabel(vectors=(tmp_path / "cover" / "*.shp",), value="a"), tmp_path / "s")
    with pytest.raises(DataError, match=r"there is no file .*\*\.shp"):
        missing.of(tmp_path / "s" / "x.tif")


def test_a_file_named_after_its_scene(tmp_path):
    own = shapes(tmp_path / "north" / "7.geojson", [(0, 0, 1, 1)])
    label = VectorLabel(vectors=(tmp_path / "{region}" / "{1}.geojson",), value="a")
    finder = SceneVectors(label, tmp_path / "s", "{region}/scene_*.tif")
    found = finder.of(tmp_path / "s" / "north" / "scene_7.tif")
    assert found == label.model_copy(update={"vectors": (own,)})
    assert finder.of(tmp_path / "s" / "north" / "scene_8.tif") is None
    with pytest.raises(ConfigError, match=r"\{stm\} stands for nothing; known are \{stem\}.*Did you mean \"stem\""):
        SceneVectors(VectorLabel(vectors=("{stm}.gpkg",), value="a"), tmp_path).of(tmp_path / "x.tif")


def test_the_source_labels_its_scenes(tmp_path):
    for name in ("a b", "ü"):
        scene(tmp_path / "scenes" / f"{name}.TIF")
    cover = shapes(tmp_path / "cover.gpkg", [(500_000, 5_199_996, 500_008, 5_200_000)], kind=["x"])
    source = GeotiffSource(folder=tmp_path / "scenes", label_vectors={"vectors": cover, "field": "kind"})
    catalog = source.catalog()
    assert [(entry.image_id, entry.label.file) for entry in catalog] == [("a b", cover), ("ü", cover)]
    catalog.save(tmp_path / "c.parquet")
    assert Catalog.load(tmp_path / "c.parquet").entries() == catalog.entries()


def test_a_scene_without_its_file(tmp_path):
    scene(tmp_path / "scenes" / "a.tif")
    scene(tmp_path / "scenes" / "b.tif")
    shapes(tmp_path / "l" / "a.geojson", [(500_000, 5_199_996, 500_008, 5_200_000)])
    label = {"vectors": tmp_path / "l" / "{stem}.geojson", "value": "x"}
    with pytest.raises(DataError, match=r"b\.tif: there is no .*\{stem\}\.geojson for it"):
        GeotiffSource(folder=tmp_path / "scenes", label_vectors=label).pairs()
    listing = GeotiffSource(folder=tmp_path / "scenes", label_vectors=label, unlabelled=True).pairs()
    assert [pair.label is None for pair in listing.pairs] == [False, True]


def test_one_kind_of_labels(tmp_path):
    with pytest.raises(ValidationError, match="label_rasters and label_vectors"):
        GeotiffSource(folder=tmp_path, label_rasters=("a.tif",), label_vectors={"vectors": "a.gpkg", "value": "a"})


def prepared(folder, source, classes, **data):
    settings = {"source": source, "classes": classes, "patch": {"size": 128}, "split": {"fractions": {"train": 1}}}
    return prepare_data(DataSettings.model_validate({**settings, **data}), PrepareSettings(folder=folder))


def test_shapes_that_reach_no_scene_stop_the_preparation(tmp_path):
    scene(tmp_path / "scenes" / "a.tif")
    cover = shapes(tmp_path / "cover.gpkg", [(600_000, 5_199_996, 600_008, 5_200_000)])
    source = {"name": "geotiff", "folder": tmp_path / "scenes", "label_vectors": {"vectors": cover, "value": "x"}}
    with pytest.raises(DataError, match="lie on any of 1 images"):
        prepared(tmp_path / "p", source, ["background", "x"])


def test_new_brunswick_prepared(tmp_path, real_data):
    folder = real_data / "geotiff_newbrunswick"
    classes = {
        "items": [
            {"name": name, "values": [value]} for value, name in enumerate(("forest", "water", "road", "building"), 1)
        ],
        "ignore_values": [255],
    }
    source = {
        "name": "geotiff",
        "folder": folder,
        "images": "*.tif",
        "label_vectors": {"vectors": folder / "*.gpkg", "field": "Quatreclasses"},
    }
    found = prepared(tmp_path / "p", source, classes)
    assert len(found.catalog) == 2
    table = gpd.read_file(folder / "BakerLake_2017_clipped.gpkg")
    expected = np.zeros(256, dtype=np.int64)
    for entry in found.catalog:
        with rasterio.open(entry.image) as file:
            burned = rasterize(
                zip(table.geometry, table["Quatreclasses"].astype(int), strict=True),
                out_shape=file.shape,
                transform=file.transform,
            )
            expected += np.bincount(burned[file.dataset_mask() > 0], minlength=256)
    assert found.pixel_counts["train"] == tuple(expected[1:5].tolist())
    total = sum(entry.height * entry.width for entry in found.catalog)
    assert found.ignored_counts["train"] == total - expected[1:5].sum()


def test_buildings_of_atlanta_prepared(tmp_path, real_data):
    folder = real_data / "geotiff_spacenet_rgbnir_geojson"
    source = {
        "name": "geotiff",
        "folder": folder,
        "images": "SN4_*_PS-RGBNIR_*_clipped.tif",
        "label_vectors": {
            "vectors": folder / "SN4_buildings_train_AOI_6_Atlanta_geojson_buildings_{2}.geojson",
            "value": "building",
        },
    }
    found = prepared(tmp_path / "p", source, ["background", "building"])
    (entry,) = found.catalog
    assert entry.label.file.name.endswith("732701_3729639.geojson")
    table = gpd.read_file(entry.label.file)
    counts = found.pixel_counts["train"]
    area = table.union_all().intersection(box(*entry.grid.bounds)).area
    assert counts[1] == pytest.approx(area / np.prod(entry.grid.resolution), rel=0.01)
    assert sum(counts) + found.ignored_counts["train"] == entry.height * entry.width
