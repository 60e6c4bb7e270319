"""Names of classes beside labels."""

import pytest

from terrazzo.data.recognise.sidecars import Named, find_names
from terrazzo.data.recognise.view import View

RED, BLUE = (255, 0, 0), (0, 0, 255)

STYLE = """<!DOCTYPE qgis PUBLIC 'http://x' 'SYSTEM'><qgis>
<paletteEntry value="3" color="#0000ff" label="water"/><paletteEntry color="#ff0000" label="wood" value="4"/></qgis>"""
CATEGORIES = """<PAMDataset><PAMRasterBand band="1"><CategoryNames><Category></Category><Category>water</Category>
<Category>wood</Category></CategoryNames></PAMRasterBand></PAMDataset>"""
RECORDS = """{"classes": [{"title": "water", "color": "#0000FF"}, {"name": "wood", "colour": [255, 0, 0]}]}"""
MAP = "# QGIS\nINTERPOLATION:EXACT\n3,0,0,255,255,water\n4,255,0,0,255,wood"
TABLE = "name,r,g,b\nwater,0,0,255\nwood,255,0,0\n"
MASKS = "# label:color_rgb:parts:actions\nwater:0,0,255::\nwood:255,0,0::\n"

FILES = {
    "values and names": ("classes.txt", "0 nodata(ignore)\n1 open water\n\n2 wood\n", (0, 1, 2), None),
    "names and values": ("classes.txt", "open water: 1\nwood: 2\n", (1, 2), None),
    "names alone": ("labels.txt", "# mine\nwater\nwood\n", (0, 1), None),
    "a table": ("class_dict.csv", TABLE, None, (BLUE, RED)),
    "colours first": ("label_colors.txt", "0 0 255\twater\n255 0 0\twood\n", None, (BLUE, RED)),
    "CVAT masks": ("labelmap.txt", MASKS, None, (BLUE, RED)),
    "QGIS colour map": ("colors.txt", MAP, (3, 4), (BLUE, RED)),
    "QGIS style": ("a.qml", STYLE, (3, 4), (BLUE, RED)),
    "GDAL categories": ("nlcd.tif.aux.xml", CATEGORIES, (1, 2), None),
    "a list": ("classes.json", '["water", "wood"]', (0, 1), None),
    "records": ("classes.json", RECORDS, None, (BLUE, RED)),
    "by value": ("classes.json", '{"5": "water", "6": "wood"}', (5, 6), None),
    "by name": ("class_names.json", '{"water": 5, "wood": 6}', (5, 6), None),
    "by name with colours": ("classes.json", '{"water": "#0000FF", "wood": [255, 0, 0]}', None, (BLUE, RED)),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_of_many_programs(tmp_path, kind):
    name, text, values, colours = FILES[kind]
    (tmp_path / "ä b").mkdir()
    (tmp_path / "ä b" / name).write_text(text, encoding="utf-8")
    ((path, named),) = find_names(View.of(tmp_path))
    assert path == f"ä b/{name}"
    kept = [entry for entry in named if not entry.ignored]
    assert [entry.name.removeprefix("open ") for entry in kept] == ["water", "wood"]
    assert tuple(entry.value for entry in named) == (values or (None, None))
    assert tuple(entry.colour for entry in kept) == (colours or (None, None))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.json", "{"),
        ("classes.json", "[1, 2]"),
        ("classes.json", '{"a": null, "b": {}}'),
        ("classes.txt", "one"),
        ("classes.txt", "a\na\n"),
        ("a.aux.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><a><CategoryNames><Category>&b;</Category></CategoryNames></a>"),
        ("notes.txt", "water\nwood"),
        ("classes.txt", "x" * (2**20 + 1)),
    ],
)
def test_what_says_nothing_is_passed_over(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert find_names(View.of(tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "ignored"),
    [("nodata(ignore)", True), ("No data", True), ("Unlabeled", True), ("void", True), ("NA", True), ("n/a", True),
     ("background", False), ("avoidance road", False), ("nature", False)],
)  # fmt: skip
def test_names_that_are_no_class(name, ignored):
    assert Named(name).ignored is ignored


def test_the_file_nearest_to_the_top_comes_first(tmp_path):
    for folder in ("b/c", "z"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "classes.txt").write_text("a\nb\n", encoding="utf-8")
    assert [path for path, _ in find_names(View.of(tmp_path))] == ["z/classes.txt", "b/c/classes.txt"]
