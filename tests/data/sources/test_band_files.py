"""Scenes with one file a band."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.reading import read_image
from terrazzo.data.sources.band_files import BandFilesSource
from terrazzo.data.sources.headers import read_header
from terrazzo.errors import DataError
from terrazzo.testing import check_source


def write(path, value, *, side=8, resolution=30, bands=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": "uint16"}
    transform = Affine(resolution, 0, 500_000, 0, -resolution, 4_000_000)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **profile) as file:
        file.write(np.full((bands, side, side), value, dtype=np.uint16))


@pytest.fixture
def folder(tmp_path):
    """Two scenes with three bands and a label each."""
    root = tmp_path / "Szenen ä"
    for number, scene in enumerate(("nord see", "süd")):
        for band in (2, 3, 4):
            write(root / "bands" / f"{scene}_B{band}.TIF", 100 * number + band)
        write(root / "bands" / f"{scene}_label.tif", 1)
    return root


def test_scenes_bands_and_labels(folder):
    source = BandFilesSource(folder=folder, images="bands/*_{band}.tif", labels="bands/*_label.tif")
    check_source(source)
    pairs = source.pairs().pairs
    assert [pair.image_id for pair in pairs] == ["nord see", "süd"]
    for pair in pairs:
        assert [band.name for band in pair.band_records] == ["B2", "B3", "B4"]
        files = [path.name for path in (pair.image, *pair.extra)]
        assert files == [f"{pair.image_id}_B{band}.TIF" for band in (2, 3, 4)]
        assert pair.label.file.name == f"{pair.image_id}_label.tif"


def test_data_bands_selects_and_orders(folder):
    pairs = BandFilesSource(folder=folder, images="bands/*_{band}.tif", labels="bands/*_label.tif").pairs().pairs
    headers = [read_header(pair, georeferenced=False) for pair in pairs]
    bands, places = select_bands(headers[0], ["B4", "B2"])
    found = [
        read_image(with_bands(header, bands, places, first=headers[0]), header.entry.grid.whole, bands).values[:, 0, 0]
        for header in headers
    ]
    assert np.array_equal(found, [[4, 2], [104, 102]])


def test_named_bands_leave_other_files_alone(folder):
    (folder / "bands" / "süd_B3.TIF").unlink()
    pairs = BandFilesSource(folder=folder, images="bands/*_{band}.tif", bands=["B4", "B2"]).pairs().pairs
    assert [[path.name for path in (pair.image, *pair.extra)] for pair in pairs] == [
        ["nord see_B4.TIF", "nord see_B2.TIF"],
        ["süd_B4.TIF", "süd_B2.TIF"],
    ]


@pytest.mark.parametrize(
    ("gone", "message"), [("süd_B3.TIF", "süd lacks band B3"), ("süd_label.tif", "süd lacks its label")]
)
def test_a_scene_that_is_not_whole(folder, gone, message):
    (folder / "bands" / gone).unlink()
    settings = {"folder": folder, "images": "bands/*_{band}.tif", "labels": "bands/*_label.tif"}
    with pytest.raises(DataError, match=message):
        BandFilesSource(**settings).pairs()
    listing = BandFilesSource(**settings, unmatched="skip").pairs()
    assert [pair.image_id for pair in listing.pairs] == ["nord see"]
    assert message in listing.notes[0]


def test_one_label_for_all_scenes(folder):
    source = BandFilesSource(
        folder=folder, images="bands/*_{band}.tif", labels="bands/süd_label.tif", bands=["B2", "B3", "B4"]
    )
    assert {pair.label.file.name for pair in source.pairs().pairs} == {"süd_label.tif"}


def test_shapes_for_all_scenes_or_named_after_each(folder):
    for name in ("all", "nord see", "süd"):
        (folder / f"{name}.geojson").write_text('{"type": "FeatureCollection", "features": []}', encoding="utf-8")
    settings = {"folder": folder, "images": "bands/*_{band}.tif", "bands": ["B2"]}

    def files(vectors):
        label = {"vectors": folder / vectors, "value": "x"}
        return [pair.label.file.name for pair in BandFilesSource(**settings, label_vectors=label).pairs().pairs]

    assert files("all.geojson") == ["all.geojson", "all.geojson"]
    assert files("{stem}.geojson") == ["nord see.geojson", "süd.geojson"]
    (folder / "süd.geojson").unlink()
    with pytest.raises(DataError, match="süd lacks its label"):
        files("{stem}.geojson")


def test_roles_and_regions_of_the_path(tmp_path):
    for split, region in (("train", "a b"), ("valid", "ü")):
        for band in ("red", "nir"):
            write(tmp_path / split / region / f"1_{band}.tif", 5)
    pairs = BandFilesSource(folder=tmp_path, images="{split}/{region}/*_{band}.tif").pairs().pairs
    assert [(pair.image_id, pair.split, pair.region) for pair in pairs] == [
        ("train/a b/1", "train", "a b"),
        ("valid/ü/1", "val", "ü"),
    ]


def test_the_grid_is_that_of_the_finest_band(tmp_path):
    write(tmp_path / "s_coarse.tif", 7, side=4, resolution=60)
    write(tmp_path / "s_fine.tif", 9)
    (pair,) = BandFilesSource(folder=tmp_path, images="s_{band}.tif").pairs().pairs
    header = read_header(pair, georeferenced=True)
    assert (header.entry.height, header.bands.names) == (8, ("coarse", "fine"))
    values = read_image(header.entry, header.entry.grid.whole, header.bands).values
    assert [np.unique(band).tolist() for band in values] == [[7], [9]]


def test_a_file_with_several_bands_is_no_band(folder):
    write(folder / "bands" / "süd_B3.TIF", 1, bands=3)
    with pytest.raises(DataError, match=r"süd_B3\.TIF holds 3 bands, but a file with a single one is expected"):
        BandFilesSource(folder=folder, images="bands/*_{band}.tif", bands=["B2", "B3"]).catalog()


def test_two_files_of_one_band(folder):
    write(folder / "bands" / "süd_B3.tif", 1)
    with pytest.raises(DataError, match="are both band B3 of one scene"):
        BandFilesSource(folder=folder, images="bands/*_{band}.tif").pairs()


def test_nothing_fits(folder):
    with pytest.raises(DataError, match=r"no file matches data\.source\.images .*8 raster files lie there"):
        BandFilesSource(folder=folder, images="{band}.jp2").pairs()
    with pytest.raises(DataError, match=r"no file matches data\.source\.labels"):
        BandFilesSource(folder=folder, images="bands/*_{band}.tif", labels="*_none.tif").pairs()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "*.tif"}, r"needs \{band\}"),
        ({"images": "*_{band}.tif", "labels": "{band}*.tif"}, r"it has no \{band\}"),
        ({"images": "*_{band}.tif", "labels": "*/*.tif"}, "as many stars"),
        (
            {"images": "*_{band}.tif", "labels": "*.tif", "label_vectors": {"vectors": "a.gpkg", "field": "b"}},
            "which are rasters, or `label_vectors`, not both",
        ),
        ({"images": "*_{band}.tif", "bands": ["a", "a"]}, "names a band twice"),
    ],
)
def test_settings_that_cannot_be(tmp_path, settings, message):
    with pytest.raises(ValidationError, match=message):
        BandFilesSource(folder=tmp_path, **settings)


def test_landsat_bands_of_zion(real_data):
    source = BandFilesSource(folder=real_data / "zion_landsat_nlcd", images="raster/landsat_{band}.tif")
    (pair,) = source.pairs().pairs
    header = read_header(pair, georeferenced=True)
    assert (header.entry.image_id, header.bands.names) == ("landsat", ("b2", "b3", "b4", "b5"))
    bands, places = select_bands(header, ["b4", "b3", "b2"])
    entry = with_bands(header, bands, places, first=header)
    window = entry.grid.whole._replace(y=700, x=500, height=40, width=30)
    raster = read_image(entry, window, bands)
    for band, values in zip((4, 3, 2), raster.values, strict=True):
        with rasterio.open(real_data / "zion_landsat_nlcd" / "raster" / f"landsat_b{band}.tif") as file:
            assert np.array_equal(values, file.read(1)[700:740, 500:530])
    assert bands.items[0].nodata == 65535


def test_chips_of_cloud38(real_data):
    source = BandFilesSource(
        folder=real_data / "cloud38_sample",
        images="{band}_patch_*.TIF",
        labels="gt_patch_*.TIF",
        bands=["red", "green", "blue", "nir"],
    )
    check_source(source)
    (pair,) = source.pairs().pairs
    assert pair.image_id == "192_10_by_12_LC08_L1TP_002053_20160520_20170324_01_T1"
    assert pair.label.file.name == f"gt_patch_{pair.image_id}.TIF"
    assert read_header(pair, georeferenced=False).bands.names == ("red", "green", "blue", "nir")
