"""Tables as people and programs write them."""

import pickle

import pandas as pd
import pytest

from terrazzo.data.sources.rows import read_rows
from terrazzo.errors import DataError


@pytest.fixture
def write(tmp_path):
    def put(content, name="Tabelle ö.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def cells(path, *needed, **settings):
    return [tuple(row.cells.values()) for row in read_rows(path, needed, **settings)[1]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "﻿"])
def test_separators_line_ends_and_byte_order_marks(write, separator, end, mark):
    lines = [separator.join(words) for words in (("image", "label"), ("a b.png", "é/ü.png"), ("x.png", ""))]
    path = write(mark + end.join(lines))
    assert read_rows(path, {"image", "label"})[0] == ("image", "label")
    assert cells(path, "image", "label") == [("a b.png", "é/ü.png"), ("x.png", "")]


def test_quotes_spaces_and_blank_lines(write):
    path = write('\nimage ; label;note\n\n "a; b.png"; "say ""x"".png";"two\nlines"\n ; ; \nc.png;d.png;\n')
    assert cells(path, "image", "label") == [("a; b.png", 'say "x".png'), ("c.png", "d.png")]
    assert [row.where.rsplit(", ", 1)[1] for row in read_rows(path, {"image"})[1]] == ["line 5", "line 7"]


def test_the_separator_is_looked_for_outside_of_quotes(write):
    assert cells(write('"a,b,c,d";label\n"1,2";3\n'), "a,b,c,d", "label") == [("1,2", "3")]


def test_only_wanted_columns_are_kept(write):
    assert cells(write("image,note,label\na,b,c\n"), "image", "gone") == [("a",)]


def test_columns_that_are_not_wanted_may_have_one_name(write):
    assert cells(write("image,,\na,b,c\n"), "image") == [("a",)]


def test_without_header(write):
    path = write("a.tif;b.tif\nc.tif;d.tif")
    assert read_rows(path, {"1"}, header=False)[0] == ("1", "2")
    assert cells(path, "2", header=False) == [("b.tif",), ("d.tif",)]


def test_parquet(tmp_path):
    frame = pd.DataFrame(
        {
            "image": ["a.png", "b ö.png", None],
            "fold": [0.0, None, None],
            "flag": [True, False, None],
            "n": [1.5, 2.0, None],
        }
    )
    path = tmp_path / "x.parquet"
    frame.assign(other=[[1], [2], [3]]).to_parquet(path)
    assert cells(path, "image", "fold", "flag", "n") == [("a.png", "0", "True", "1.5"), ("b ö.png", "", "False", "2")]
    assert read_rows(path, {"image"})[1][1].where == f"{path}, row 2"
    with pytest.raises(DataError, match=r'x.parquet, row 1, "other" holds list; expected text or a number'):
        read_rows(path, {"other"})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"image,label\na,b,c\n", "line 2: 3 cells, but the first line has 2"),
        (b"image,label\na\n", "line 2: 1 cells, but the first line has 2"),
        (b"image,image\na,b\n", 'two columns are called "image"'),
        (b'image,label\n"a,b\n', "cannot be read as a table"),
        ("image,label\nä,b\n".encode("latin-1"), "cannot be read as a table: .*utf-8"),
    ],
)
def test_damaged_text(write, content, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(content), {"image"})


def test_files_that_are_no_tables(write, tmp_path):
    with pytest.raises(DataError, match="is a pickle, which can run code"):
        read_rows(write(pickle.dumps({"image": []}), "split01.pkl"), {"image"})
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_rows(write(b"PAR1 no", "x.parquet"), {"image"})
    with pytest.raises(DataError, match="cannot be read as a table"):
        read_rows(tmp_path / "gone.csv", {"image"})
