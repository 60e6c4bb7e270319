"""Sentinel-2 products: which files are taken, and that reflectance does not depend on the processing baseline."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.data.band_selection import select_bands, with_bands
from terrazzo.data.classes import Classes
from terrazzo.data.reading import read_image, read_target
from terrazzo.data.sources.headers import read_header
from terrazzo.data.sources.safe import SafeSource
from terrazzo.errors import DataError
from terrazzo.testing import check_source

_spec = importlib.util.spec_from_file_location("safe_products", Path(__file__).with_name("safe_products.py"))
products = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(products)

TEN = ("B02", "B03", "B04", "B08")
OLD = "S2B_MSIL2A_20190201T102211_N0211_R065_T32TQM_20190201T121150"


def test_the_finest_file_of_each_band_of_level_2a(tmp_path):
    products.write_product(tmp_path / "Szenen ä")
    (pair,) = SafeSource(folder=tmp_path).pairs().pairs
    names = [path.name.removeprefix("T32TQM_20220201T102211_") for path in (pair.image, *pair.extra)]
    assert names == [
        "B01_60m.jp2",
        *(f"{band}_10m.jp2" for band in ("B02", "B03", "B04")),
        *(f"{band}_20m.jp2" for band in ("B05", "B06", "B07")),
        "B08_10m.jp2",
        "B8A_20m.jp2",
        "B09_60m.jp2",
        "B11_20m.jp2",
        "B12_20m.jp2",
    ]
    assert [band.name for band in pair.band_records] == [name[:3] for name in names]
    assert (pair.mask.file.name, pair.mask.missing) == ("T32TQM_20220201T102211_SCL_20m.jp2", (0, 1, 3, 8, 9, 10))
    assert pair.image_id == "S2A_MSIL2A_20220201T102211_N0400_R065_T32TQM_20220201T121150"


def test_level_1c_has_thirteen_bands_and_no_mask(tmp_path):
    products.write_product(tmp_path, "S2A_MSIL1C_X", level="L1C")
    (pair,) = SafeSource(folder=tmp_path).pairs().pairs
    assert tuple(band.name for band in pair.band_records) == products.ORDER
    assert pair.mask is None
    assert {(band.offset, band.nodata) for band in pair.band_records} == {(-0.1, 0.0)}


def test_a_product_may_be_named_itself_and_keeps_the_contract(tmp_path):
    product = products.write_product(tmp_path)
    check_source(SafeSource(folder=product, bands=TEN))


def test_old_names_with_several_tiles(tmp_path):
    product = tmp_path / "S2A_OPER_PRD_MSIL1C_PDMC_20160101T000000.SAFE"
    for tile in ("T32TQM", "T32TQN"):
        folder = product / "GRANULE" / f"S2A_OPER_MSI_L1C_TL_SGS__20160101T000000_A002734_{tile}_N02.01" / "IMG_DATA"
        for band in TEN:
            values = products.raw(0.25, offset=0, resolution=10)
            products.write_jp2(
                folder / f"S2A_OPER_MSI_L1C_TL_SGS__20160101T000000_A002734_{tile}_{band}.jp2", values, 10
            )
    text = products.metadata("L1C", "02.01", 0)
    (product / "S2A_OPER_MTD_SAFL1C_PDMC_20160101T000000.xml").write_text(text, encoding="utf-8")
    pairs = SafeSource(folder=tmp_path, bands=TEN).pairs().pairs
    assert [pair.image_id.rpartition("_A002734_")[2] for pair in pairs] == ["T32TQM_N02.01", "T32TQN_N02.01"]
    assert {band.offset for pair in pairs for band in pair.band_records} == {0.0}


def test_old_names_of_level_2a(tmp_path):
    product = tmp_path / "S2A_USER_PRD_MSIL2A_PDMC_20160101T000000.SAFE"
    images = product / "GRANULE" / "S2A_USER_MSI_L2A_TL_SGS__20160101T000000_A002734_T32TQM_N02.01" / "IMG_DATA"
    values = products.raw(0.25, offset=0, resolution=20)
    products.write_jp2(images / "R20m" / "S2A_USER_MSI_L2A_TL_SGS__20160101T000000_T32TQM_B11_20m.jp2", values, 20)
    products.write_jp2(images / "S2A_USER_SCL_L2A_TL_SGS__20160101T000000_T32TQM_20m.jp2", values.astype("uint8"), 20)
    text = products.metadata("L2A", "02.01", 0).replace("BOA_Q", "L2A_BOA_Q")
    (product / "S2A_USER_MTD_SAFL2A_PDMC_20160101T000000.xml").write_text(text, encoding="utf-8")
    (pair,) = SafeSource(folder=product, bands=["swir16"]).pairs().pairs
    assert pair.image.name.endswith("B11_20m.jp2")
    assert pair.mask.file.name.startswith("S2A_USER_SCL")


@pytest.mark.parametrize(("first", "second"), [("N0400", "N0211"), ("N0211", "N0400")])
def test_scenes_of_two_baselines_have_one_convention(tmp_path, first, second):
    """0.25 of reflectance is 3500 from baseline 04.00 on and 2500 before; whichever comes first, both read alike."""
    for place, baseline in enumerate((first, second)):
        name = f"S2A_MSIL2A_2022020{place}_{baseline}"
        products.write_product(tmp_path, name, baseline="04.00" if baseline == "N0400" else "03.01")
    headers = [
        read_header(pair, georeferenced=True)
        for pair in SafeSource(folder=tmp_path, bands=TEN, missing=[]).pairs().pairs
    ]
    bands, places = select_bands(headers[0], ["red", "nir"])
    assert bands.names == ("red", "nir")
    for header in headers:
        entry = with_bands(header, bands, places, first=headers[0])
        raster = read_image(entry, entry.grid.whole, bands)
        physical = raster.values * bands.items[0].scale + bands.items[0].offset
        assert np.allclose(physical[:, raster.valid], 0.25)
        assert not raster.valid[0, 0]
        assert raster.valid.sum() == 24 * 24 - 1


def test_bands_of_all_resolutions_are_read_on_ten_metres(tmp_path):
    products.write_product(tmp_path)
    (pair,) = SafeSource(folder=tmp_path).pairs().pairs
    header = read_header(pair, georeferenced=True)
    bands, places = select_bands(header, ["B04", "B11", "B01"])
    entry = with_bands(header, bands, places, first=header)
    assert (entry.height, entry.width, entry.grid.resolution_m) == (24, 24, 10.0)
    raster = read_image(entry, entry.grid.whole, bands)
    assert set(np.unique(raster.values[:, raster.valid])) == {3500}
    assert not raster.valid[:6, :6].any(), "a missing pixel of 60 m covers six by six"
    assert raster.valid[8:, 8:].all()


def test_clouds_of_the_scene_classification_are_missing(tmp_path):
    scene = np.full((12, 12), 4, dtype=np.uint8)
    scene[6, 3], scene[7, 4], scene[8, 5] = 9, 11, 3
    products.write_product(tmp_path, classes=scene)

    def missing(**settings):
        (pair,) = SafeSource(folder=tmp_path, bands=TEN, **settings).pairs().pairs
        entry = read_header(pair, georeferenced=True).entry
        header = read_header(pair, georeferenced=True)
        raster = read_image(entry, entry.grid.whole, header.bands)
        return sorted({(int(y) // 2, int(x) // 2) for y, x in np.argwhere(~raster.valid)})

    assert missing() == [(0, 0), (6, 3), (8, 5)]
    assert missing(missing=[11]) == [(0, 0), (7, 4)]
    assert missing(missing=[]) == [(0, 0)]


def test_labels_by_name_or_one_for_all(tmp_path):
    products.write_product(tmp_path)
    products.write_product(tmp_path, OLD, baseline="02.11")
    for name in (OLD, "S2A_MSIL2A_20220201T102211_N0400_R065_T32TQM_20220201T121150"):
        path = tmp_path / "labels" / f"{name}.jp2"
        products.write_jp2(path, np.zeros((24, 24), dtype=np.uint8), 10)
    pairs = SafeSource(folder=tmp_path, bands=TEN, labels="labels/*.jp2").pairs().pairs
    assert [pair.label.file.stem for pair in pairs] == [pair.image_id for pair in pairs]
    pairs = SafeSource(folder=tmp_path, bands=TEN, labels=f"labels/{OLD}.jp2").pairs().pairs
    assert {pair.label.file.stem for pair in pairs} == {OLD}
    (tmp_path / "labels" / f"{OLD}.jp2").unlink()
    with pytest.raises(DataError, match=f'no label is called "{OLD}"'):
        SafeSource(folder=tmp_path, bands=TEN, labels="labels/*.jp2").pairs()
    with pytest.raises(DataError, match=r"no raster matches data\.source\.labels"):
        SafeSource(folder=tmp_path, bands=TEN, labels="none/*.jp2").pairs()


def test_shapes_for_all_tiles_or_named_after_each(tmp_path):
    products.write_product(tmp_path, OLD, baseline="02.11")
    square = "[[500000, 4999900], [500100, 4999900], [500100, 5000000], [500000, 5000000], [500000, 4999900]]"
    text = (
        '{"type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}},'
        '"features": [{"type": "Feature", "properties": {"class": "field"}, "geometry": {"type": "Polygon", '
        f'"coordinates": [{square}]}}}}]}}'
    )
    for name in ("all", OLD):
        (tmp_path / f"{name}.geojson").write_text(text, encoding="utf-8")
    for vectors in ("all.geojson", "{stem}.geojson"):
        label = {"vectors": tmp_path / vectors, "field": "class"}
        (entry,) = SafeSource(folder=tmp_path, bands=TEN, label_vectors=label).catalog()
        target = read_target(entry, entry.grid.whole, Classes(items=["background", "field"]))
        assert (target[:10, :10] == 1).all()
        assert target.sum() == 100
    (tmp_path / f"{OLD}.geojson").unlink()
    with pytest.raises(DataError, match=f"is called after {OLD}"):
        SafeSource(folder=tmp_path, bands=TEN, label_vectors=label).pairs()


def remove(product, pattern):
    found = list(product.rglob(pattern))
    assert found
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*_B11_*", "lacks B11 of level L2A; it holds B01, B02"),
        ("R10m", "lacks B08 of level L2A"),
        ("*_SCL_*", r"lacks its scene classification \(SCL\)"),
        ("MTD_*", "holds no metadata file MTD_MSIL1C.xml or MTD_MSIL2A.xml"),
        ("GRANULE", "has no tile below GRANULE"),
        ("IMG_DATA", "lacks B01, .* it holds no band"),
    ],
)
def test_incomplete_products_are_named(tmp_path, pattern, message):
    remove(products.write_product(tmp_path), pattern)
    with pytest.raises(DataError, match=message):
        SafeSource(folder=tmp_path).pairs()


def test_an_empty_band_file(tmp_path):
    path = next(products.write_product(tmp_path).rglob("*_B04_10m.jp2"))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"B04_10m\.jp2 is empty"):
        SafeSource(folder=tmp_path).pairs()


def test_a_truncated_band_file(tmp_path):
    path = next(products.write_product(tmp_path).rglob("*_B04_10m.jp2"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"B04_10m\.jp2"):
        SafeSource(folder=tmp_path, bands=TEN).catalog()


def test_a_band_that_the_level_lacks(tmp_path):
    products.write_product(tmp_path)
    with pytest.raises(DataError, match='level L2A has no band "B10"'):
        SafeSource(folder=tmp_path, bands=["cirrus"]).pairs()


def test_folders_without_products(tmp_path):
    with pytest.raises(DataError, match=r"holds no folder called \*\.SAFE"):
        SafeSource(folder=tmp_path).pairs()
    with pytest.raises(DataError, match="is not a folder"):
        SafeSource(folder=tmp_path / "none").pairs()


def test_the_written_products_are_what_they_say(tmp_path):
    """The other tests stand on this one."""
    product = products.write_product(tmp_path)
    with rasterio.open(next(product.rglob("*_B11_20m.jp2"))) as file:
        assert (file.driver, file.shape, file.res, file.crs.to_epsg()) == ("JP2OpenJPEG", (12, 12), (20, 20), 32632)
        assert set(np.unique(file.read(1))) == {0, 3500}
