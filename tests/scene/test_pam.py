"""The side file: read back by GDAL, through its own conversion to a virtual raster."""

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.crs import CRS

from terrazzo.geo.grid import Grid
from terrazzo.scene.layer import NOWHERE, Layer, LegendEntry
from terrazzo.scene.pam import side_file, side_file_text, write_side_file
from terrazzo.scene.writer import open_writer

LEGEND = (LegendEntry(0, "wälder & <Äcker>", (1, 2, 3)), LegendEntry(3, "road", (200, 0, 9)))


def told_by_gdal(tmp_path: Path, legend: tuple[LegendEntry, ...]) -> ET.Element:
    """Write a map with its side file, and have GDAL copy all that it knows of it."""
    path = tmp_path / "a ü.tif"
    layer = Layer("class", np.dtype(np.uint16), nodata=65535, legend=legend)
    grid = Grid(CRS.from_epsg(32612), Affine(2, 0, 10, 0, -2, 20), 4, 4)
    with open_writer(path, layer, grid, NOWHERE, goal=path) as writer:
        writer.write(np.zeros((1, 4, 4), dtype=np.uint16))
    assert write_side_file(path, layer) == side_file(path)
    rasterio.shutil.copy(path, tmp_path / "copy.vrt", driver="VRT")
    return ET.fromstring((tmp_path / "copy.vrt").read_text(encoding="utf-8"))


def test_gdal_finds_the_names(tmp_path: Path) -> None:
    found = told_by_gdal(tmp_path, LEGEND)
    names = [element.text for element in found.iter("Category")]
    assert names == ["wälder & <Äcker>", None, None, "road"]


def test_gdal_finds_values_and_colours_in_the_table(tmp_path: Path) -> None:
    found = told_by_gdal(tmp_path, LEGEND)
    rows = [[cell.text for cell in row.iter("F")] for row in found.iter("Row")]
    assert rows == [["0", "wälder & <Äcker>", "1", "2", "3"], ["3", "road", "200", "0", "9"]]
    usages = [element.text for element in found.iter("Usage")]
    assert usages == ["5", "2", "6", "7", "8"]


def test_large_and_negative_values_are_in_the_table_alone() -> None:
    for value in (60_000, -1):
        found = ET.fromstring(side_file_text((*LEGEND, LegendEntry(value, "far", (0, 0, 0)))))
        assert not list(found.iter("Category"))
        assert len(list(found.iter("Row"))) == 3


def test_what_xml_cannot_hold_is_left_out() -> None:
    found = ET.fromstring(side_file_text((LegendEntry(0, "be\x07ll", (0, 0, 0)),)))
    assert [element.text for element in found.iter("Category")] == ["bell"]


def test_a_layer_without_classes_has_none_nor_has_a_picture(tmp_path: Path) -> None:
    assert write_side_file(tmp_path / "a.tif", Layer("confidence", np.dtype(np.uint8))) is None
    assert write_side_file(tmp_path / "a.png", Layer("class", np.dtype(np.uint8), legend=LEGEND)) is None
    assert not list(tmp_path.iterdir())
