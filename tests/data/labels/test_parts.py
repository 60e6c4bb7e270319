"""Labels of which only a part counts: what no class lists elsewhere is neither an error nor counted."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS

from terrazzo.data.areas.area import AreaReader
from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels.cityscapes import CityscapesLabel
from terrazzo.data.labels.cvat import CvatLabel
from terrazzo.data.labels.label import Label
from terrazzo.data.labels.raster import RasterLabel
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.data.reading import decode_label
from terrazzo.errors import LabelError
from terrazzo.geo.grid import Grid

GRID = Grid(CRS.from_epsg(32633), Affine(1, 0, 500_000, 0, -1, 5_000_006), 6, 10)
CLASSES = Classes(items=[Class(name="road", values=(1,)), Class(name="car", values=(2,))])
"""The label is road in columns 0..3, the unlisted 7 or "lava" in columns 4..6, car in columns 7..9."""
EXPECTED = np.repeat([[0, 0, 0, 0, 255, 255, 255, 1, 1, 1]], 6, axis=0)
STRIPS = {"road": (0, 4), "lava": (4, 7), "car": (7, 10)}


class LeftOf(AreaReader):
    def __init__(self, column, *, but=()):
        self.column, self.but = column, but

    def inside(self, window):
        columns = np.arange(window.x, window.x + window.width)
        return np.repeat(((columns < self.column) & ~np.isin(columns, self.but))[None], window.height, axis=0)


def raster(folder: Path, *, elsewhere: bool = False) -> Label:
    values = np.repeat(np.array([[1, 1, 1, 1, 7, 7, 7, 2, 2, 2]], dtype=np.uint8), 6, axis=0)
    path = folder / f"label {elsewhere}.tif"
    # The same squares in pixels half as large are another grid.
    transform = GRID.transform @ Affine.scale(0.5) if elsewhere else GRID.transform
    values = values.repeat(2, axis=0).repeat(2, axis=1) if elsewhere else values
    size = {"height": values.shape[0], "width": values.shape[1]}
    with rasterio.open(
        path, "w", driver="GTiff", count=1, dtype="uint8", crs=GRID.crs, transform=transform, **size
    ) as file:
        file.write(values, 1)
    return RasterLabel(rasters=(path,))


def vector(folder: Path) -> Label:
    path = folder / "shapes.gpkg"
    left, top = 500_000, 5_000_006
    shapes = [shapely.box(left + begin, top - 6, left + end, top) for begin, end in STRIPS.values()]
    gpd.GeoDataFrame({"kind": list(STRIPS)}, geometry=shapes, crs=GRID.crs).to_file(path)
    return VectorLabel(vectors=(path,), field="kind")


def cvat(folder: Path) -> Label:
    path = folder / "annotations.xml"
    boxes = "".join(
        f'<box label="{label}" xtl="{begin}" ytl="0" xbr="{end}" ybr="6" z_order="0"></box>'
        for label, (begin, end) in STRIPS.items()
    )
    path.write_text(
        f'<annotations><version>1.1</version><image id="0" name="a.jpg" width="10" height="6">{boxes}</image>'
        "</annotations>"
    )
    return CvatLabel(annotations=path, image="a.jpg")


def cityscapes(folder: Path) -> Label:
    path = folder / "a_polygons.json"
    objects = [
        {"label": "sky" if label == "lava" else label, "polygon": [[begin, 0], [end, 0], [end, 6], [begin, 6]]}
        for label, (begin, end) in STRIPS.items()
    ]
    path.write_text(json.dumps({"imgHeight": 6, "imgWidth": 10, "objects": objects}))
    return CityscapesLabel(annotation=path, form="polygons")


@pytest.mark.parametrize("make", [raster, lambda folder: raster(folder, elsewhere=True), vector, cvat, cityscapes])
def test_what_is_unlisted_outside_is_nobodys_business(tmp_path, make):
    with make(tmp_path).open(GRID) as reader:
        with pytest.raises(LabelError, match=r"no class lists .* \(18 pixels\)"):
            decode_label(reader, None, GRID.whole, CLASSES)
        found = decode_label(reader, LeftOf(10, but=(4, 5, 6)), GRID.whole, CLASSES)
        assert found.unlisted == {}
        np.testing.assert_array_equal(found.target, EXPECTED)
        found = decode_label(reader, LeftOf(4), GRID.whole, CLASSES)
        np.testing.assert_array_equal(found.target, np.where(np.arange(10) < 4, EXPECTED, 255))
        lenient = CLASSES.model_copy(update={"unlisted": "ignore"})
        assert list(decode_label(reader, LeftOf(6), GRID.whole, lenient).unlisted.values()) == [12]
