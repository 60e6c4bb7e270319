"""Labels from shapes: real ones against shapely and areas, generated ones against arithmetic."""

import geopandas as gpd
import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError
from rasterio.crs import CRS
from shapely import LineString, Point, Polygon, box
from shapely.affinity import rotate

from terrazzo.data.classes import Classes
from terrazzo.data.labels.label import LABELS
from terrazzo.data.labels.vector import VectorLabel
from terrazzo.errors import DataError, LabelError
from terrazzo.geo.grid import Grid, Window

UTM = CRS.from_epsg(32633)
GRID = Grid(UTM, Affine(1, 0, 500_000, 0, -1, 5_200_010), 10, 10)
"""Pixels of 1 m; row 0 is y 5 200 009 .. 5 200 010."""
AB = Classes(items=["background", "a", "b", "c"])
IGNORED = 255


def rows(top, bottom, left=0, right=10):
    """The ground below whole pixels."""
    return box(500_000 + left, 5_200_010 - bottom, 500_000 + right, 5_200_010 - top)


@pytest.fixture
def write(tmp_path):
    """Write shapes with their columns, and return the file."""

    def written(shapes, name="Ä b/läbel.gpkg", crs="EPSG:32633", **columns):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        table = gpd.GeoDataFrame(columns, geometry=list(shapes), crs=crs)
        table.to_parquet(path) if path.suffix == ".parquet" else table.to_file(path)
        return path

    return written


def burned(label, grid=GRID, classes=AB, window=None):
    with label.open(grid) as reader:
        return reader.decode(window or grid.whole, classes)


def column(label, **settings):
    """Classes of the first column, from top to bottom."""
    return burned(label, **settings).target[:, 0].tolist()


def test_a_label_survives_its_json_and_is_known_by_name(write):
    label = VectorLabel(
        vectors=write([rows(0, 1)], kind=["a"]), field="kind", where={"kind": ["a", 3]}, width_m={"a": 2.0}
    )
    assert VectorLabel.model_validate_json(label.model_dump_json()) == label
    assert LABELS.create(**label.model_dump(mode="json")) == label
    assert label.where == {"kind": ("a", "3")}


def test_files_are_all_that_it_is_read_from(write, tmp_path):
    shapes = write([rows(0, 1)], name="a.shp", kind=["a"])
    areas = write([rows(0, 1)], name="b.gpkg")
    label = VectorLabel(vectors=(shapes,), field="kind", areas_of_interest=areas)
    assert label.file == shapes
    assert {path.name for path in label.files} == {"a.shp", "a.dbf", "a.prj", "a.shx", "a.cpg", "b.gpkg"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one of `field`"),
        ({"field": "x", "value": "y"}, "give one of `field`"),
        ({"value": "a", "width_m": {"a": 1}}, "needs `field`"),
        ({"value": "a", "width_m": 0}, "greater than 0"),
        ({"value": "a", "order": "size"}, "pattern"),
        ({"value": "a", "order": "field:"}, "pattern"),
        ({"value": "a", "vectors": ()}, "at least 1"),
    ],
)
def test_contradictions_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        VectorLabel(**{"vectors": ("a.gpkg",), **settings})


@pytest.mark.parametrize("stored", [["1", "2", "3"], [1, 2, 3], [1.0, 2.0, 3.0], ["a", "b", "c"], ["1.0", "b", " 3"]])
@pytest.mark.parametrize("name", ["a.gpkg", "a.geojson", "a.shp", "a.parquet"])
def test_names_strings_and_numbers_mean_the_same(write, stored, name):
    path = write([rows(0, 1), rows(2, 3), rows(4, 5)], name=name, kind=stored)
    label = VectorLabel(vectors=path, field="kind", background="background")
    assert column(label) == [1, 0, 2, 0, 3, 0, 0, 0, 0, 0]


def test_one_class_for_every_shape(write):
    assert column(VectorLabel(vectors=write([rows(1, 3)]), value="b")) == [0, 2, 2, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("background", "names", "expected"),
    [
        ("auto", ["background", "a"], 0),
        ("auto", ["b", "a"], IGNORED),
        ("ignore", ["background", "a"], IGNORED),
        ("b", ["x", "b", "a"], 1),
    ],
)
def test_ground_without_shape(write, background, names, expected):
    label = VectorLabel(vectors=write([rows(0, 1)]), value="a", background=background)
    assert column(label, classes=Classes(items=names))[1:] == [expected] * 9


def test_ground_of_an_unknown_class(write):
    label = VectorLabel(vectors=write([rows(0, 1)]), value="a", background="lawn")
    with pytest.raises(LabelError, match=r'läbel\.gpkg: no class is called "lawn"'):
        burned(label)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("file", "aaccccc..."),
        ("reversed", "aaabbcc..."),
        ("area", "aabbbcc..."),
        ("field:rank", "aabbbcc..."),
        ("field:word", "aaccccc..."),
    ],
)
def test_overlaps_in_every_order(write, order, expected):
    # a is rows 0..2 (30 m2), b rows 2..4 (27 m2), c rows 2..6 (50 m2).
    shapes = [rows(0, 3), rows(2, 5, right=9), rows(2, 7)]
    path = write(shapes, kind=["a", "b", "c"], rank=[2, 10, None], word=["x", "y", "z"])
    label = VectorLabel(vectors=path, field="kind", order=order, background="ignore")
    assert "".join(".abc"[0 if code == IGNORED else code] for code in column(label)) == expected


def test_numbers_are_ranked_by_size_not_by_letters(write):
    path = write([rows(0, 2), rows(0, 2), rows(0, 2)], kind=["a", "b", "c"], rank=["9", "10", ""])
    assert column(VectorLabel(vectors=path, field="kind", order="field:rank"))[:2] == [2, 2]


def test_the_smallest_is_told_by_its_whole_area_not_by_what_lies_on_the_image(write):
    large = box(400_000, 5_200_005, 600_000, 5_200_010)
    small = rows(0, 8)
    path = write([small, large], kind=["a", "b"])
    assert column(VectorLabel(vectors=path, field="kind", order="area"))[:6] == [1, 1, 1, 1, 1, 1]


def test_a_later_file_lies_on_top_and_a_missing_one_is_named(write, tmp_path):
    first, second = write([rows(0, 4)], name="1.gpkg", kind=["a"]), write([rows(2, 6)], name="2.geojson", kind=["b"])
    label = VectorLabel(vectors=(first, second), field="kind")
    assert column(label) == [1, 1, 2, 2, 2, 2, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"3\.gpkg cannot be read"):
        VectorLabel(vectors=(first, tmp_path / "3.gpkg"), field="kind").open(GRID)


def test_only_shapes_that_say_what_is_wanted(write):
    path = write(
        [rows(0, 1), rows(1, 2), rows(2, 3), rows(3, 4)],
        kind=["a", "b", "c", "a"],
        level=[3.0, 3.0, 4.0, None],
        use=["x", "y", "x", "x"],
    )
    assert column(VectorLabel(vectors=path, field="kind", where={"level": "3"}))[:4] == [1, 2, 0, 0]
    assert column(VectorLabel(vectors=path, field="kind", where={"level": [3, 4], "use": "x"}))[:4] == [1, 0, 3, 0]
    assert column(VectorLabel(vectors=path, field="kind", where={"level": "(empty)"}))[:4] == [0, 0, 0, 1]
    with pytest.raises(DataError, match=r'no field "levl".*Did you mean "level"'):
        VectorLabel(vectors=path, field="kind", where={"levl": 3}).open(GRID)


def test_what_no_class_lists_is_counted_by_its_text_where_it_is_seen(write):
    path = write([rows(0, 2), rows(1, 3), rows(3, 4), rows(4, 5, right=3)], kind=["snow", "a", "ice", None])
    label = VectorLabel(vectors=path, field="kind", background="ignore")
    with pytest.raises(
        LabelError, match=r"läbel\.gpkg: no class lists ice \(10 pixels\), snow \(10 pixels\), \(empty\) \(3"
    ):
        burned(label)
    lenient = AB.model_copy(update={"unlisted": "ignore"})
    found = burned(label, classes=lenient)
    assert found.unlisted == {"snow": 10, "ice": 10, "(empty)": 3}
    assert found.target[:, 0].tolist() == [IGNORED, 1, 1, *[IGNORED] * 7]
    ground = burned(label, classes=AB.model_copy(update={"unlisted": "background"}))
    assert ground.target[:, 0].tolist() == [0, 1, 1, 0, 0, *[IGNORED] * 5]
    listed = Classes(items=["background", "a"], ignore_labels=["snow", "ice", "(empty)"])
    assert burned(label, classes=listed).unlisted == {}


def test_what_another_shape_hides_is_never_unlisted(write):
    path = write([rows(0, 2), rows(0, 2)], kind=["snow", "a"])
    assert burned(VectorLabel(vectors=path, field="kind")).unlisted == {}


def test_outside_the_areas_of_interest_everything_is_ignored_and_nothing_counts(write):
    path = write([rows(0, 2), rows(4, 6)], kind=["a", "snow"])
    areas = write([rows(0, 1), rows(2, 4, right=2), None, Point(500_009, 5_200_001)], name="areas.geojson")
    found = burned(VectorLabel(vectors=path, field="kind", areas_of_interest=areas))
    assert found.target[:, 0].tolist() == [1, IGNORED, 0, 0, *[IGNORED] * 6]
    assert found.target[:, 5].tolist() == [1, *[IGNORED] * 9]
    assert found.unlisted == {}


def test_shapes_without_place_are_left_out(write):
    path = write([rows(0, 1), None, Polygon(), rows(2, 3)], name="a.geojson", kind=["a", "b", "b", "c"])
    assert column(VectorLabel(vectors=path, field="kind")) == [1, 0, 3, 0, 0, 0, 0, 0, 0, 0]


def test_a_layer_without_shapes_is_all_ground(write):
    path = write([], kind=np.array([], dtype=str))
    assert set(burned(VectorLabel(vectors=path, field="kind")).target.ravel().tolist()) == {0}


def test_an_image_of_one_pixel(write):
    one = Grid(UTM, Affine(1, 0, 500_000, 0, -1, 5_200_010), 1, 1)
    assert column(VectorLabel(vectors=write([rows(0, 1)]), value="c"), grid=one) == [3]


def test_a_file_without_system_and_an_image_without(write):
    path = write([rows(0, 1)], name="a.shp", n=[1])
    path.with_suffix(".prj").unlink()
    with pytest.raises(DataError, match=r"a\.shp has no coordinate reference system"):
        VectorLabel(vectors=path, value="a").open(GRID)
    with pytest.raises(DataError, match="image has no coordinate"):
        VectorLabel(vectors=write([rows(0, 1)]), value="a").open(Grid(None, Affine.identity(), 4, 4))


def test_touched_pixels(write):
    # Reaches 0.2 m into row 1 and 0.2 m into column 4: no centre there.
    path = write([rows(0, 1.2, right=4.2)])
    assert np.argwhere(burned(VectorLabel(vectors=path, value="a")).target == 1).max(axis=0).tolist() == [0, 3]
    touched = burned(VectorLabel(vectors=path, value="a", all_touched=True)).target
    assert np.argwhere(touched == 1).max(axis=0).tolist() == [1, 4]
    assert (touched == 1).sum() == 10


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857"])
def test_lines_have_their_width_in_metres_whatever_the_image_counts_in(write, crs):
    """A road of 1 km at 60 degrees north, where a degree of longitude and Web Mercator's metre are half as long."""
    geod = pyproj.Geod(ellps="WGS84")
    ends = geod.fwd([15.0] * 2, [60.0] * 2, [70, 250], [500, 500])
    path = write([LineString(np.array(ends[:2]).T), Point(15.006, 60.004)], crs="EPSG:4326", kind=["a", "b"])
    onto = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = onto.transform(15.0, 60.0)
    # Pixels of 2 m along each axis on the ground.
    wide = (onto.transform(15.0 + 1e-4, 60.0)[0] - x) / geod.inv(15.0, 60.0, 15.0 + 1e-4, 60.0)[2] * 2
    tall = (onto.transform(15.0, 60.0 + 1e-4)[1] - y) / geod.inv(15.0, 60.0, 15.0, 60.0 + 1e-4)[2] * 2
    grid = Grid(CRS.from_user_input(crs), Affine(wide, 0, x - 300 * wide, 0, -tall, y + 300 * tall), 600, 600)
    found = burned(VectorLabel(vectors=path, field="kind", width_m={"a": 20.0, "b": 60.0}), grid=grid).target
    back = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    draw = np.random.default_rng(1)
    places = draw.integers(0, 600, (4000, 2))
    centres = np.array([grid.transform @ (x + 0.5, y + 0.5) for y, x in places])
    longitude, latitude = back.transform(*centres.T)
    # On a local plane made by hand: 1 km around the middle it is flat to a millimetre.
    azimuth, _, distance = geod.inv(np.full(4000, 15.0), np.full(4000, 60.0), longitude, latitude)
    along = distance * np.cos(np.deg2rad(azimuth - 70))
    across = distance * np.sin(np.deg2rad(azimuth - 70))
    off = np.hypot(across, np.maximum(np.abs(along) - 500, 0))
    disc = geod.inv(np.full(4000, 15.006), np.full(4000, 60.004), longitude, latitude)[2]
    sure = (np.abs(off - 10) > 0.3) & (np.abs(disc - 30) > 0.3)
    expected = np.where(disc < 30, 2, np.where(off < 10, 1, 0))
    assert sure.sum() > 3800
    assert {1, 2} <= set(expected[sure].tolist())
    assert np.array_equal(found[tuple(places.T)][sure], expected[sure])


def test_lines_without_width_mark_what_they_touch(write):
    # Row 2 ends at 5 200 007: the line runs a hand's breadth above that, far from any centre.
    path = write([LineString([(500_001.5, 5_200_007.1), (500_004.5, 5_200_007.1)])], kind=["a"])
    label = VectorLabel(vectors=path, field="kind", width_m={"b": 5.0})
    assert np.argwhere(burned(label).target == 1).tolist() == [[2, 1], [2, 2], [2, 3], [2, 4]]


@pytest.mark.parametrize("all_touched", [False, True])
def test_windows_hold_what_the_whole_image_holds(write, all_touched):
    draw = np.random.default_rng(4)
    grid = Grid(UTM, Affine(0.7, 0.4, 500_000, 0.3, -0.7, 5_200_010), 700, 600)
    shapes = []
    for number, (column, row, size) in enumerate(draw.uniform((0, 0, 1), (650, 650, 150), (80, 3))):
        x, y = grid.transform @ (column, row)
        line = LineString([(x, y), (x + size, y + size / 7)])
        shapes.append(rotate(box(x, y, x + size, y + size / 3), 7 * number) if number % 4 else line)
    path = write(shapes, kind=draw.choice(["a", "b", "c"], 80))
    label = VectorLabel(vectors=path, field="kind", all_touched=all_touched, order="area")
    whole = burned(label, grid=grid).target
    assert set(np.unique(whole).tolist()) == {0, 1, 2, 3}
    assembled = np.zeros_like(whole)
    with label.open(grid) as reader:
        assert reader.block_shape == (700, 600)
        for window in grid.tiles(97, stride=89):
            assembled[window.slices] = reader.decode(window, AB).target
    assert np.array_equal(assembled, whole)


def test_a_large_image_is_decoded_by_blocks(write):
    label = VectorLabel(vectors=write([rows(0, 1)]), value="a")
    with label.open(Grid(UTM, GRID.transform, 10, 5000)) as reader:
        assert reader.block_shape == (256, 256)
        assert reader.decode(Window(0, 0, 1, 12), AB).target.tolist() == [[*[1] * 10, 0, 0]]


def real_grid(path):
    with rasterio.open(path) as file:
        return Grid(file.crs, file.transform, file.height, file.width)


FOREST = Classes(
    items=[
        {"name": "forest", "values": [1]},
        {"name": "water", "values": [2]},
        {"name": "road", "values": [3]},
        {"name": "building", "values": [4]},
    ],
    ignore_values=[255],
)


@pytest.mark.parametrize("part", ["1of2", "2of2"])
def test_new_brunswick_says_what_shapely_says(real_data, part):
    folder = real_data / "geotiff_newbrunswick"
    grid = real_grid(next(folder.glob(f"*{part}.tif")))
    label = VectorLabel(vectors=folder / "BakerLake_2017_clipped.gpkg", field="Quatreclasses")
    found = burned(label, grid=grid, classes=FOREST).target
    table = gpd.read_file(folder / "BakerLake_2017_clipped.gpkg")
    draw = np.random.default_rng(11)
    for y, x in zip(draw.integers(0, grid.height, 400), draw.integers(0, grid.width, 400), strict=True):
        holding = table[table.contains(Point(*(grid.transform @ (x + 0.5, y + 0.5))))]
        # The last shape of the file lies on top; class numbers are values less one.
        expected = int(holding["Quatreclasses"].iloc[-1]) - 1 if len(holding) else IGNORED
        assert found[y, x] == (IGNORED if expected == 254 else expected)
    # Each class covers as many square metres as its shapes, less what other shapes hide, to a pixel along the outline.
    frame = box(*grid.bounds)
    pixel = grid.resolution[0] ** 2
    top = table.geometry.iloc[::-1].tolist()
    for number, value in enumerate("1234"):
        visible, outline = 0.0, 0.0
        covered = Polygon()
        for shape, kind in zip(top, table["Quatreclasses"].iloc[::-1], strict=True):
            seen = shape.intersection(frame).difference(covered)
            covered = covered.union(shape.intersection(frame))
            if kind == value:
                visible, outline = visible + seen.area, outline + seen.length
        assert (found == number).sum() * pixel == pytest.approx(visible, abs=0.15 * outline * grid.resolution[0] + 1)


def test_buildings_of_atlanta_cover_their_footprints(real_data):
    folder = real_data / "geotiff_spacenet_rgbnir_geojson"
    grid = real_grid(next(folder.glob("*.tif")))
    shapes = next(folder.glob("*.geojson"))
    classes = Classes(items=["background", "building"])
    found = burned(VectorLabel(vectors=shapes, value="building"), grid=grid, classes=classes).target
    table = gpd.read_file(shapes)
    union = table.union_all().intersection(box(*grid.bounds))
    pixel = grid.resolution[0] * grid.resolution[1]
    assert found.sum() * pixel == pytest.approx(union.area, rel=0.01)
    draw = np.random.default_rng(2)
    for y, x in zip(draw.integers(0, grid.height, 400), draw.integers(0, grid.width, 400), strict=True):
        assert found[y, x] == union.contains(Point(*(grid.transform @ (x + 0.5, y + 0.5))))


def test_zion_as_area_of_interest_of_another_datum(real_data, write):
    folder = real_data / "zion_landsat_nlcd"
    grid = real_grid(folder / "raster" / "landsat_b2.tif")
    outline = gpd.read_file(folder / "vector" / "zion.gpkg")
    ground = write([box(*grid.bounds)], crs="EPSG:32612")
    label = VectorLabel(vectors=ground, value="a", areas_of_interest=folder / "vector" / "zion.gpkg")
    found = burned(label, grid=grid).target
    assert set(np.unique(found).tolist()) == {1, IGNORED}
    shape = outline.geometry.iloc[0]
    assert (found == 1).sum() * 900 == pytest.approx(shape.intersection(box(*grid.bounds)).area, rel=0.001)
    draw = np.random.default_rng(3)
    for y, x in zip(draw.integers(0, grid.height, 200), draw.integers(0, grid.width, 200), strict=True):
        centre = Point(*(grid.transform @ (x + 0.5, y + 0.5)))
        if shape.boundary.distance(centre) > 1:
            assert (found[y, x] == 1) == shape.contains(centre)
