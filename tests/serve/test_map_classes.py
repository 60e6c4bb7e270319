"""What a map says of its classes, however its pixels name them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from terrazzo.errors import DataError
from terrazzo.serve.class_areas import class_areas
from terrazzo.serve.map_classes import is_map, read_legend
from terrazzo.serve.rasters import open_viewed


@pytest.mark.parametrize("values", ["index", "source", "colour"])
def test_classes_are_read_however_pixels_name_them(values: str, tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path, values=values, layers=())
    with open_viewed(path) as raster:
        assert is_map(raster)
        legend = read_legend(raster)
        bands = (1, 2, 3) if values == "colour" else (1,)
        found = raster.read(raster.grid.whole, bands)
        areas = class_areas(raster, legend, {})
    positions = legend.positions(found.values, found.valid)
    assert [one.name for one in legend.classes] == ["wätter", "road", "field"]
    assert positions[5, [0, 150, 250, 690]].tolist() == [0, 1, 2, -1]
    assert areas.pixels == (620 * 280, 620 * 200, 620 * 200)
    index = make_map(tmp_path / "index", layers=())
    with open_viewed(index) as raster:
        assert [one.colour for one in read_legend(raster).classes] == [one.colour for one in legend.classes]


def test_a_summary_of_another_map_is_not_believed(tmp_path: Path, make_map: Callable[..., Path]) -> None:
    path = make_map(tmp_path, layers=())
    with open_viewed(path) as raster:
        legend = read_legend(raster)
        said = {"height": 620, "width": 700, "class_pixels": [1, 2, 3]}
        assert class_areas(raster, legend, said).pixels == (1, 2, 3)
        for other in ({**said, "height": 5}, {**said, "class_pixels": [1, 2]}, {**said, "class_pixels": [1, 2, -3]}):
            assert class_areas(raster, legend, other).pixels == (620 * 280, 620 * 200, 620 * 200)


@pytest.mark.parametrize(
    "tags",
    [
        {"CLASS_NAMES": "[1]"},
        {"CLASS_NAMES": "{"},
        {"CLASS_NAMES": '["a"]', "CLASS_VALUES": "[1, 2]"},
        {"CLASS_NAMES": '["a"]'},
        {"CLASS_NAMES": '["a"]', "CLASS_COLOURS": "[[1, 2, 3]]"},
    ],
)
def test_nonsense_is_refused(tags: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    with rasterio.open(path, "w", driver="GTiff", count=1, height=4, width=4, dtype="uint8") as file:
        file.write(np.zeros((1, 4, 4), dtype=np.uint8))
        file.update_tags(**tags)
    with open_viewed(path) as raster, pytest.raises(DataError, match=r"m\.tif"):
        read_legend(raster)
