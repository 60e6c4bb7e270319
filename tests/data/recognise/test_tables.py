"""Tables that list files."""

import pytest

from terrazzo.data.recognise.tables import bare_table_layouts, table_layouts
from terrazzo.data.recognise.view import View


@pytest.fixture
def table(tmp_path):
    for name in ("a.png", "b.png", "ä b.png"):
        (tmp_path / name).write_bytes(b"")

    def write(text, name="t.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return View.of(tmp_path)

    return write


def settings(layouts):
    return [
        {key: value for key, value in layout.settings.items() if key not in {"name", "table"}} for layout in layouts
    ]


def test_columns_are_known_by_name_or_place(table):
    assert settings(table_layouts(table("mask;image\na.png;b.png\n"))) == [{"image": "image", "label": "mask"}]
    assert settings(table_layouts(table("one,two\na.png,ä b.png\n"))) == [{"image": "one", "label": "two"}]


def test_the_column_of_roles(table):
    view = table("image,label,subset\na.png,b.png,train\nb.png,a.png,val\n")
    assert settings(table_layouts(view)) == [{"image": "image", "label": "label", "split": "subset"}]
    view = table("image,label,subset\na.png,b.png,north\n")
    assert settings(table_layouts(view)) == [{"image": "image", "label": "label"}]


def test_a_table_without_header(table):
    view = table("a.png;b.png\nb.png;a.png\n")
    assert settings(table_layouts(view)) == []
    assert settings(bare_table_layouts(view)) == [{"image": "1", "label": "2", "header": False}]


@pytest.mark.parametrize(
    "text",
    ["image,label\na.png,none.png\n", "image,label\n../a.png,b.png\n", "image\na.png\n", "image,label\n", "", "x"],
)
def test_what_lists_no_files(table, text):
    assert settings(table_layouts(table(text))) == []
