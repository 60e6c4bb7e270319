"""Shapes of one image as CVAT writes them, against arithmetic by hand and Pillow's drawing."""

import xml.sax.saxutils
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image, ImageDraw
from rasterio.crs import CRS

from terrazzo.data.classes import Class, Classes
from terrazzo.data.labels import cvat
from terrazzo.data.labels.cvat import CvatDrawing, CvatLabel
from terrazzo.data.labels.cvat_file import SHAPES
from terrazzo.data.labels.label import LABELS
from terrazzo.errors import ConfigError, DataError, LabelError
from terrazzo.geo.grid import Grid, Window

GRID = Grid(None, Affine.identity(), 20, 30)
CLASSES = Classes(items=["background", Class(name="roof", labels=("Dächer", "tiled")), "road", "tree"])
BOX = '<box label="{label}" occluded="0" xtl="{x}" ytl="0" xbr="{end}" ybr="20" z_order="{z}"></box>'


def annotate(folder: Path, shapes: str, *, name: str = "1.jpg", width: int = 30, height: int = 20) -> Path:
    path = folder / "annotations.xml"
    quoted = xml.sax.saxutils.quoteattr(name)
    path.write_text(
        "<annotations><version>1.1</version>"
        '<image id="0" name="other.jpg" width="30" height="20"></image>'
        f'<image id="1" name={quoted} width="{width}" height="{height}">{shapes}</image></annotations>',
        encoding="utf-8",
    )
    return path


def drawn(folder: Path, shapes: str, classes: Classes = CLASSES, **drawing: object) -> np.ndarray:
    label = CvatLabel(annotations=annotate(folder, shapes), image="1.jpg", drawing=CvatDrawing(**drawing))
    with label.open(GRID) as reader:
        whole = reader.decode(GRID.whole, classes).target
        corner = Window(7, 11, 9, 13)
        np.testing.assert_array_equal(reader.decode(corner, classes).target, whole[corner.slices])
    return whole


def strip(label: str, x: int, end: int, z: int | str = 0) -> str:
    return BOX.format(label=label, x=x, end=end, z=z)


def test_every_shape_that_can_be_drawn_is_known() -> None:
    assert set(cvat._SHAPES) == SHAPES


def test_polygons_and_boxes_cover_their_centres(tmp_path: Path) -> None:
    target = drawn(
        tmp_path,
        '<polygon label="roof" points="2.00,3.00;12.00,3.00;12.00,13.00;2.00,13.00" z_order="0"></polygon>'
        '<box label="road" xtl="15.2" ytl="4.6" xbr="20.4" ybr="9.5" z_order="0"></box>',
    )
    expected = np.zeros((20, 30), dtype=np.uint8)
    expected[3:13, 2:12] = 1
    expected[5:9, 15:20] = 2
    np.testing.assert_array_equal(target, expected)


def test_a_polygon_over_the_edge_is_cut_off(tmp_path: Path) -> None:
    target = drawn(tmp_path, '<polygon label="roof" points="-5,-5;4,-5;4,40;-5,40"></polygon>')
    assert (target[:, :4] == 1).all()
    assert (target[:, 4:] == 0).all()


def test_a_box_turns_clockwise_by_its_rotation(tmp_path: Path) -> None:
    target = drawn(tmp_path, '<box label="tree" xtl="10" ytl="8" xbr="20" ybr="12" rotation="90.00"></box>')
    expected = np.zeros((20, 30), dtype=np.uint8)
    expected[5:15, 13:17] = 3
    np.testing.assert_array_equal(target, expected)
    slanted = drawn(tmp_path, '<box label="tree" xtl="5" ytl="8" xbr="25" ybr="12" rotation="20"></box>')
    rows = np.argwhere(slanted == 3)
    assert rows[rows[:, 1] < 10][:, 0].mean() < 9 < 11 < rows[rows[:, 1] > 19][:, 0].mean()


def test_a_mask_is_laid_out_from_its_runs(tmp_path: Path) -> None:
    # Outside 2, inside 3 (over the end of the first row), outside 1, inside 6.
    shape = (
        '<mask label="roof" source="manual" rle="2, 3, 1, 6" left="20" top="4" width="4" height="3" z_order="0"></mask>'
    )
    expected = np.zeros((20, 30), dtype=np.uint8)
    expected[4:7, 20:24] = [[0, 0, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    np.testing.assert_array_equal(drawn(tmp_path, shape), expected)
    inside_first = '<mask label="roof" rle="0,600" left="0" top="0" width="30" height="20"></mask>'
    assert (drawn(tmp_path, inside_first) == 1).all()


def test_lines_and_points_have_the_width_that_is_set(tmp_path: Path) -> None:
    line = '<polyline label="road" points="-10,10;40,10"></polyline>'
    assert np.flatnonzero((drawn(tmp_path, line, line_width=4) == 2).all(axis=1)).tolist() == [8, 9, 10, 11]
    assert (drawn(tmp_path, line, line_width=4) == 2).sum() == 4 * 30
    dots = '<points label="tree" points="5.5,5.5;20.5,10.5"></points>'
    thin = drawn(tmp_path, dots, point_width=0.1)
    assert [tuple(at) for at in np.argwhere(thin == 3)] == [(5, 5), (10, 20)]
    y, x = np.mgrid[:20, :30]
    disc = np.minimum(np.hypot(y - 5, x - 5), np.hypot(y - 10, x - 20)) <= 3.5
    np.testing.assert_array_equal(drawn(tmp_path, dots, point_width=7) == 3, disc)


def test_an_ellipse_is_drawn(tmp_path: Path) -> None:
    target = drawn(tmp_path, '<ellipse label="roof" cx="15" cy="10" rx="12" ry="4" rotation="90"></ellipse>')
    y, x = np.mgrid[:20, :30] + 0.5
    np.testing.assert_array_equal(target == 1, ((x - 15) / 4) ** 2 + ((y - 10) / 12) ** 2 <= 1)


@pytest.mark.parametrize(
    ("shapes", "row"),
    [
        # One z_order: later on top.
        (strip("roof", 0, 20) + strip("road", 10, 30), [1] * 10 + [2] * 20),
        (strip("road", 10, 30) + strip("roof", 0, 20), [1] * 20 + [2] * 10),
        # A higher z_order lies above, wherever it stands; negative ones lie below.
        (strip("roof", 0, 20, 3) + strip("road", 10, 30, -2), [1] * 20 + [2] * 10),
        (
            strip("tree", 0, 30, -1) + strip("roof", 0, 20, -7) + strip("road", 10, 15, "0"),
            [3] * 10 + [2] * 5 + [3] * 15,
        ),
        # Without a z_order it is 0.
        (strip("roof", 0, 20).replace(' z_order="0"', "") + strip("road", 10, 30, -1), [1] * 20 + [2] * 10),
    ],
)
def test_z_order_decides_what_lies_above(tmp_path: Path, shapes: str, row: list[int]) -> None:
    assert drawn(tmp_path, shapes).tolist() == [row] * 20


def test_classes_are_found_by_label_or_by_an_attribute(tmp_path: Path) -> None:
    attributes = '<attribute name="state">old</attribute><attribute name="kind"> tiled </attribute>'
    house = strip("house", 0, 10).replace("></box>", f">{attributes}</box>")
    empty = strip("Dächer", 10, 20).replace("></box>", '><attribute name="kind"></attribute></box>')
    shapes = house + empty + strip("road", 20, 30)
    assert drawn(tmp_path, shapes, attribute="kind").tolist() == [[1] * 20 + [2] * 10] * 20
    with pytest.raises(LabelError, match=r'annotations.xml: "1.jpg": no class lists house \(200 pixels\)'):
        drawn(tmp_path, shapes)


def test_the_ground_is_what_is_asked_for(tmp_path: Path) -> None:
    nothing_called_background = Classes(items=["roof", "road"])
    shapes = strip("roof", 0, 10)
    assert drawn(tmp_path, shapes)[0].tolist() == [1] * 10 + [0] * 20
    assert drawn(tmp_path, shapes, nothing_called_background)[0].tolist() == [0] * 10 + [255] * 20
    assert drawn(tmp_path, shapes, nothing_called_background, background="road")[0].tolist() == [0] * 10 + [1] * 20
    assert drawn(tmp_path, shapes, background="ignore")[0].tolist() == [1] * 10 + [255] * 20


def test_an_image_without_shapes_is_all_ground(tmp_path: Path) -> None:
    assert not drawn(tmp_path, '<tag label="seen"></tag><cuboid label="car"/>').any()


def test_another_size_than_the_file_is_refused(tmp_path: Path) -> None:
    label = CvatLabel(annotations=annotate(tmp_path, "", width=31), image="1.jpg")
    message = r'"1.jpg" has 20 x 31 pixels \(rows x columns\), but the file has 20 x 30: .* or turned\.$'
    with pytest.raises(DataError, match=message):
        label.open(GRID)
    with pytest.raises(DataError, match=r"or data\.resolution_m is set"):
        label.open(replace(GRID, crs=CRS.from_epsg(32633)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ('<polygon label="roof" points=""></polygon>', 'polygon "roof", number 1 of "1.jpg", .* its points are ""'),
        ('<polygon label="roof" points="1,2;3"></polygon>', 'its points are "1,2;3"'),
        ('<polygon label="roof" points="1,2;x,y;3,4"></polygon>', "could not convert string to float"),
        ('<polygon label="roof" points="1,2;nan,3;3,4"></polygon>', "nan, which is no place in an image"),
        ('<box label="roof" xtl="1" ytl="1" xbr="2"></box>', "it has no `ybr`"),
        ('<box label="roof" xtl="1" ytl="1" xbr="2" ybr="inf"></box>', "`ybr` is inf"),
        ('<ellipse label="roof" cx="1" cy="1" rx="-2" ry="3"></ellipse>', "neither may be negative"),
        ('<mask label="roof" rle="3,4" left="0" top="0" width="2" height="2"></mask>', "hold 7 pixels, .* which is 4"),
        ('<mask label="roof" rle="0,-4,8" left="0" top="0" width="2" height="2"></mask>', "a run that is no length"),
        (
            '<mask label="roof" rle="0,4" left="29" top="0" width="2" height="2"></mask>',
            "its rectangle leaves the image",
        ),
        ('<box label="roof" xtl="1" ytl="1" xbr="2" ybr="2" z_order="top"></box>', "invalid literal for int"),
    ],
)
def test_a_damaged_shape_is_named(tmp_path: Path, shape: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        drawn(tmp_path, shape)


def test_a_mask_of_absurd_size_takes_no_memory(tmp_path: Path) -> None:
    shape = '<mask label="roof" rle="0,100000000000" left="0" top="0" width="1000000000" height="100"></mask>'
    with pytest.raises(DataError, match="its rectangle leaves the image of 20 x 30"):
        drawn(tmp_path, shape)


def test_a_label_that_is_stored_reads_the_same(tmp_path: Path) -> None:
    name = 'Öde & "Straße"/<1>.jpg'
    path = annotate(tmp_path, strip("roof", 0, 20), name=name)
    label = CvatLabel(annotations=path, image=name, drawing=CvatDrawing(background="road"))
    again = LABELS.create(**label.model_dump(mode="json"))
    assert again == label
    assert isinstance(again, CvatLabel)
    with again.open(GRID) as reader:
        assert reader.decode(Window(0, 18, 1, 4), CLASSES).target.tolist() == [[1, 1, 2, 2]]
    assert label.file == path
    assert label.files == (path,)


def test_an_image_that_is_not_there_or_twice_is_refused(tmp_path: Path) -> None:
    path = annotate(tmp_path, "", name="other.jpg")
    with pytest.raises(DataError, match=r'holds 2 images called "other\.jpg"'):
        CvatLabel(annotations=path, image="other.jpg").open(GRID)
    with pytest.raises(DataError, match=r'holds 0 images called "2\.jpg"'):
        CvatLabel(annotations=path, image="2.jpg").open(GRID)


@pytest.mark.parametrize("wrong", [{"line_width": 0}, {"point_width": -1}, {"line_width": float("nan")}])
def test_widths_are_positive(wrong: dict[str, float]) -> None:
    with pytest.raises((ConfigError, ValueError)):
        CvatDrawing(**wrong)


def test_real_polygons_agree_with_shapely_and_with_pillow(real_data: Path) -> None:
    path = real_data / "cvat_moor" / "annotations.xml"
    grid = Grid(None, Affine.identity(), 720, 1280)
    centres = np.meshgrid(np.arange(1280) + 0.5, np.arange(720) + 0.5)
    names = []
    for image in ET.parse(path).iterfind("image"):
        polygons = [
            [tuple(map(float, pair.split(","))) for pair in shape.attrib["points"].split(";")]
            for shape in image.iterfind("polygon")
        ]
        names += [image.attrib["name"]] if polygons else []
        with CvatLabel(annotations=path, image=image.attrib["name"]).open(grid) as reader:
            moor = reader.decode(grid.whole, Classes(items=["background", "moor"])).target == 1
        areas = [shapely.Polygon(corners) for corners in polygons]
        within, touching = np.zeros_like(moor), np.zeros_like(moor)
        for area in areas:
            shapely.prepare(area)
            within |= shapely.contains_xy(area, *centres)
            touching |= shapely.intersects_xy(area, *centres)
        # Only of centres that lie right on an edge may the two think differently.
        assert (touching & ~within).sum() < 20
        assert not (within & ~moor).any()
        assert not (moor & ~touching).any()
        # The area of all polygons together, less what lies outside the image; its error grows with the outline.
        joined = shapely.union_all([area.buffer(0) for area in areas]).intersection(shapely.box(0, 0, 1280, 720))
        assert moor.sum() == pytest.approx(joined.area, abs=0.02 * joined.length + 1)
        # Pillow covers every pixel that an edge touches; ninefold, these are a ninth of a pixel wide.
        fine = Image.new("1", (1280 * 9, 720 * 9))
        for corners in polygons:
            ImageDraw.Draw(fine).polygon([(9 * x - 0.5, 9 * y - 0.5) for x, y in corners], fill=1)
        outline = sum(area.length for area in areas)
        assert (moor != np.asarray(fine)[4::9, 4::9]).sum() <= outline / 9
    assert names == ["1.jpg", "11.jpg", "6.jpg"]
